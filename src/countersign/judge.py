"""From a placed finding to its verdict and decision: features, score, novelty, gate. Pure.

The gate's whole input is kept with the record, so that ``replay`` can ask the gate again years later.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Protocol

import msgspec

from countersign.autonomy.bounds import ALPHA_PPM
from countersign.autonomy.governor import Governed
from countersign.autonomy.scopes import START_STAGE, Scope, Stage, scope_of
from countersign.correlate.link import pattern_key
from countersign.correlate.nearby import BY_LEVEL, LEVEL, SITE, window_of
from countersign.flow import Batch, CaseState, Judged, Placed
from countersign.model.alerts import Severity
from countersign.model.decisions import Action, Decision
from countersign.model.evidence import Evidence
from countersign.model.verdicts import Label
from countersign.policy.gate import GateInput, decide
from countersign.triage.calibrate import merged_ppm
from countersign.triage.features import FEATURES, Context, features, share_ppm
from countersign.triage.model import HARD_CAP_PPM, Model
from countersign.triage.novelty import Novelty, PatternRecord, assess, rarity
from countersign.triage.text import artefacts

DAY_MS = 86_400_000
_encode = msgspec.msgpack.Encoder().encode
_NOBODY = PatternRecord()
_NEW_CASE = CaseState()
_CLOSE = Action.CLOSE
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

    def __hash__(self) -> int:
        """By content: many findings have the same surroundings."""
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
        verdicts = self.model.verdicts(
            rows,
            novelty_ppm=[n.p_ppm for n in novelties],
            missing=[not self.required.isdisjoint(a.unavailable) for a in around],
            texts=[artefacts(p.finding) for p in batch.placed] if self.model.reads_text else (),
        )
        trouble = [trouble_of(p, v.label, batch) for p, v in zip(batch.placed, verdicts, strict=True)]
        others = _Others(batch, trouble)
        told: dict[str, _Told] = {}
        ask = cache(partial(self._ask, batch.sealed))  # lives as long as the batch
        judged = []
        for i, (placed, verdict) in enumerate(zip(batch.placed, verdicts, strict=True)):
            finding, scope = placed.finding, self._scope(placed)
            tell = told.get(scope.name)
            if tell is None:
                tell = told[scope.name] = _told(scope, batch)
            p1 = tell.governed.p1_ppm(verdict.pico) if tell.governed else None
            decision, given = ask(
                tell,
                verdict.label,
                p1,
                (verdict.p0_ppm, verdict.p1_ppm),
                around[i],
                novelties[i],
                others.of(i, thin=thin(known[i])),
                finding.severity,
                finding.tactics,
                tell.used(placed),
                placed.left,
            )
            tell.closed += decision.action is _CLOSE and not placed.closed
            judged.append(Judged(rows[i], rarities[i], verdict, decision, given, trouble[i], p1))
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

    def _ask(
        self,
        sealed: bool | None,
        told: _Told,
        label: Label,
        p1: int | None,
        interval: tuple[int, int],
        around: Surroundings,
        novelty: Novelty,
        others: tuple[int, int],
        severity: Severity,
        tactics: tuple[str, ...],
        used: int,
        left: bool,
    ) -> tuple[Decision, bytes]:
        """What the gate says, and msgpack of what it was asked. Remembered while a batch is judged: many of its findings
        differ in nothing that the gate minds."""
        given = GateInput(
            scope=told.scope,
            stage=told.stage,
            stopped=told.stopped,
            alarm=told.alarm,
            reviewed=told.reviewed,
            label=label,
            p1_ppm=p1,
            threshold_ppm=HARD_CAP_PPM,
            probability_ppm=merged_ppm(*interval),
            asset_criticality=around.asset_criticality,
            identity_criticality=around.identity_criticality,
            unknown_entities=around.unknown_entities,
            pattern_known=novelty.known,
            pattern_doubt=novelty.reason,
            novelty_ppm=novelty.p_ppm,
            sources_unavailable=tuple([name for name in around.unavailable if name in self.required]),
            case_undecided=others[0],
            case_threats=others[1],
            severity=severity,
            tactics=tactics,
            closed_this_hour=used,
            concerns=int(left),
            ti_hits=around.ti_hits,
            sealed=sealed,
        )
        return self.gate(given), _encode(given)


@dataclass(slots=True, eq=False)
class _Told:
    """What the gate is told of one scope throughout a batch. began, closed: closes of this hour when the batch began, and by
    now. near: closes from which on the batch could use up the budget."""

    scope: Scope
    governed: Governed | None
    stage: Stage
    stopped: bool
    alarm: bool
    reviewed: int
    began: int
    closed: int
    near: int

    def used(self, placed: Placed) -> int:
        """Closes of this hour besides this finding's own as the gate is told: exact where the budget is near, else as the
        batch began, so that the gate's answers can be remembered."""
        return max(0, (self.closed if self.closed >= self.near else self.began) - placed.closed)


def _told(scope: Scope, batch: Batch) -> _Told:
    governed, began = batch.governed.get(scope.name), batch.closed.get(scope.name, 0)
    return _Told(
        scope=scope,
        governed=governed,
        stage=governed.state.stage if governed else START_STAGE,
        stopped=bool(batch.killed & {"*", scope.name}),
        alarm=bool(governed and governed.state.halted),
        reviewed=governed.state.reviewed if governed else 0,
        began=began,
        closed=began,
        near=scope.closes_per_hour - len(batch.placed),
    )


def thin(known: PatternRecord) -> bool:
    """Whether the pattern's own record leaves its risk above alpha: a handful of benign reviews is no shield while something
    goes on elsewhere on the site."""
    return not 0 <= share_ppm(known.benign, known.threat) <= ALPHA_PPM


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
        self._batch = batch
        self._own = [LEVEL[now] for now in trouble]
        self._near = cache(batch.nearby.count)
        self._cases: dict[str, list[int]] = {}
        for placed, now, level in zip(batch.placed, trouble, self._own, strict=True):
            counts = self._cases.get(placed.case)
            if counts is None:
                state = batch.cases.get(placed.case, _NEW_CASE)
                counts = self._cases[placed.case] = [state.unsettled.get(kind, 0) for kind in BY_LEVEL]
            if placed.before is not None:
                counts[LEVEL[placed.before]] -= 1
            counts[level] += 1
            batch.nearby.change(placed.finding.anchor, window_of(placed.finding.first_seen_ms), placed.before, now)

    def of(self, i: int, *, thin: bool) -> tuple[int, int]:
        """(undecided, threats) besides finding ``i``: in its case or within the hour, whichever is more. thin: its pattern
        minds the whole site."""
        placed, own = self._batch.placed[i], self._own[i]
        anchor = SITE if thin else placed.finding.anchor
        near = self._near(anchor, window_of(placed.finding.first_seen_ms)) if anchor else (0, 0)
        case = self._cases[placed.case]
        return max(0, case[1] - (own == 1), near[0] - (own == 1)), max(0, case[2] - (own == 2), near[1] - (own == 2))
