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

    def past(self, finding: Finding, *, first: bool) -> Past:
        """Counts before ``finding``. With ``first`` False the finding itself was observed earlier and is left out."""
        host, rule_key = finding.anchor, finding.rule_key
        own = 0 if first else 1
        rule = self.rules.get(rule_key) or _NEVER
        pair = self.pairs.get((host, rule_key)) or _NEVER
        since = finding.window_ms - RECENT_MS + FOLD_WINDOW_MS
        return Past(
            pair_firings=max(0, pair.firings - own),
            pair_gap_s=self._quiet_s(pair, finding),
            rule_firings=max(0, rule.firings - own),
            rule_gap_s=self._quiet_s(rule, finding),
            rule_hosts=rule.hosts - int(own > 0 and pair.firings <= own),
            rule_benign=rule.benign,
            rule_threat=rule.threat,
            host_rules=self._distinct(host, since),
            host_alerts=self._alerts(host, finding.window_ms),
            site_rules=self._distinct(SITE, since),
            site_alerts=self._alerts(SITE, finding.window_ms),
            host_rare=self._rare(host, rule_key, finding.window_ms - RARE_MS),
        )

    def _rare(self, host: str, rule_key: str, since_ms: int) -> int:
        recent = self.recent_rare.get(host)
        return sum([seen >= since_ms and name != rule_key for name, seen in recent.items()]) if recent else 0

    def observe(self, finding: Finding, *, added: int, first: bool) -> None:
        """Take note of ``added`` alerts of this finding; ``first`` when the finding is new."""
        host, rule_key, window = finding.anchor, finding.rule_key, finding.window_ms
        self.watched_since_ms = min(self.watched_since_ms or finding.first_seen_ms, finding.first_seen_ms)
        rule, pair = self.rules.get(rule_key), self.pairs.get((host, rule_key))
        if rule is None:
            rule = self.rules[rule_key] = Firings()
        new_pair = pair is None
        if pair is None:
            pair = self.pairs[host, rule_key] = Firings()
        self._fire(rule, finding, first=first, hosts=int(new_pair))
        self._fire(pair, finding, first=first, hosts=0)
        self.changed_rules.add(rule_key)
        self.changed_pairs.add((host, rule_key))
        if pair.quiet_s >= RARE_S:
            self.recent_rare.setdefault(host, {})[rule_key] = pair.last_seen_ms
        for key in (host, SITE):
            self._see(key, rule_key, finding.last_seen_ms)
            cell = self.activity.get((key, window))
            if cell is None:
                cell = self.activity[key, window] = Activity()
            cell.alerts += added
            cell.findings += int(first)
            self.changed_activity.add((key, window))

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

    def _fire(self, row: Firings, finding: Finding, *, first: bool, hosts: int) -> None:
        row.quiet_s = self._quiet_s(row, finding)
        row.first_seen_ms = min(row.first_seen_ms or finding.first_seen_ms, finding.first_seen_ms)
        row.last_seen_ms = max(row.last_seen_ms, finding.last_seen_ms)
        row.firings += int(first)
        row.hosts += hosts

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
