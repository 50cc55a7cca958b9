"""Whoever operates a log can sign any history with its key. What they cannot sign is named: people's approvals, and whatever
rests on them. Every log here is signed as it stands by the log's own key."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from countersign.approvals.change import message
from countersign.approvals.record.judge import Approvals
from countersign.ledger.verify import verify
from countersign.model.entries import Kind
from countersign.model.inventory import Criticality
from tests.approval_story import (
    ADA,
    BEA,
    CYN,
    EVE,
    HOUR_MS,
    RESPONDER,
    SYSTEM,
    TARGET,
    Story,
    approved,
    people,
    person,
    told,
)
from tests.ledger_log import KEY
from tests.passkey_signing import Authenticator
from tests.ssh_signing import make, sign

EVES = make("ssh-ed25519", "story eve")


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


# --- forgeries --------------------------------------------------------------------------------------------------------

Forge = Callable[[], Story]
FORGERIES: dict[str, tuple[Forge, str]] = {}


def forgery(words: str) -> Callable[[Forge], Forge]:
    def note(forge: Forge) -> Forge:
        FORGERIES[forge.__name__] = forge, words
        return forge

    return note


@forgery("rests on approvals that do not count")
def an_approval_that_is_not_there() -> Story:
    story = told()
    story.entries[story.at["bea"]] = msgspec.structs.replace(
        story.entries[story.at["number"]], kind=Kind.CASE_ASSIGNED, body={"owner": ""}
    )
    return story


@forgery("rests on 1 valid approvals, 2 are needed")
def an_action_with_one_of_two() -> Story:
    story = told()
    story.change("action.intended", approvals=[story.at["ada"]])
    return story


@forgery("rests on approvals that do not count")
def one_approval_counted_twice() -> Story:
    story = told()
    story.change("action.intended", approvals=[story.at["ada"]] * 2)
    return story


@forgery("is not enrolled")
def a_signature_by_a_key_of_the_operators_own() -> Story:
    story = told()
    digest = story.entries[story.at["number"]].body["digest"]
    story.change("ada", signature=sign(EVES, message(digest)))
    return story


@forgery("without an approved change, after the first")
def a_person_let_in_by_nobody() -> Story:
    story = approved()
    story.enrolled(EVE, EVES)
    return story


@forgery("is not enrolled")
def an_approval_by_a_person_let_in_by_nobody() -> Story:
    story = people()
    story.enrolled(EVE, EVES)
    number = story.ask_action(CYN)
    story.sign(number, EVE, EVES, "waiting")
    return story


@forgery("which says something else (change)")
def a_person_let_in_by_a_change_about_something_else() -> Story:
    story = people()
    story.enrolled(EVE, EVES, change=4)
    return story


@forgery("which was used before")
def a_change_used_twice() -> Story:
    story = people()
    story.role(BEA, 4)
    return story


@forgery("gives approver without an approved change")
def a_role_given_by_nobody() -> Story:
    story = people()
    story.role(EVE, -1)
    return story


@forgery("is not an approver's")
def an_approval_by_a_role_given_by_nobody() -> Story:
    story = people()
    story.passkey(EVE, Authenticator("eve"), "invite")
    story.role(EVE, -1)
    story.press(story.ask_action(CYN), EVE, Authenticator("eve"), "waiting")
    return story


@forgery("made for something else")
def an_assertion_over_something_else() -> Story:
    story = people()
    number = story.ask_action(CYN)
    story.press(number, BEA, story.bea, "waiting", digest="ab" * 32)
    return story


@forgery("made for something else")
def an_assertion_of_another_proposal() -> Story:
    story = approved()
    again = story.ask_action(CYN)
    held = story.entries[story.at["bea"]].body
    story.press(again, BEA, story.bea, "waiting", "copied")
    story.change("copied", webauthn=held["webauthn"])
    return story


@forgery("count did not grow")
def a_passkey_that_was_copied() -> Story:
    story = approved()
    story.press(story.ask_action(CYN), BEA, story.bea, "waiting", count=1)
    return story


@forgery("did not verify its user")
def an_authenticator_that_verified_nobody() -> Story:
    story = people()
    story.press(story.ask_action(CYN), BEA, story.bea, "waiting", flags=1)
    return story


@forgery("at another address")
def an_assertion_made_at_another_address() -> Story:
    story = people()
    story.press(story.ask_action(CYN), BEA, story.bea, "waiting", origin="https://elsewhere.test")
    return story


@forgery("in answer to a question of another time")
def an_assertion_that_was_kept_for_later() -> Story:
    story = people()
    number = story.ask_action(CYN)
    nonce = f"{story.now_ms - HOUR_MS:012x}{'0' * 40}"
    story.press(number, BEA, story.bea, "waiting", nonce=nonce)
    return story


@forgery("enrolled before")
def a_passkey_with_another_key_under_its_name() -> Story:
    story = approved()
    story.passkey(BEA, story.bea, "session")
    return story


@forgery("the requester never approves")
def an_approval_by_whoever_asked() -> Story:
    story = people()
    story.sign(story.ask_action(ADA), ADA, story.ada, "waiting")
    return story


@forgery("agents never approve")
def an_approval_by_an_agent() -> Story:
    story = approved()
    story.change("ada", actor=RESPONDER)
    return story


@forgery("for somebody else")
def an_approval_in_the_name_of_another() -> Story:
    story = told()
    story.change("ada", actor=person(EVE))
    return story


@forgery("one person counts once")
def one_person_twice() -> Story:
    story = people()
    number = story.ask_action(CYN)
    story.sign(number, ADA, story.ada, "waiting")
    story.sign(number, ADA, story.ada, "approved")
    return story


@forgery("says that it is approved, with 1 of 2")
def too_few_people() -> Story:
    story = told()
    story.change("ada", standing="approved")
    return story


@forgery("given after the proposal expired")
def an_approval_that_came_too_late() -> Story:
    story = people()
    number = story.ask_action(CYN)
    story.now_ms += HOUR_MS
    story.sign(number, ADA, story.ada, "waiting")
    return story


@forgery("a reason is required")
def an_approval_without_a_reason() -> Story:
    story = told()
    story.change("ada", reason=" ")
    return story


@forgery("was revoked")
def an_approval_by_a_revoked_key() -> Story:
    story = people()
    fingerprint = story.entries[1].body["fingerprint"]
    story.add(Kind.PERSON_REVOKED, person(BEA), ADA, "command", {"reason": "left", "fingerprints": [fingerprint]})
    story.sign(story.ask_action(CYN), ADA, story.ada, "waiting")
    return story


@forgery("rests on approvals that do not count")
def an_action_on_an_approval_whose_key_was_revoked_since() -> Story:
    story = approved()
    story.add(Kind.PERSON_REVOKED, person(BEA), ADA, "command", {"reason": "left", "fingerprints": []})
    story.intended(story.at["number"], [story.at["ada"], story.at["bea"]])
    return story


@forgery("answers what is denied already")
def an_approval_of_what_was_denied() -> Story:
    story = people()
    number = story.ask_action(CYN)
    body = {"digest": story.entries[number].body["digest"], "reason": "no", "standing": "denied"}
    story.add(Kind.PROPOSAL_DENIED, person(BEA), str(number), str(number), body)
    story.sign(number, ADA, story.ada, "waiting")
    return story


@forgery("answers another digest")
def an_approval_of_another_digest() -> Story:
    story = told()
    story.change("ada", digest="ab" * 32)
    return story


@forgery("whose digest is another")
def a_change_that_says_something_else() -> Story:
    story = people()
    text = story.entries[4].body["proposal"].replace("approver", "admin")
    story.change("change.proposed", proposal=text)
    return story


@forgery("is not that of the bytes beside the log")
def bytes_beside_the_log_that_say_something_else() -> Story:
    story = told()
    (blob,) = story.blobs
    story.blobs[blob] = story.blobs[blob].replace(b"dc-01", b"dc-02")
    return story


@forgery("another people than its bytes")
def fewer_people_than_a_critical_host_needs() -> Story:
    story = told()
    story.change("proposal.created", people=1)
    return story


@forgery("another target than its bytes")
def another_target_in_the_entry() -> Story:
    story = told()
    story.change("proposal.created", targets=["host:dc-02"])
    return story


@forgery("of what was never proposed")
def an_action_that_nobody_proposed() -> Story:
    story = people()
    body = {"digest": "ab" * 32, "action": "isolate_host", "approvals": [], "minutes": 0}
    story.add(Kind.ACTION_INTENDED, RESPONDER, "999", "999", body)
    return story


@forgery("rests on 0 valid approvals")
def an_action_that_nobody_approved() -> Story:
    story = people()
    number = story.ask_action(CYN)
    story.intended(number, [])
    return story


@forgery("nothing was intended before")
def an_effect_without_an_intent() -> Story:
    story = approved()
    story.started(story.at["number"])
    return story


@forgery("no checkpoint covered the intent")
def an_effect_before_its_intent_was_sealed() -> Story:
    story = told()
    story.change("action.started", sealed=story.at["action.intended"])
    return story


@forgery("cannot be sealed")
def an_approval_used_twice() -> Story:
    story = told()
    story.intended(story.at["number"], [story.at["ada"], story.at["bea"]])
    return story


@forgery("cannot be started")
def an_effect_done_twice() -> Story:
    story = told()
    story.started(story.at["number"])
    return story


@forgery("cannot be probed_ok")
def a_probe_of_what_was_not_started() -> Story:
    story = approved()
    story.probed(story.at["number"])
    return story


@forgery("approved was isolate_host")
def another_action_than_was_approved() -> Story:
    story = told()
    story.change("action.intended", action="disable_account")
    return story


@forgery("for another time than was approved")
def a_longer_time_than_was_approved() -> Story:
    story = told()
    story.change("action.intended", minutes=0)
    return story


@forgery("autonomy.promoted by change 4, which says something else (change)")
def autonomy_that_nobody_approved() -> Story:
    story = people()
    story.add(Kind.AUTONOMY_PROMOTED, SYSTEM, "endpoint", "5", {"before": "advise", "after": "supervised"})
    return story


@forgery("model.activated without an approved change")
def a_model_that_nobody_approved() -> Story:
    story = people()
    story.add(Kind.MODEL_ACTIVATED, person(ADA), "ab" * 32, "approval", {"model": "ab" * 32, "approval": "1"})
    return story


@forgery("policy.activated without an approved change")
def a_policy_that_nobody_approved() -> Story:
    story = people()
    story.add(Kind.POLICY_ACTIVATED, SYSTEM, "cedar/x", "start", {"hash": "ab" * 32, "origin": "site"})
    return story


@forgery("agent.registered without an approved change")
def an_agent_that_nobody_approved() -> Story:
    story = people()
    body = {"purpose": "p", "owner": EVE, "public_key": "00" * 32, "key": "", "operations": "action.run"}
    story.add(Kind.AGENT_REGISTERED, SYSTEM, "helper", "start", body)
    return story


@forgery("is not as it should be")
def an_entry_without_what_it_needs() -> Story:
    story = told()
    story.entries[story.at["ada"]] = msgspec.structs.replace(story.entries[story.at["ada"]], body={})
    return story


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forgery_that_the_operator_signed_is_named(name: str) -> None:
    forge, words = FORGERIES[name]
    story = forge()
    said = story.said()
    assert any(words in what for what in said), said
    assert all(f"entry {number}" in what for number, what in ((p.index, p.what) for p in story.report().problems))


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
