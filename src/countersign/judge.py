"""From a placed finding to its verdict and decision: features, score, novelty, gate. Pure.

The gate's whole input is kept with the record, so that ``replay`` can ask the gate again years later.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

from countersign.autonomy.scopes import START_STAGE, scope_of
from countersign.flow import Batch, CaseState, Judged, Placed
from countersign.model.evidence import Evidence
from countersign.model.verdicts import Label, Verdict
from countersign.policy.gate import GateInput, decide
from countersign.triage.features import Context, features
from countersign.triage.model import HARD_CAP_PPM, Model, probability_ppm
from countersign.triage.novelty import Novelty, PatternRecord, assess, rarity

_encode = msgspec.msgpack.Encoder().encode
_NOBODY = PatternRecord()
_NEW_CASE = CaseState()


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
    """Verdict and decision for every finding of a micro-batch. ``required``: lookups that must have answered."""

    model: Model
    surroundings: Callable[[Sequence[Evidence], str], Surroundings]
    required: frozenset[str]
    tz_offset_min: int = 0

    def __call__(self, batch: Batch) -> list[Judged]:
        """In the order of ``batch.placed``."""
        around = [self.surroundings(p.evidence, p.finding.host) for p in batch.placed]
        known = [batch.patterns.get(p.pattern, _NOBODY) for p in batch.placed]
        rows = [
            features(p.finding, self._context(p, a, k, batch)) for p, a, k in zip(batch.placed, around, known, strict=True)
        ]
        rarities = [rarity(p.finding, p.past) for p in batch.placed]
        novelties = [assess(k, r, batch.now_ms) for k, r in zip(known, rarities, strict=True)]
        silent = [tuple(name for name in a.unavailable if name in self.required) for a in around]
        verdicts = self.model.verdicts(
            rows, novelty_ppm=[n.p_ppm for n in novelties], missing=[bool(names) for names in silent]
        )
        unsettled = _unsettled(batch, verdicts)
        judged = []
        for i, placed in enumerate(batch.placed):
            given = self._gate_input(placed, verdicts[i], novelties[i], around[i], silent[i], unsettled, batch)
            judged.append(Judged(rows[i], rarities[i], verdicts[i], decide(given), _encode(given)))
        return judged

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
        unsettled: Mapping[str, Mapping[Label, int]],
        batch: Batch,
    ) -> GateInput:
        scope = scope_of(placed.finding)
        undecided, threats = _others(placed, verdict.label, unsettled, batch)
        return GateInput(
            scope=scope,
            stage=START_STAGE,
            stopped=bool(batch.killed & {"*", scope.name}),
            alarm=False,
            label=verdict.label,
            p1_ppm=verdict.p1_ppm,
            threshold_ppm=HARD_CAP_PPM,
            probability_ppm=probability_ppm(verdict),
            asset_criticality=around.asset_criticality,
            identity_criticality=around.identity_criticality,
            unknown_entities=around.unknown_entities,
            pattern_known=novelty.known,
            pattern_doubt=novelty.reason,
            novelty_ppm=novelty.p_ppm,
            sources_unavailable=silent,
            case_undecided=undecided,
            case_threats=threats,
            severity=placed.finding.severity,
            tactics=placed.finding.tactics,
            closed_this_hour=0,
            concerns=0,
            ti_hits=around.ti_hits,
        )


def _unsettled(batch: Batch, verdicts: Sequence[Verdict]) -> dict[str, Counter[Label]]:
    """Per case of this batch: findings by label, with this batch's verdicts taken in."""
    state = {p.case: Counter(batch.cases.get(p.case, _NEW_CASE).unsettled) for p in batch.placed}
    for placed, verdict in zip(batch.placed, verdicts, strict=True):
        if placed.before is not None:
            state[placed.case][placed.before] -= 1
        state[placed.case][verdict.label] += 1
    return state


def _others(placed: Placed, label: Label, unsettled: Mapping[str, Mapping[Label, int]], batch: Batch) -> tuple[int, int]:
    """(undecided, threats) among the other findings of the case, or on the anchor within the hour: the larger of the two."""
    near = batch.unsettled_hosts.get(placed.finding.anchor, {})
    counts = []
    for kind in (Label.INSUFFICIENT, Label.THREAT):
        in_case = unsettled[placed.case][kind] - (label is kind)
        nearby = near.get(kind, 0) - (placed.before is kind)
        counts.append(max(in_case, nearby, 0))
    return counts[0], counts[1]
