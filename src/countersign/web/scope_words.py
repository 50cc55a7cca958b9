"""What a scope's state means, in words: stages, why it may not close, what happened, statistics beside their limits."""

from __future__ import annotations

from math import exp, log, log1p
from typing import NamedTuple

from countersign.autonomy.evidence import UNATS
from countersign.autonomy.scopes import CLOSING_STAGES, Stage
from countersign.autonomy.states import LADDER, ScopeState
from countersign.autonomy.threshold import Band
from countersign.model.verdicts import PICO, PPM
from countersign.store.read_autonomy import ScopeView
from countersign.store.read_case import EntryView
from countersign.web import words

STAGES = {
    Stage.OBSERVE: "computes, shows nothing",
    Stage.ADVISE: "shows verdict and draft; people decide",
    Stage.SUPERVISED: "closes; every close is reviewed blind",
    Stage.AUTONOMOUS: "closes; a drawn sample is reviewed blind",
}
CAUSES = {
    "alarm": "alarm",
    "change": "change detector",
    "confirmed_miss": "a confirmed miss",
    "stale_labels": "nobody reviewed for too long",
    "model_changed": "another model",
    "policy_changed": "another policy",
    "kill_switch": "kill switch",
    "person": "a person",
}
HAPPENED = {
    "autonomy.stopped": "Stopped by a person",
    "autonomy.resumed": "Kill switch lifted",
    "autonomy.certified": "Certificate reached",
    "autonomy.halted": "Alarm raised",
    "autonomy.restarted": "Evidence began anew",
    "autonomy.demoted": "Stepped back",
    "autonomy.promoted": "Promoted by a person",
    "autonomy.acknowledged": "Alarm acknowledged",
}


class Rung(NamedTuple):
    """One stage of the ladder. place: "past", "here" or "ahead"."""

    name: str
    does: str
    place: str


class Reading(NamedTuple):
    """A statistic beside its limit, both in nats. good: reaching the limit is what one hopes for."""

    name: str
    what: str
    value: float
    limit: float
    good: bool


def ladder(stage: Stage) -> tuple[Rung, ...]:
    """The four stages with the present one marked."""
    at = LADDER.index(stage)
    return tuple(
        Rung(one.value, STAGES[one], "here" if i == at else "past" if i < at else "ahead") for i, one in enumerate(LADDER)
    )


def why_not(view: ScopeView) -> str:
    """Why the agent may not close alone in a scope; "" when it may."""
    state = view.governed.state
    if view.switched:
        return "the kill switch is on for " + ("every scope" if "*" in view.switched else "this scope")
    if state.halted:
        return f"{CAUSES.get(state.halted, state.halted)} not acknowledged"
    if state.stage not in CLOSING_STAGES:
        return f"stage {state.stage.value}: {STAGES[state.stage]}"
    return "" if view.governed.bands else "no score band is vouched for by enough reviews"


def readings(state: ScopeState) -> tuple[Reading, ...]:
    """Certificates, alarm and change detector beside their limits."""
    needed, rules = log(PPM / state.rules.delta_ppm), state.rules
    alpha = words.percent(rules.alpha_ppm)
    half = words.percent(rules.alpha_ppm // 2)
    certificate, strict = state.certificate.log_e, state.strict.log_e
    return (
        Reading("Certificate", f"the risk lies below {alpha}; needed for supervised", certificate, needed, True),
        Reading("Stricter certificate", f"below {half}, from blind answers alone; for autonomous", strict, needed, True),
        Reading(
            "Alarm", f"the risk lies above {alpha}; the scope steps back at the limit", state.alarm.log_e, needed, False
        ),
        Reading(
            "Change detector",
            f"the risk has risen above {alpha} lately; the scope steps back at the limit",
            state.change.unats / UNATS,
            log1p(rules.run_length),
            False,
        ),
    )


def band_upto(band: Band) -> str:
    """Upper edge of a band as a probability."""
    return words.percent(round(PPM / (1 + exp(-max(-700.0, min(700.0, band.upto / PICO))))))


def band_p1(band: Band) -> str:
    """Upper end of P(threat) in a band by the scope's own reviews."""
    return words.percent(min(PPM, (band.threats + 1) * PPM // (band.reviewed + 1)))


def happened(entry: EntryView) -> str:
    """What an entry of a scope says, in words."""
    said = HAPPENED.get(entry.kind, entry.kind)
    before, after = entry.body.get("before", ""), entry.body.get("after", "")
    return f"{said}, from {before} to {after}" if before != after else said


def because(entry: EntryView) -> str:
    """Its cause and the statistic behind it, or the reason that a person gave."""
    body = entry.body
    cause = CAUSES.get(body.get("cause", ""), body.get("cause", ""))
    parts = [cause, statistic(str(body.get("statistic", "")), int(body.get("value", 0))), str(body.get("reason", ""))]
    return "; ".join(part for part in parts if part)


def statistic(name: str, value: int) -> str:
    """A statistic with its value, in the unit that its name ends with."""
    if name.startswith("certificate_"):
        return f"certificate below {words.percent(int(name.split('_')[1]))}, log-evidence {value / UNATS:.2f}"
    if name.endswith("_unats"):
        return f"log-evidence {value / UNATS:.2f}"
    if name == "misses_count":
        return f"{value:,} {'miss' if value == 1 else 'misses'}"
    return f"newest answer {words.span(value)} old" if name.endswith("_age_ms") else ""
