"""What a site remembers while AIT-ADS goes by: people's labels, and where there is trouble. Past only.

Trouble is what the case gate asks about: findings that are undecided or threats, by a person's label where there is one
and by the prior's verdict until then. It counts within the finding's case until a person has settled it, and within an hour
on the same host. For a *thin* pattern, whose own record does not yet put its risk below alpha (rule of succession: 1/(n+2)),
it counts on the whole site within the hour: a handful of benign reviews is no shield while something goes on next door.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from countersign.autonomy.bounds import ALPHA_PPM
from countersign.correlate.link import HOUR_MS
from countersign.evaluate.ait_stream import Batch, Found, Touch
from countersign.model.verdicts import Label
from countersign.triage.features import FEATURES, share_ppm
from countersign.triage.novelty import PatternRecord

RARITIES_MAX = 1_000
DAY_MS = 24 * HOUR_MS
_PATTERN_SHARE = FEATURES.index("pattern_share_ppm")
_RULE_SHARE = FEATURES.index("rule_share_ppm")
_NOBODY = PatternRecord()


@dataclass(slots=True)
class Memory:
    """labels: a person's answer per finding (place in ``found``). verdicts: the prior's label per finding seen.

    by_role: patterns are told apart by the host's role. thin_site: thin patterns mind the whole site. chronic: what people
    confirmed on a host within a day is no news there. on_host, everywhere: findings in order of appearance.
    """

    found: tuple[Found, ...]
    by_role: bool = True
    thin_site: bool = True
    chronic: bool = True
    labels: dict[int, bool] = field(default_factory=dict)
    verdicts: dict[int, Label] = field(default_factory=dict)
    last: dict[int, Touch] = field(default_factory=dict)
    cases: dict[int, str] = field(default_factory=dict)
    in_case: defaultdict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    on_host: defaultdict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    everywhere: list[int] = field(default_factory=list)
    trouble: set[int] = field(default_factory=set)
    patterns: dict[str, PatternRecord] = field(default_factory=dict)
    confirmed: dict[tuple[str, str], int] = field(default_factory=dict)
    rules: defaultdict[str, list[int]] = field(default_factory=lambda: defaultdict(lambda: [0, 0]))

    def merge(self, batch: Batch) -> None:
        """Cases that became one."""
        for gone, case in batch.merged:
            for finding in self.in_case.pop(gone, ()):
                self.in_case[case].add(finding)
                self.cases[finding] = case

    def take(self, touch: Touch) -> None:
        """A finding as it stands now."""
        i = touch.finding
        self.last[i] = touch
        if i not in self.cases:
            self.cases[i] = touch.case
            self.in_case[touch.case].add(i)
            self.on_host[self.found[i].anchor].append(i)
            self.everywhere.append(i)

    def judge(self, i: int, label: Label, now_ms: int) -> bool:
        """The prior's verdict. True when the finding is trouble and was not before."""
        self.verdicts[i] = label
        if i in self.labels:
            return False
        return self._mark(i, label is Label.THREAT or (label is Label.INSUFFICIENT and not self._told(i, now_ms)))

    def settle(self, i: int, threat: bool, at_ms: int) -> bool:
        """A person's answer: pattern and rule gain a label, and the matter leaves its case. True when it is news that the
        finding is a threat."""
        key, old = self._pattern(i), self.record(i)
        rarities = (*old.rarities, self.last[i].rarity)[-RARITIES_MAX:]
        self.labels[i] = threat
        self.patterns[key] = PatternRecord(old.benign + (not threat), old.threat + threat, at_ms, rarities)
        self.rules[self.found[i].rule][threat] += 1
        self.in_case[self.cases[i]].discard(i)
        news = threat and not self._told(i, at_ms)
        if threat:
            self.confirmed[key, self.found[i].anchor] = at_ms
        self._mark(i, news)
        return news

    def _told(self, i: int, now_ms: int) -> bool:
        """Whether people confirmed a threat of this pattern on this host within the last day: one more goes to a person (its
        pattern is not verified), but tells the gate nothing new about its neighbours."""
        then = self.confirmed.get((self._pattern(i), self.found[i].anchor))
        return self.chronic and then is not None and now_ms - then <= DAY_MS

    def _mark(self, i: int, troubled: bool) -> bool:
        new = troubled and i not in self.trouble
        (self.trouble.add if troubled else self.trouble.discard)(i)
        return new

    def _pattern(self, i: int) -> str:
        return self.found[i].pattern if self.by_role else self.found[i].rule

    def record(self, i: int) -> PatternRecord:
        """What people said of the finding's pattern."""
        return self.patterns.get(self._pattern(i), _NOBODY)

    def thin(self, i: int) -> bool:
        """Whether the pattern's own record leaves its risk above alpha."""
        known = self.record(i)
        return self.thin_site and share_ppm(known.benign, known.threat) not in range(ALPHA_PPM + 1)

    def row(self, i: int) -> tuple[int | str, ...]:
        """The finding's features with the site's own record as it is now."""
        values, known, rule = list(self.last[i].values), self.record(i), self.rules.get(self.found[i].rule, (0, 0))
        values[_PATTERN_SHARE] = share_ppm(known.benign, known.threat)
        values[_RULE_SHARE] = share_ppm(*rule)
        return tuple(values)

    def troubling(self, i: int) -> set[int]:
        """The other findings that the case gate minds."""
        others = self.in_case[self.cases[i]] & self.trouble
        others.update(j for j in self.near(i, thin=self.thin(i)) if j in self.trouble)
        return others - {i}

    def around(self, i: int) -> tuple[int, int]:
        """(undecided, threats) among them."""
        others = self.troubling(i)
        kinds = Counter(self.labels.get(j) is None and self.verdicts[j] is Label.INSUFFICIENT for j in others)
        return kinds[True], kinds[False]

    def near(self, i: int, *, thin: bool) -> Iterator[int]:
        """Findings within an hour of this one, before or after: of its host, or of the whole site."""
        at = self.found[i].first_ms
        for j in reversed(self.everywhere if thin else self.on_host[self.found[i].anchor]):
            gap = self.found[j].first_ms - at
            if gap < -2 * HOUR_MS:  # the list is in order of batches: an hour's slack is plenty
                return
            if abs(gap) <= HOUR_MS:
                yield j

    def touched_by(self, i: int) -> set[int]:
        """Findings whose case gate looks at this one: of its case, of its host's hour, and thin ones of the site's hour."""
        found = set(self.in_case[self.cases[i]]) | set(self.near(i, thin=False))
        if self.thin_site:
            found.update(j for j in self.near(i, thin=True) if self.thin(j))
        return found - {i}
