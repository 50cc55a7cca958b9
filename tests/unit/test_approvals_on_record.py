"""Whoever operates a log can sign any history with its key. What they cannot sign is named: people's approvals, and whatever
rests on them. Every log here is signed as it stands by the log's own key."""

from __future__ import annotations

import msgspec
import pytest

from countersign.approvals.record.judge import Approvals
from countersign.ledger.verify import verify
from countersign.model.inventory import Criticality
from tests.approval_story import (
    ADA,
    BEA,
    CYN,
    TARGET,
    approved,
    people,
    told,
)
from tests.ledger_log import KEY
from tests.passkey_signing import Authenticator


def test_what_people_approved_and_was_carried_out_verifies() -> None:
    report = told().report()
    assert report.ok, report.problems
    wanted = {"approvals": 3, "changes": 1, "proposals": 1, "effects_of_changes": 1, "intents": 1, "starts": 1, "probes": 1}
    assert wanted.items() <= report.checked.items()
    assert (report.open, report.unchecked.get("proposals_without_their_bytes")) == ((), None)
    assert [(key.person, key.by, key.signed) for key in report.keys] == [(ADA, "first person", 2), (BEA, "change 4", 1)]


def test_with_tiles_alone_signatures_are_checked_and_the_bytes_count_as_unchecked() -> None:
    report = told().report(beside=False)
    assert report.ok, report.problems
    assert report.unchecked["proposals_without_their_bytes"] == 1
    assert report.checked["approvals"] == 3
    forged = told()
    forged.change("bea", fingerprint=forged.entries[forged.at["ada"]].body["fingerprint"])
    assert any("is not signed" in what for what in forged.said(beside=False))


@pytest.mark.parametrize("upto", [0, 1, 2])
def test_what_has_not_ended_yet_is_open_and_no_problem(upto: int) -> None:
    story = told()
    del story.entries[story.at["action.probed"] - upto :]
    report = story.report()
    assert report.ok, report.problems
    words = ["was started and nobody has probed", "was intended and has neither", ""][upto]
    assert len(report.open) == bool(words)
    assert all(words in one.what and one.index == len(story.entries) - 1 for one in report.open)


@pytest.mark.parametrize("event", ["failed", "changed", "expired"])
def test_what_was_left_to_a_person_is_not_open(event: str) -> None:
    story = approved()
    story.intended(story.at["number"], [story.at["ada"], story.at["bea"]])
    story.left(story.at["number"], event)
    report = story.report()
    assert (report.ok, report.open) == (True, ()), report.problems


def test_a_passkey_added_while_signed_in_is_told_apart() -> None:
    story = people()
    other = Authenticator("bea's other")
    story.passkey(BEA, other, "session")
    number = story.ask_action(CYN, msgspec.structs.replace(TARGET, criticality=Criticality.HIGH))
    story.press(number, BEA, other, "approved")
    report = story.report()
    assert report.ok, report.problems
    assert report.unchecked["approvals_by_keys_that_the_site_alone_vouches_for"] == 1
    assert report.keys[-1].by == "the site alone"


def test_a_missing_approval_does_not_hide_behind_an_unreadable_bundle() -> None:
    story = told()
    log = story.log()
    path = next(path for path in log.files if path.startswith("tile/entries/"))
    log.files[path] = b""
    report = verify(log, [KEY.vkey], judges=[Approvals(story.blobs.get)])
    assert not report.ok
    assert report.unchecked["entries_not_judged"] == len(story.entries)


def test_every_character_of_an_assertion_counts() -> None:
    story = told()
    held = story.entries[story.at["bea"]].body["webauthn"]
    for name, text in held.items():
        for place in range(0, len(text), 17):
            other = "A" if text[place] != "A" else "B"
            changed = text[:place] + other + text[place + 1 :]
            story.change("bea", webauthn=held | {name: changed})
            assert story.said(), (name, place)
