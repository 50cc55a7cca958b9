"""Scopes, and the bound against scipy."""

from __future__ import annotations

import ast
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from countersign.autonomy import scopes
from countersign.autonomy.bounds import ALPHA_PPM, reviews_needed, upper_bound_ppm
from countersign.autonomy.scopes import scope_of
from countersign.model.entities import Entity, EntityType, Role
from countersign.model.verdicts import PPM
from tests.unit.test_triage_features import make

BETA = pytest.importorskip("scipy.stats").beta
COUNTS = st.integers(1, 20_000).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n)))


@given(COUNTS, st.integers(1_000, 500_000))
def test_bound_agrees_with_scipy(counts: tuple[int, int], delta_ppm: int) -> None:
    reviewed, threats = counts
    theirs = 1.0 if threats == reviewed else BETA.ppf(1 - delta_ppm / PPM, threats + 1, reviewed - threats)
    assert theirs * PPM - 0.01 <= upper_bound_ppm(reviewed, threats, delta_ppm) <= theirs * PPM + 1.01


@given(COUNTS)
def test_more_threats_or_fewer_reviews_never_lower_the_bound(counts: tuple[int, int]) -> None:
    reviewed, threats = counts
    bound = upper_bound_ppm(reviewed, threats)
    assert upper_bound_ppm(reviewed + 1, threats) <= bound <= upper_bound_ppm(reviewed + 1, threats + 1)
    assert threats / reviewed * PPM <= bound


def test_two_hundred_and_ninety_nine_clean_reviews_are_needed_for_one_percent() -> None:
    assert reviews_needed() == 299
    assert upper_bound_ppm(299, 0) <= ALPHA_PPM < upper_bound_ppm(298, 0)


def test_impossible_counts_are_refused() -> None:
    with pytest.raises(ValueError, match="no bound"):
        upper_bound_ppm(3, 4)


@pytest.mark.parametrize(
    ("product", "entity", "scope"),
    [
        ("Wazuh", None, "endpoint"),
        ("Suricata", EntityType.HOST, "network"),
        ("Okta", EntityType.USER, "identity"),
        ("Amazon GuardDuty", EntityType.HOST, "cloud"),
        ("Proofpoint TAP", None, "phishing"),
        ("AcmeGuard", EntityType.MAIL, "phishing"),
        ("AcmeGuard", EntityType.HOST, "endpoint"),
        ("AcmeGuard", EntityType.USER, "identity"),
        ("AcmeGuard", EntityType.IP, "network"),
        ("AcmeGuard", EntityType.HASH, "other"),
        ("Paws", None, "other"),
    ],
)
def test_scope_follows_the_product_and_then_the_entities(product: str, entity: EntityType | None, scope: str) -> None:
    entities = (Entity(entity, "x", Role.TARGET),) if entity else ()
    assert scope_of(msgspec.structs.replace(make(), product=product, entities=entities)).name == scope


def test_nothing_in_the_room_assigns_a_closing_stage() -> None:
    """Going up takes a person: outside the definitions, no code of the room names a stage that may close."""
    allowed = {"CLOSING_STAGES"}
    for path in Path(scopes.__file__).parent.glob("*.py"):
        for node in ast.parse(path.read_text("utf-8")).body:
            target = node.targets[0] if isinstance(node, ast.Assign) else None
            if isinstance(target, ast.Name) and target.id in allowed:
                continue
            names = {n.attr for n in ast.walk(node) if isinstance(n, ast.Attribute)}
            assert not names & {"SUPERVISED", "AUTONOMOUS"}, f"{path.name}:{node.lineno}"
