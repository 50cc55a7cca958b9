"""What the site has seen before: the past-only counts that features are made of.

A ``History`` holds a working set. The hot path fills it from the database for the hosts and rules of one micro-batch;
training keeps a single one in memory. Both run the same code, so a model sees in use what it saw in training.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from countersign.model.findings import FOLD_WINDOW_MS, Finding

RECENT_MS = 3 * FOLD_WINDOW_MS
"""The "last 15 minutes": the finding's own window and the two before it."""
_BACK = tuple(range(0, RECENT_MS, FOLD_WINDOW_MS))
RUN_MS = RECENT_MS
"""Firings less than this apart are one run, however long it lasts."""
RARE_S = 86_400
"""A rule that breaks as long a quiet is rare there."""
RARE_MS = 3_600_000
"""How long it is remembered as news: intruders work slower than noise comes in bursts."""
SITE = "*"


class Firings(msgspec.Struct, gc=False):
    """How often something fired, in findings. quiet_s: how long it had been quiet before its latest run (``RUN_MS``)."""

    firings: int = 0
    first_seen_ms: int = 0
    last_seen_ms: int = 0
    quiet_s: int = 0
    hosts: int = 0
    benign: int = 0
    threat: int = 0


_NEVER = Firings()


class Activity(msgspec.Struct, gc=False):
    """Alerts and findings of one host (or the site) in one window."""

    alerts: int = 0
    findings: int = 0


class Past(msgspec.Struct, frozen=True, gc=False):
    """What was known about a finding's surroundings before it.

    pair_gap_s, rule_gap_s: how long the rule had been quiet, on this anchor and on the site, before the run of firings
    that the finding belongs to; where it never fired, since when the site is watched. A rule that nobody has seen for
    weeks is a surprise; one that nobody has seen in the first hour of watching is not; and repeats do not lessen it.
    host_rare: other rules that broke a day's quiet on the same anchor within the last hour.
    """

    pair_firings: int
    pair_gap_s: int
    rule_firings: int
    rule_gap_s: int
    rule_hosts: int
    rule_benign: int
    rule_threat: int
    host_rules: int
    host_alerts: int
    site_rules: int
    site_alerts: int
    host_rare: int = 0


@dataclass(slots=True)
class History:
    """Working set of counts; ``changed_*`` name what must be written back.

    ``pairs``, ``activity`` and ``recent_rules`` go by a finding's anchor. watched_since_ms: the site's first alert, or 0.
    """

    watched_since_ms: int = 0
    rules: dict[str, Firings] = field(default_factory=dict)
    pairs: dict[tuple[str, str], Firings] = field(default_factory=dict)
    activity: dict[tuple[str, int], Activity] = field(default_factory=dict)
    recent_rules: dict[str, dict[str, int]] = field(default_factory=dict)  # host or SITE → rule → last seen
    recent_rare: dict[str, dict[str, int]] = field(default_factory=dict)  # anchor → rule that broke a quiet → last seen
    distinct: dict[str, tuple[int, set[str]]] = field(default_factory=dict)  # key → (since, rules seen since then)
    changed_rules: set[str] = field(default_factory=set)
    changed_pairs: set[tuple[str, str]] = field(default_factory=set)
    changed_activity: set[tuple[str, int]] = field(default_factory=set)

    def take(self, finding: Finding, *, added: int, first: bool) -> Past:
        """Counts before ``finding``, which is observed then; with ``first`` False it was so earlier: they leave it out."""
        host, key, window_ms = finding.anchor, finding.rule_key, finding.window_ms
        rule, pair = self.rules.get(key), self.pairs.get((host, key))
        before, paired = rule or _NEVER, pair or _NEVER
        own = 0 if first else 1
        since = window_ms - RECENT_MS + FOLD_WINDOW_MS
        past = Past(
            pair_firings=max(0, paired.firings - own),
            pair_gap_s=self._quiet_s(paired, finding),
            rule_firings=max(0, before.firings - own),
            rule_gap_s=self._quiet_s(before, finding),
            rule_hosts=before.hosts - int(own > 0 and paired.firings <= own),
            rule_benign=before.benign,
            rule_threat=before.threat,
            host_rules=self._distinct(host, since),
            host_alerts=self._alerts(host, window_ms),
            site_rules=self._distinct(SITE, since),
            site_alerts=self._alerts(SITE, window_ms),
            host_rare=self._rare(host, key, window_ms - RARE_MS),
        )
        self._observe(finding, key, rule, pair, past.rule_gap_s, past.pair_gap_s, added=added, first=first)
        return past

    def observe(self, finding: Finding, *, added: int, first: bool) -> None:
        """Take note of ``added`` alerts of this finding; ``first`` when the finding is new."""
        key = finding.rule_key
        rule, pair = self.rules.get(key), self.pairs.get((finding.anchor, key))
        gaps = self._quiet_s(rule or _NEVER, finding), self._quiet_s(pair or _NEVER, finding)
        self._observe(finding, key, rule, pair, *gaps, added=added, first=first)

    def _rare(self, host: str, rule_key: str, since_ms: int) -> int:
        recent = self.recent_rare.get(host)
        return sum([seen >= since_ms and name != rule_key for name, seen in recent.items()]) if recent else 0

    def _observe(
        self,
        finding: Finding,
        key: str,
        rule: Firings | None,
        pair: Firings | None,
        rule_quiet_s: int,
        pair_quiet_s: int,
        *,
        added: int,
        first: bool,
    ) -> None:
        """rule, pair: rows of the finding's rule, None when it is new there; and how long each had been quiet."""
        host, seen = finding.anchor, finding.first_seen_ms
        if not 0 < self.watched_since_ms <= seen:
            self.watched_since_ms = seen
        new_pair = pair is None
        if rule is None:
            rule = self.rules[key] = Firings()
        if pair is None:
            pair = self.pairs[host, key] = Firings()
        rule.hosts += new_pair
        _fire(rule, finding, rule_quiet_s, first=first)
        _fire(pair, finding, pair_quiet_s, first=first)
        self.changed_rules.add(key)
        self.changed_pairs.add((host, key))
        if pair_quiet_s >= RARE_S:
            self.recent_rare.setdefault(host, {})[key] = pair.last_seen_ms
        for where in (host, SITE):
            self._see(where, key, finding.last_seen_ms)
            self._count((where, finding.window_ms), added, first=first)

    def _count(self, at: tuple[str, int], added: int, *, first: bool) -> None:
        """Alerts and findings of a host, or of the site, in a window."""
        cell = self.activity.get(at)
        if cell is None:
            cell = self.activity[at] = Activity()
        cell.alerts += added
        cell.findings += first
        self.changed_activity.add(at)

    def _see(self, key: str, rule_key: str, seen: int) -> None:
        """Note when the rule was seen last on a host or on the site."""
        recent = self.recent_rules.get(key)
        if recent is None:
            recent = self.recent_rules[key] = {}
        before = recent.get(rule_key)
        if before is None or before < seen:
            recent[rule_key] = seen
        known = self.distinct.get(key)
        if known is not None and seen >= known[0]:
            known[1].add(rule_key)

    def _distinct(self, key: str, since_ms: int) -> int:
        """Number of rules seen since; counted once per window, then kept up by ``observe``."""
        known = self.distinct.get(key)
        if known is None or known[0] != since_ms:
            rules = {rule for rule, seen in self.recent_rules.get(key, {}).items() if seen >= since_ms}
            known = self.distinct[key] = (since_ms, rules)
        return len(known[1])

    def _alerts(self, key: str, window_ms: int) -> int:
        total = 0
        for back in _BACK:
            cell = self.activity.get((key, window_ms - back))
            if cell is not None:
                total += cell.alerts
        return total

    def _quiet_s(self, row: Firings, finding: Finding) -> int:
        """Seconds of quiet before the run that the finding begins or continues."""
        if row.firings and finding.window_ms - row.last_seen_ms < RUN_MS:
            return row.quiet_s
        since = row.last_seen_ms or self.watched_since_ms or finding.first_seen_ms
        return max(0, finding.first_seen_ms - since) // 1000


def _fire(row: Firings, finding: Finding, quiet_s: int, *, first: bool) -> None:
    seen = finding.first_seen_ms
    row.quiet_s = quiet_s
    if not 0 < row.first_seen_ms <= seen:
        row.first_seen_ms = seen
    row.last_seen_ms = max(row.last_seen_ms, finding.last_seen_ms)
    row.firings += first
