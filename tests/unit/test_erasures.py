"""What the log tells of erasures, and what a verifier makes of it."""

from __future__ import annotations

from countersign.ledger.canonical import encode
from countersign.ledger.erasures import LISTED_MAX, Erasures, bodies, pairs
from countersign.model.entries import ENTRY_BYTES_MAX, Actor, Entry, Kind


def entry(body: dict[str, object], kind: Kind = Kind.PERSON_ERASED) -> Entry:
    return Entry(kind, 1, Actor("human", "person~1"), "user~1", "command", body)


def digest(number: int) -> str:
    return f"{number:064x}"


def test_long_lists_go_on_in_further_entries() -> None:
    some = [(digest(n), digest(n + 10**6)) for n in range(2 * LISTED_MAX + 1)]
    names = [f"url~{n:012x}" for n in range(3 * LISTED_MAX)]
    told = bodies("\U0001f600" * 2_000, {f"table_{n}": n for n in range(40)}, names, some)
    assert [(body["part"], body["parts"]) for body in told] == [(1, 3), (2, 3), (3, 3)]
    assert [pair for body in told for pair in pairs(entry(body))] == some
    assert [name for body in told for name in body["pseudonyms"]] == names
    assert all(len(encode(entry(body))) < ENTRY_BYTES_MAX for body in told)
    assert bodies("why", {}, (), ()) == [
        {"part": 1, "parts": 1, "pseudonyms": [], "evidence": [], "reason": "why", "counts": {}}
    ]


def test_only_an_erasure_accounts_for_what_is_missing() -> None:
    found = Erasures()
    for index, number in ((3, 1), (4, 2), (5, 3), (6, 1)):
        found.miss(index, digest(number))
    found.note(7, entry({"evidence": [[digest(1), digest(11)], [digest(2), ""], [digest(9), digest(19)]]}))
    found.note(8, entry({"evidence": [[digest(3), ""]]}, Kind.CASE_REOPENED))
    found.note(9, entry({"evidence": [[digest(11), digest(21)]]}))
    whats = [problem.what for problem in found.problems({digest(21), digest(9)})]
    assert whats == [
        f"evidence {digest(3)} of entry 5 is missing: it was deleted",
        f"evidence {digest(9)} is still there, though entry 7 says that it was taken away",
        f"evidence {digest(19)}, which entry 7 put in place of {digest(9)}, is missing",
    ]
    assert found.accounted() == 2
    assert [(one.entry, one.pieces) for one in found.erasures()] == [(7, 3), (9, 1)]


def test_a_body_that_is_no_erasure_says_nothing() -> None:
    for evidence in (None, "x", [["a"]], [[1, 2]], [["a", "b", "c"]], {"a": "b"}):
        assert list(pairs(entry({"evidence": evidence}))) == []
    assert list(pairs(entry({}))) == []
