"""From a placed finding to its verdict and decision: features, score, novelty, gate. Pure.

The gate's whole input is kept with the record, so that ``replay`` can ask the gate again years later.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from countersign.autonomy.bounds import ALPHA_PPM
from countersign.autonomy.scopes import START_STAGE, Scope, scope_of
from countersign.correlate.link import pattern_key
from countersign.correlate.nearby import KINDS, SITE, window_of
from countersign.flow import Batch, CaseState, Judged, Placed
from countersign.model.decisions import Action, Decision
from countersign.model.evidence import Evidence
from countersign.model.verdicts import Label, Verdict
from countersign.policy.gate import GateInput, decide
from countersign.triage.features import FEATURES, Context, features, share_ppm
from countersign.triage.model import HARD_CAP_PPM, Model, probability_ppm
from countersign.triage.novelty import Novelty, PatternRecord, assess, rarity
from countersign.triage.text import artefacts

DAY_MS = 86_400_000
_encode = msgspec.msgpack.Encoder().encode
_NOBODY = PatternRecord()
_NEW_CASE = CaseState()
_AROUND = tuple(FEATURES.index(name) for name in ("asset_criticality", "identity_criticality", "ti_hits"))
_PATTERN_SHARE, _RULE_SHARE = FEATURES.index("pattern_share_ppm"), FEATURES.index("rule_share_ppm")


class Surroundings(Protocol):
    """What the evidence says about a finding's surroundings (``enrich.facts``)."""

    @property
    def asset_criticality(self) -> int:
        """Highest criticality among the assets, -1 when the inventory names none."""
        ...

    @property
    def identity_criticality(self) -> int:
        """Highest criticality among the identities, -1 when the inventory names none."""
        ...

    @property
    def host_role(self) -> str:
        """Role of the main host."""
        ...

    @property
    def ti_hits(self) -> int:
        """Entities that threat intelligence names."""
        ...

    @property
    def unknown_entities(self) -> int:
        """Entities neither in the inventory nor proven external."""
        ...

    @property
    def unavailable(self) -> tuple[str, ...]:
        """Lookups that did not answer."""
        ...


@dataclass(frozen=True, slots=True)
class Judge:
    """Verdict and decision for every finding of a micro-batch. ``required``: lookups that must have answered. scopes: the
    site's, by name. gate: the policy in force."""

    model: Model
    surroundings: Callable[[Sequence[Evidence], str], Surroundings]
    required: frozenset[str]
    tz_offset_min: int = 0
    scopes: Mapping[str, Scope] = field(default_factory=dict)
    gate: Callable[[GateInput], Decision] = decide

    def __call__(self, batch: Batch) -> list[Judged]:
        """In the order of ``batch.placed``."""
        around = [self.surroundings(p.evidence, p.finding.host) for p in batch.placed]
        known = [batch.patterns.get(p.pattern, _NOBODY) for p in batch.placed]
        rows = [self._row(p, a, k, batch) for p, a, k in zip(batch.placed, around, known, strict=True)]
        rarities = [p.rarity if p.row else rarity(p.finding, p.past) for p in batch.placed]
        ranked = {name: sorted(record.rarities) for name, record in batch.patterns.items()}
        novelties = [
            assess(k, r, batch.now_ms, ranked.get(p.pattern, ()))
            for k, r, p in zip(known, rarities, batch.placed, strict=True)
        ]
        silent = [tuple(name for name in a.unavailable if name in self.required) for a in around]
        verdicts = self.model.verdicts(
            rows,
            novelty_ppm=[n.p_ppm for n in novelties],
            missing=[bool(names) for names in silent],
            texts=[artefacts(p.finding) for p in batch.placed] if self.model.reads_text else (),
        )
        trouble = [trouble_of(p, v.label, batch) for p, v in zip(batch.placed, verdicts, strict=True)]
        others = _Others(batch, trouble)
        closed = Counter(batch.closed)
        judged = []
        for i, placed in enumerate(batch.placed):
            scope = self._scope(placed)
            governed = batch.governed.get(scope.name)
            p1 = governed.p1_ppm(verdicts[i].pico) if governed else None
            counts = others.of(i, thin=thin(known[i]))
            used = max(0, _used(closed, scope, batch) - placed.closed)
            given = self._gate_input(placed, verdicts[i], novelties[i], around[i], silent[i], counts, batch, scope, p1, used)
            decision = self.gate(given)
            closed[scope.name] += decision.action is Action.CLOSE and not placed.closed
            judged.append(Judged(rows[i], rarities[i], verdicts[i], decision, _encode(given), trouble[i], p1))
        return judged

    def _scope(self, placed: Placed) -> Scope:
        found = scope_of(placed.finding)
        return self.scopes.get(found.name, found)

    def _row(self, placed: Placed, around: Surroundings, known: PatternRecord, batch: Batch) -> tuple[int | str, ...]:
        """Features of the finding; when it is only asked about again, those of its record, with what lookups say and the
        site's own record as they are now."""
        if not placed.row:
            return features(placed.finding, self._context(placed, around, known, batch))
        values = list(placed.row)
        for place, value in zip(
            _AROUND, (around.asset_criticality, around.identity_criticality, around.ti_hits), strict=True
        ):
            values[place] = value
        values[_PATTERN_SHARE] = share_ppm(known.benign, known.threat)
        values[_RULE_SHARE] = share_ppm(placed.past.rule_benign, placed.past.rule_threat)
        return tuple(values)

    def _context(self, placed: Placed, around: Surroundings, known: PatternRecord, batch: Batch) -> Context:
        return Context(
            past=placed.past,
            case_stages=batch.cases.get(placed.case, _NEW_CASE).stages,
            asset_criticality=around.asset_criticality,
            identity_criticality=around.identity_criticality,
            host_role=around.host_role,
            ti_hits=around.ti_hits,
            pattern_benign=known.benign,
            pattern_threat=known.threat,
            tz_offset_min=self.tz_offset_min,
        )

    def _gate_input(
        self,
        placed: Placed,
        verdict: Verdict,
        novelty: Novelty,
        around: Surroundings,
        silent: tuple[str, ...],
        others: tuple[int, int],
        batch: Batch,
        scope: Scope,
        p1: int | None,
        used: int,
    ) -> GateInput:
        governed = batch.governed.get(scope.name)
        return GateInput(
            scope=scope,
            stage=governed.state.stage if governed else START_STAGE,
            stopped=bool(batch.killed & {"*", scope.name}),
            alarm=bool(governed and governed.state.halted),
            reviewed=governed.state.reviewed if governed else 0,
            label=verdict.label,
            p1_ppm=p1,
            threshold_ppm=HARD_CAP_PPM,
            probability_ppm=probability_ppm(verdict),
            asset_criticality=around.asset_criticality,
            identity_criticality=around.identity_criticality,
            unknown_entities=around.unknown_entities,
            pattern_known=novelty.known,
            pattern_doubt=novelty.reason,
            novelty_ppm=novelty.p_ppm,
            sources_unavailable=silent,
            case_undecided=others[0],
            case_threats=others[1],
            severity=placed.finding.severity,
            tactics=placed.finding.tactics,
            closed_this_hour=used,
            concerns=int(placed.left),
            ti_hits=around.ti_hits,
            sealed=batch.sealed,
        )


def _used(closed: Mapping[str, int], scope: Scope, batch: Batch) -> int:
    """Closes of this hour as the gate is told: exact where the budget is near, else as the batch began, so that the gate's
    answers can be remembered."""
    if closed[scope.name] + len(batch.placed) >= scope.closes_per_hour:
        return closed[scope.name]
    return batch.closed.get(scope.name, 0)


def thin(known: PatternRecord) -> bool:
    """Whether the pattern's own record leaves its risk above alpha: a handful of benign reviews is no shield while something
    goes on elsewhere on the site."""
    return share_ppm(known.benign, known.threat) not in range(ALPHA_PPM + 1)


def trouble_of(placed: Placed, label: Label, batch: Batch) -> Label:
    """What the finding means for its neighbours: undecided, a threat, or nothing (``BENIGN``). Once a person judged it, that
    stands. What people confirmed on the same anchor within a day is no news: it goes to a person, but tells nothing new
    about what is around it."""
    if placed.settled and placed.before is not None:
        return placed.before
    if label is Label.INSUFFICIENT:
        then = batch.confirmed.get(pattern_key(placed.pattern, placed.finding.anchor))
        return Label.BENIGN if then is not None and batch.now_ms - then <= DAY_MS else label
    return label


class _Others:
    """Trouble among the other findings of a case, or near a finding, with this batch's verdicts taken in."""

    def __init__(self, batch: Batch, trouble: Sequence[Label]) -> None:
        self._batch, self._trouble = batch, trouble
        self._cases = {p.case: Counter(batch.cases.get(p.case, _NEW_CASE).unsettled) for p in batch.placed}
        for placed, now in zip(batch.placed, trouble, strict=True):
            case = self._cases[placed.case]
            if placed.before is not None:
                case[placed.before] -= 1
            case[now] += 1
            batch.nearby.change(placed.finding.anchor, window_of(placed.finding.first_seen_ms), placed.before, now)

    def of(self, i: int, *, thin: bool) -> tuple[int, int]:
        """(undecided, threats) besides finding ``i``: in its case or within the hour, whichever is more. thin: its pattern
        minds the whole site."""
        placed, own = self._batch.placed[i], self._trouble[i]
        anchor = SITE if thin else placed.finding.anchor
        near = self._batch.nearby.count(anchor, window_of(placed.finding.first_seen_ms)) if anchor else (0, 0)
        counts = [max(self._cases[placed.case][kind], near[k]) - (own is kind) for k, kind in enumerate(KINDS)]
        return max(0, counts[0]), max(0, counts[1])
