"""What a ``finding.decided`` entry looks like once written: a schema to check bytes by, in compiled code.

The ledger holds more of these than of all other kinds together. Checking the written bytes costs a quarter of looking at
every value before it is written; a body that does not fit takes that slower way, so a field added to
``bodies.finding_decided`` must be added here for speed, not for correctness.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

INTEGER_MAX = 2**53 - 1
"""Largest magnitude that every JSON reader keeps exact (RFC 8785 section 3.2.2.3: numbers are IEEE doubles)."""

Exact = Annotated[int, msgspec.Meta(ge=-INTEGER_MAX, le=INTEGER_MAX)]
Value = Exact | str


class _Strict(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """Neither more nor fewer fields than declared; no float, boolean or null passes for an integer or text."""


class _Actor(_Strict):
    id: str
    lease: str
    type: str


class _Alerts(_Strict):
    added: Exact
    total: Exact


class _Counterfactual(_Strict):
    changes: list[tuple[str, Value, Value, Exact]]
    pico: Exact
    possible: Exact


class _Record(_Strict):
    blob: str
    place: Exact


class _Body(_Strict):
    action: str
    advice: str
    alerts: _Alerts
    case: str
    conditions: list[tuple[str, str, str, str]]
    contributions: list[tuple[str, Value, Exact]]
    counterfactual: _Counterfactual
    first: Exact
    host: str
    intercept: Exact
    label: str
    links: list[tuple[str, str, str]]
    model: str
    novelty_ppm: Exact
    p_ppm: tuple[Exact, Exact]
    pattern: str
    pico: Exact
    policy: str
    rarity: Exact
    record: _Record
    rule: str
    scope: str
    seen: tuple[Exact, Exact]
    severity: Exact
    sources: dict[str, tuple[Exact, Exact, Exact]]
    stage: str
    tainted: list[str]
    techniques: list[str]
    why: str
    draw: tuple[str, Exact, Exact, Exact, Exact] | None = None


class DecisionEntry(_Strict):
    """The whole entry."""

    actor: _Actor
    body: _Body
    kind: str
    subject: str
    tenant: str
    time: Exact
    trigger: str
    v: Exact
