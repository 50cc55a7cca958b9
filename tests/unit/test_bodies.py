"""What entries say: counts that add up, and people only as pseudonyms."""

from __future__ import annotations

import pytest

from countersign.ledger import bodies
from countersign.ledger.bodies import REASONS_MAX, alert_received
from countersign.model.cases import Link, LinkReason
from countersign.model.entities import EntityType


def received(ignored: dict[str, int], duplicates: int = 0, bad: int = 0) -> dict[str, object]:
    lines = 10 + sum(ignored.values()) + duplicates + bad
    return alert_received(
        source="s",
        origin="o",
        blob="b",
        digests=[bytes([n % 256]) for n in range(lines)],
        ignored=ignored,
        duplicates=duplicates,
        bad=bad,
    )


def test_what_was_received_adds_up() -> None:
    body = received({"flow": 3, "dns": 2}, duplicates=4, bad=1)
    assert (body["lines"], body["accepted"], body["duplicates"], body["quarantined"]) == (20, 10, 4, 1)
    assert list(body["ignored"].items()) == [("dns", 2), ("flow", 3)]  # type: ignore[attr-defined]


@pytest.mark.parametrize("several", [REASONS_MAX, REASONS_MAX + 1, 400])
def test_reasons_are_bounded_and_none_is_lost(several: int) -> None:
    ignored = {f"reason {n:03}": 1 + (n == several - 1) for n in range(several)}
    told = received(ignored)["ignored"]
    assert isinstance(told, dict)
    assert len(told) <= REASONS_MAX + 1
    assert sum(told.values()) == sum(ignored.values())
    assert told[f"reason {several - 1:03}"] == 2  # the commonest is named


@pytest.mark.parametrize(
    ("key", "personal"),
    [
        ("user:ann", True),
        ("mail:ann@corp.example", True),
        ("url:https://x/?u=ann", True),
        ("host:web-1", False),
        ("ip:10.0.0.1", False),
    ],
)
def test_what_may_name_a_person_is_personal(key: str, personal: bool) -> None:
    assert bodies.is_personal(key) is personal


def test_no_type_of_entity_was_forgotten() -> None:
    """Whoever adds a type must say here whether it can name a person."""
    impersonal = {EntityType.HOST, EntityType.IP, EntityType.DOMAIN, EntityType.HASH, EntityType.PROCESS, EntityType.FILE}
    assert {kind for kind in EntityType if not bodies.is_personal(f"{kind.value}:x")} == impersonal


def test_a_link_names_no_person() -> None:
    given = {"user:ann": "user~1"}
    assert bodies._link(Link("F", "C-1", LinkReason.SAME_USER, "user:ann"), given) == ("C-1", "same_user", "user~1")
    recurrence = Link("F", "C-1", LinkReason.SAME_PATTERN, "P-1@user:ann")
    assert bodies._link(recurrence, given) == ("C-1", "same_pattern", "P-1")
    assert bodies._link(Link("F", "C-1", LinkReason.SAME_HOST, "host:web-1"), given) == ("C-1", "same_host", "host:web-1")
