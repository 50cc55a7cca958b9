"""What the stage machine knows of one scope, and what it says happened: plain records that survive a restart."""

from __future__ import annotations

from enum import StrEnum
from typing import TypeAlias

import msgspec

from countersign.autonomy.alarm import Alarm
from countersign.autonomy.bounds import ALPHA_PPM, DELTA_PPM
from countersign.autonomy.change import RUN_LENGTH, Change
from countersign.autonomy.evidence import Certificate
from countersign.autonomy.scopes import CLOSING_STAGES, START_STAGE, Stage
from countersign.model.verdicts import PPM

LADDER = tuple(Stage)
LABEL_AGE_MS_MAX = 30 * 86_400_000
"""A scope that closes while nobody has reviewed one of its closes for so long steps back."""


class Cause(StrEnum):
    """Why a scope went down or its evidence began anew."""

    ALARM = "alarm"
    CHANGE = "change"
    MISS = "confirmed_miss"
    STALE = "stale_labels"
    MODEL = "model_changed"
    POLICY = "policy_changed"
    KILL_SWITCH = "kill_switch"
    PERSON = "person"


class Happened(StrEnum):
    """What an event says."""

    CERTIFIED = "certified"
    HALTED = "halted"
    RESTARTED = "restarted"
    DEMOTED = "demoted"
    PROMOTED = "promoted"
    STOPPED = "stopped"
    RESUMED = "resumed"
    ACKNOWLEDGED = "acknowledged"


class Rules(msgspec.Struct, frozen=True):
    """What the bounds promise. The stricter certificate, for the last stage, is at half of alpha."""

    alpha_ppm: int = ALPHA_PPM
    delta_ppm: int = DELTA_PPM
    run_length: int = RUN_LENGTH
    label_age_ms_max: int = LABEL_AGE_MS_MAX


class Observation(msgspec.Struct, frozen=True):
    """A person's answer on a close (or, in ``advise``, on a would-be close).

    model, policy: hashes of what decided on the close.
    q_ppm: probability with which it was drawn; q_min_ppm: lowest of that design; both PPM where all are reviewed.
    blind: the person did not see the verdict; only such answers feed the certificate for the last stage, since who saw it
    may have followed it.
    """

    finding: str
    threat: bool
    at_ms: int
    blind: bool
    model: str
    policy: str
    q_ppm: int = PPM
    q_min_ppm: int = PPM


class Approval(msgspec.Struct, frozen=True):
    """A named person's approval of one step, its signature checked before it comes here. reference: of the record."""

    person: str
    scope: str
    to: Stage
    reference: str


class Event(msgspec.Struct, frozen=True):
    """One thing that happened. statistic and value: what caused it, in the unit that its name ends with."""

    scope: str
    happened: Happened
    before: Stage
    after: Stage
    at_ms: int
    cause: str = ""
    statistic: str = ""
    value: int = 0


class ScopeState(msgspec.Struct, frozen=True):
    """Everything the machine knows of a scope. reviewed, threats: since the evidence last began. halted: latched cause of
    an alarm or change, until a person acknowledges it; the gate's ``alarm``. newest_label_ms: 0 before the first."""

    scope: str
    model: str
    policy: str
    certificate: Certificate
    strict: Certificate
    alarm: Alarm
    change: Change
    stage: Stage = START_STAGE
    rules: Rules = Rules()
    reviewed: int = 0
    threats: int = 0
    newest_label_ms: int = 0
    stopped: bool = False
    halted: str = ""

    @property
    def in_force(self) -> Stage:
        """The stage that counts: under the kill switch nothing is even shown."""
        return LADDER[0] if self.stopped else self.stage

    @property
    def may_close(self) -> bool:
        """Whether the scope's part of the gate holds."""
        return self.in_force in CLOSING_STAGES and not self.halted


Step: TypeAlias = tuple[ScopeState, tuple[Event, ...]]


def begin(scope: str, model: str, policy: str, rules: Rules | None = None) -> ScopeState:
    """A scope at its start, with no evidence. model, policy: hashes of what is in use."""
    rules = rules or Rules()
    alpha, delta = rules.alpha_ppm, rules.delta_ppm
    return ScopeState(
        scope=scope,
        model=model,
        policy=policy,
        rules=rules,
        certificate=Certificate(alpha_ppm=alpha, delta_ppm=delta),
        strict=Certificate(alpha_ppm=alpha // 2, delta_ppm=delta),
        alarm=Alarm(alpha_ppm=alpha, delta_ppm=delta),
        change=Change(alpha_ppm=alpha, run_length=rules.run_length),
    )


def event(state: ScopeState, happened: Happened, at_ms: int, cause: str, statistic: str = "", value: int = 0) -> Event:
    """An event that leaves the stage as it is."""
    return Event(state.scope, happened, state.stage, state.stage, at_ms, str(cause), statistic, value)


def named(held: Certificate) -> str:
    """How a certificate is called as a statistic, by its alpha."""
    return f"certificate_{held.alpha_ppm}_ppm_unats"
