"""Which model is in force: the shipped one until a person activates another, then that one, at once and after a restart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import delete

from countersign.approvals import sshsig
from countersign.approvals.change import message
from countersign.bootstrap import Site, open_site
from countersign.errors import ConfigError, ConflictError, CountersignError, NotFoundError, VerificationError
from countersign.evaluate.learn import pack
from countersign.evaluate.replay import replay
from countersign.impact import Impact
from countersign.ledger.canonical import decode
from countersign.model.entries import Actor, Kind
from countersign.model.verdicts import PICO
from countersign.store import models
from countersign.store import tables as t
from countersign.store.changes import Answer
from countersign.store.engine import reading, writing
from countersign.store.read_case import case_detail
from countersign.triage import text
from countersign.triage.model import Model
from countersign.triage.text import SCHEME, TextPart
from tests import fakes
from tests.fakes import NOON_MS, StepClock, deliver, wazuh
from tests.passkey_signing import sign_for
from tests.ssh_signing import make, sign

ADA = Actor("human", "person~0123456789ab")
WORD = "wattempt"
"""A gram of the test alerts' title."""


def candidate_bytes() -> bytes:
    """The shipped model with a text part that minds one word."""
    part = TextPart(SCHEME, PICO, (text.bucket_of(WORD),), (PICO // 2,))
    return pack(msgspec.structs.replace(Model.load_prior().document, name="site", text=part))


def propose(site: Site) -> str:
    with writing(site.engine) as conn:
        return models.propose(conn, candidate_bytes(), {"findings": 1}, ADA, site.clock.now_ms())


def activate(site: Site, candidate: str) -> int:
    """A person's signature puts it in force; returns the change's number."""
    number = Impact(site).activation(candidate)
    sign_for(site, number)
    return number


def used(site: Site) -> list[str]:
    return [entry.body["model"] for entry in fakes.entries(site.engine, Kind.FINDING_DECIDED)]


def test_a_candidate_scores_nothing_until_a_person_activates_it_and_then_at_once_and_after_a_restart(
    site: Site, data: Path
) -> None:
    prior = site.model.id
    candidate = propose(site)
    deliver(site, [wazuh("1")])
    number = activate(site, candidate)
    deliver(site, [wazuh("2", at_ms=NOON_MS + 600_000)])
    restarted = open_site(data, clock=StepClock(NOON_MS + 900_000))
    try:
        assert restarted.model.id == candidate
        deliver(restarted, [wazuh("3", at_ms=NOON_MS + 1_200_000)])
    finally:
        restarted.close()
    assert used(site) == [prior, candidate, candidate]
    first, second = fakes.entries(site.engine, Kind.MODEL_ACTIVATED)
    assert (first.actor.type, first.subject) == ("system", prior)
    (approved,) = (one for one in fakes.entries(site.engine, Kind.CHANGE_APPROVED) if one.subject == str(number))
    assert (second.actor, second.subject) == (approved.actor, candidate)
    assert fakes.entries(site.engine)[int(second.body["approval"])] == approved
    assert second.body["was"] == prior
    fakes.assert_rebuilds(site)
    fakes.verified(site)


def test_decisions_with_text_replay_and_the_ledger_holds_hashes_where_screens_show_words(site: Site) -> None:
    activate(site, propose(site))
    deliver(site, [wazuh("1"), wazuh("2", rule="9", title="nothing of interest", host="b")])
    with reading(site.engine) as conn:
        result = replay(conn)
        assert ("finding.decided", 2, 2) in {(one.kind, one.replayed, one.same) for one in result.kinds}
    said, silent = fakes.entries(site.engine, Kind.FINDING_DECIDED)
    bucket = text.bucket_of(WORD)
    assert [f"text:{bucket}", bucket, PICO // 2] in [list(part) for part in said.body["contributions"]]
    assert "text" not in " ".join(name for name, *_ in silent.body["contributions"])
    assert said.body["pico"] == said.body["intercept"] + sum(pico for *_, pico in said.body["contributions"])
    with reading(site.engine) as conn:
        detail = case_detail(conn, said.body["case"])
    assert detail.top is not None
    assert [c.value for c in detail.top.verdict.contributions if c.feature.startswith("text:")] == ["attempt"]


@pytest.mark.parametrize(
    ("changed", "error", "words"),
    [
        ({"by": Actor("agent", "triage")}, ConflictError, "does not cover"),
        ({"by": Actor("human", "")}, ConflictError, "does not cover"),
        ({"reference": ""}, ConflictError, "does not cover"),
        ({"model": "0" * 64}, ConflictError, "does not cover"),
    ],
)
def test_no_model_comes_into_force_without_a_persons_approval_of_this_very_one(
    site: Site, changed: dict[str, Any], error: type[CountersignError], words: str
) -> None:
    candidate = propose(site)
    before = len(fakes.entries(site.engine))
    given = {"by": ADA, "reference": "7", "model": candidate} | changed
    with pytest.raises(error, match=words), writing(site.engine) as conn:
        models.activate(conn, candidate, models.Approval(**given), site.clock.now_ms())
    assert len(fakes.entries(site.engine)) == before


def test_what_was_never_proposed_is_refused_and_the_prior_can_be_taken_back(site: Site) -> None:
    with pytest.raises(NotFoundError, match="no such model"):
        activate(site, "0" * 64)
    with pytest.raises(ConflictError, match="in force already"):
        activate(site, site.model.id)
    activate(site, propose(site))
    activate(site, site.model.id)
    deliver(site, [wazuh("1")])
    assert used(site) == [site.model.id]


def test_bytes_that_are_no_model_are_not_proposed(site: Site) -> None:
    before = len(fakes.entries(site.engine))
    with writing(site.engine) as conn, pytest.raises(ConfigError, match="candidate"):
        models.propose(conn, b"{}", {}, ADA, 1)
    assert len(fakes.entries(site.engine)) == before


def test_a_chosen_model_that_is_gone_gives_way_to_the_shipped_one_with_the_reason(site: Site, data: Path) -> None:
    activate(site, propose(site))
    (_, chosen) = fakes.entries(site.engine, Kind.MODEL_ACTIVATED)
    with writing(site.engine) as conn:
        conn.execute(delete(t.evidence).where(t.evidence.c.digest == chosen.body["blob"]))
    deliver(site, [wazuh("1")])
    assert used(site) == [site.model.id]  # a running service goes on with the one it has
    restarted = open_site(data, clock=StepClock(NOON_MS + 900_000))
    restarted.close()
    assert restarted.model.id == site.model.id
    last = fakes.entries(site.engine, Kind.MODEL_ACTIVATED)[-1]
    assert last.actor.type == "system"
    assert "not in the store" in last.body["why"]
    again = open_site(data, clock=StepClock(NOON_MS + 1_000_000))
    again.close()
    assert len(fakes.entries(site.engine, Kind.MODEL_ACTIVATED)) == 3


def test_a_persons_signature_over_the_change_puts_the_model_in_force_and_none_other_does(site: Site) -> None:
    key = make("ssh-ed25519", "Ada")
    impact = Impact(site)
    impact.enrol("Ada", sshsig.parse_key(key.public))
    candidate = propose(site)
    number = impact.activation(candidate[:12])
    waiting = impact.waiting(number)
    assert (waiting.change.was, waiting.change.to) == (site.model.id, candidate)
    with pytest.raises(VerificationError):
        impact.approve(number, Answer("Ada", sign(key, message("0" * 64)), "looked at it"))
    deliver(site, [wazuh("1")])
    impact.approve(number, Answer("Ada", sign(key, message(waiting.digest)), "looked at it"))
    deliver(site, [wazuh("2", at_ms=NOON_MS + 600_000)])
    assert used(site) == [waiting.change.was, candidate]
    entry = fakes.entries(site.engine, Kind.MODEL_ACTIVATED)[-1]
    assert entry.actor.type == "human"
    assert entry.body["approval"].isdecimal()
    with pytest.raises(ConflictError, match="in force already"):
        impact.activation(candidate)
    with pytest.raises(NotFoundError, match="no such model"):
        impact.activation("0" * 64)
    fakes.assert_rebuilds(site)
    fakes.verified(site)


def test_whoever_signs_sees_what_the_candidate_was_measured_at(site: Site) -> None:
    side = {"log_loss": [20_000, 10_000, 30_000], "auc": [990_000, 980_000, 1_000_000]}
    measured = {"tested": 60, "metrics": {"candidate": side, "current": side, "judgement": "not told apart"}}
    with writing(site.engine) as conn:
        candidate = models.propose(conn, candidate_bytes(), measured, ADA, site.clock.now_ms())
    impact = Impact(site)
    evidence = impact.waiting(impact.activation(candidate)).change.evidence
    assert (evidence["tested"], evidence["judgement"]) == (60, "not told apart")
    assert (evidence["candidate_log_loss_ppm"], evidence["current_auc_ppm"]) == (20_000, 990_000)


def test_the_newest_activation_is_read_whole(site: Site) -> None:
    with reading(site.engine) as conn:
        newest = models.newest(conn)
        assert newest is not None
        assert models.load(conn, newest).id == site.model.id
        row = conn.execute(t.entries.select().where(t.entries.c.kind == Kind.MODEL_ACTIVATED.value)).one()
    assert decode(row.bytes) == newest
