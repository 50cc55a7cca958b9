"""What the site has seen before: the past-only counts that features are made of.

A ``History`` holds a working set. The hot path fills it from the database for the hosts and rules of one micro-batch;
training keeps a single one in memory. Both run the same code, so a model sees in use what it saw in training.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from countersign.model.findings import FOLD_WINDOW_MS, Finding

RECENT_MS = 3 * FOLD_WINDOW_MS
"""The "last 15 minutes": the finding's own window and the two before it."""
SITE = "*"


@dataclass(slots=True)
class Firings:
    """How often something fired, in findings."""

    firings: int = 0
    first_seen_ms: int = 0
    last_seen_ms: int = 0
    hosts: int = 0
    benign: int = 0
    threat: int = 0


@dataclass(slots=True)
class Activity:
    """Alerts and findings of one host (or the site) in one window."""

    alerts: int = 0
    findings: int = 0


@dataclass(frozen=True, slots=True)
class Past:
    """What was known about a finding's surroundings before it. -1 stands for "never"."""

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


@dataclass(slots=True)
class History:
    """Working set of counts; ``changed_*`` name what must be written back.

    host_rules_before / site_rules_before: distinct rules seen recently that are not in ``pairs`` / ``rules`` of this set.
    """

    rules: dict[str, Firings] = field(default_factory=dict)
    pairs: dict[tuple[str, str], Firings] = field(default_factory=dict)
    activity: dict[tuple[str, int], Activity] = field(default_factory=dict)
    recent_rules: dict[str, dict[str, int]] = field(default_factory=dict)  # host or SITE → rule → last seen
    distinct: dict[str, tuple[int, set[str]]] = field(default_factory=dict)  # key → (since, rules seen since then)
    changed_rules: set[str] = field(default_factory=set)
    changed_pairs: set[tuple[str, str]] = field(default_factory=set)
    changed_activity: set[tuple[str, int]] = field(default_factory=set)

    def past(self, finding: Finding, *, first: bool) -> Past:
        """Counts before ``finding``. With ``first`` False the finding itself was observed earlier and is left out."""
        host, rule_key = finding.host, finding.rule_key
        own = 0 if first else 1
        rule = self.rules.get(rule_key) or Firings()
        pair = self.pairs.get((host, rule_key)) or Firings()
        since = finding.window_ms - RECENT_MS + FOLD_WINDOW_MS
        return Past(
            pair_firings=max(0, pair.firings - own),
            pair_gap_s=_gap(pair, own, finding),
            rule_firings=max(0, rule.firings - own),
            rule_gap_s=_gap(rule, own, finding),
            rule_hosts=rule.hosts,
            rule_benign=rule.benign,
            rule_threat=rule.threat,
            host_rules=self._distinct(host, since),
            host_alerts=self._alerts(host, finding.window_ms),
            site_rules=self._distinct(SITE, since),
            site_alerts=self._alerts(SITE, finding.window_ms),
        )

    def observe(self, finding: Finding, *, added: int, first: bool) -> None:
        """Take note of ``added`` alerts of this finding; ``first`` when the finding is new."""
        host, rule_key, seen = finding.host, finding.rule_key, finding.last_seen_ms
        new_pair = (host, rule_key) not in self.pairs
        self._fire(self.rules.setdefault(rule_key, Firings()), finding, first=first, hosts=int(new_pair))
        self._fire(self.pairs.setdefault((host, rule_key), Firings()), finding, first=first, hosts=0)
        self.changed_rules.add(rule_key)
        self.changed_pairs.add((host, rule_key))
        for key in (host, SITE):
            recent = self.recent_rules.setdefault(key, {})
            recent[rule_key] = max(recent.get(rule_key, seen), seen)
            if key in self.distinct and seen >= self.distinct[key][0]:
                self.distinct[key][1].add(rule_key)
            cell = self.activity.setdefault((key, finding.window_ms), Activity())
            cell.alerts += added
            cell.findings += int(first)
            self.changed_activity.add((key, finding.window_ms))

    @staticmethod
    def _fire(row: Firings, finding: Finding, *, first: bool, hosts: int) -> None:
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
        cells = (self.activity.get((key, window_ms - back)) for back in range(0, RECENT_MS, FOLD_WINDOW_MS))
        return sum(cell.alerts for cell in cells if cell is not None)


def _gap(row: Firings, own: int, finding: Finding) -> int:
    """Seconds since the last firing, -1 if it never fired before this finding."""
    if row.firings - own <= 0:
        return -1
    return max(0, finding.first_seen_ms - row.last_seen_ms) // 1000
