"""Evidence packs: every statement leads to proved entries, and no person is named unasked."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from countersign.actions import ACTIONS
from countersign.bootstrap import Site
from countersign.model.entries import Kind
from countersign.reporting.make import ARTICLES, Pack, Wanted, make_pack
from countersign.store import erasing, erasing_who
from countersign.store import tables as t
from countersign.store.engine import writing
from tests import fakes, marking, responding
from tests.evidence_pack import DAN, act, assert_resolves, claims
from tests.integration.test_proposals import ADA, CYN

pytestmark = pytest.mark.xdist_group("report")  # they share one site


def test_every_statement_of_a_case_leads_to_proved_entries(pack: Pack) -> None:
    assert_resolves(pack)


def test_a_case_report_holds_its_whole_way(pack: Pack) -> None:
    kinds = {json.loads(data)["kind"] for name, data in pack.files.items() if name.startswith("entries/")}
    way = {
        Kind.ALERT_RECEIVED,
        Kind.LEASE_ISSUED,
        Kind.AGENT_REGISTERED,
        Kind.MODEL_ACTIVATED,
        Kind.POLICY_ACTIVATED,
        Kind.FINDING_DECIDED,
        Kind.PASSKEY_ENROLLED,
        Kind.PERSON_ENROLLED,
        Kind.PROPOSAL_CREATED,
        Kind.PROPOSAL_APPROVED,
        Kind.ACTION_INTENDED,
        Kind.ACTION_STARTED,
        Kind.ACTION_PROBED,
        Kind.CASE_ASSIGNED,
        Kind.CASE_DISPOSED,
    }
    assert {kind.value for kind in way} <= kinds
    text = " ".join(claim["text"] for claim in claims(pack))
    for words in ("the effect holds", "takes back action", "What would have changed the result", "every condition holds"):
        assert words in text


def test_raw_messages_are_named_by_the_digests_that_their_delivery_lists(acted: tuple[Site, str], pack: Pack) -> None:
    listed = next(claim for claim in claims(pack) if claim["columns"] and claim["columns"][0].startswith("SHA-256"))
    assert len(listed["lines"]) == len(responding.CHAIN)
    for line in listed["lines"]:
        (index,) = line["cites"]
        digests = json.loads(pack.files[f"entries/{index}.json"])["body"]["sha256"]
        assert digests[int(line["cells"][1]) - 1] == line["cells"][0]
    named = make_pack(acted[0], Wanted(case=acted[1], named=True))
    raws = {name.removeprefix("messages/"): data for name, data in named.files.items() if name.startswith("messages/")}
    assert raws.keys() == {line["cells"][0] for line in listed["lines"]}
    assert all(hashlib.sha256(data).hexdigest() == name for name, data in raws.items())


def test_a_raw_message_from_which_a_person_was_erased_is_left_out_and_said(site: Site) -> None:
    case = responding.case(site)
    with writing(site.engine) as conn:
        erasing.erase(conn, erasing_who.Wanted(("script",)), "asked", "ada", site.clock.now_ms())
    made = make_pack(site, Wanted(case=case, named=True))
    assert sum("a person was erased from it" in line for line in made.withheld) == len(responding.CHAIN)
    assert not any(name.startswith("messages/") for name in made.files)


def test_a_case_is_reported_from_either_database(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, action in marking.actions().items():
        monkeypatch.setitem(ACTIONS, name, action)
    case = act(site, tmp_path / "marks")
    assert_resolves(make_pack(site, Wanted(case=case, named=True)))
    assert_resolves(make_pack(site, Wanted("soc2")))
    assert_resolves(make_pack(site, Wanted("gdpr", case)))


def test_no_person_is_named_unless_asked_for(acted: tuple[Site, str], pack: Pack) -> None:
    for name, data in pack.files.items():
        for word in (b"Lovelace", b"curlew"):
            assert word not in data, name
        for short in ("Boyd", "Rook"):
            assert short not in fakes.spoken(data), name
    assert any("canonical bytes of the proposal" in line for line in pack.withheld)
    assert not any(name.startswith("messages/") for name in pack.files)
    named = make_pack(acted[0], Wanted(case=acted[1], named=True))
    html = named.files["report.html"].decode()
    assert all(name in html for name in (ADA, CYN, DAN))
    created, _ = fakes.entries(acted[0].engine, Kind.PROPOSAL_CREATED)
    bytes_of = [data for name, data in named.files.items() if name.endswith("-proposal.json")]
    assert created.body["digest"] in {hashlib.sha256(data).hexdigest() for data in bytes_of}
    assert "Cut dc-01" in html, "what people had before them"


def test_what_was_erased_is_said_to_be_gone(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, action in marking.actions().items():
        monkeypatch.setitem(ACTIONS, name, action)
    case = act(site, tmp_path / "marks")
    with writing(site.engine) as conn:
        conn.execute(t.evidence.delete())
        conn.execute(t.pseudonyms.delete())
    made = make_pack(site, Wanted(case=case, named=True))
    assert_resolves(made)
    assert b"Lovelace" not in made.files["report.html"]
    assert sum("not in the store any more" in line for line in made.withheld) >= 5


@pytest.mark.parametrize("article", ARTICLES, ids=lambda one: one.id)
def test_every_article_is_carried_by_entries(acted: tuple[Site, str], article: Any) -> None:
    whole = make_pack(acted[0], Wanted(article.id))
    assert_resolves(whole)
    assert any(not claim["absent"] for claim in claims(whole))
    assert [section["part"] for section in json.loads(whole.files["report.json"])["sections"]] == [
        p.id for p in article.parts
    ]
    text = whole.files["report.html"].decode()
    assert "neither a certification nor legal advice" in text
    for part in article.parts:
        alone = make_pack(acted[0], Wanted(f"{article.id}-{part.id}".upper()))
        (section,) = json.loads(alone.files["report.json"])["sections"]
        assert section["part"] == part.id


def test_the_ai_act_s_report_says_that_it_is_voluntary_and_when_it_applies(acted: tuple[Site, str]) -> None:
    text = make_pack(acted[0], Wanted("ai-act")).files["report.html"].decode()
    assert "This mapping is voluntary." in text
    assert "2 December 2027" in text
    assert "cannot show yet that six months of it are kept" in text


def test_the_gdpr_s_report_says_what_was_weighed_and_what_would_have_changed_it(acted: tuple[Site, str]) -> None:
    site, case = acted
    made = make_pack(site, Wanted("gdpr", case))
    said = claims(made)
    weighed = [claim for claim in said if claim["bars"] >= 0]
    decided = fakes.entries(site.engine, Kind.FINDING_DECIDED)
    assert len(weighed) == len(decided)
    for claim in weighed:
        (index,) = claim["cites"]
        body = json.loads(made.files[f"entries/{index}.json"])["body"]
        assert len(claim["lines"]) == len(body["contributions"]) + 1
    assert sum(claim["text"].startswith("What would have changed the result: ") for claim in said) == len(decided)


def test_what_no_entry_of_the_period_shows_is_said_in_plain_words(acted: tuple[Site, str]) -> None:
    site, _ = acted
    before = Wanted("CC7.4", first_ms=1, last_ms=2)
    made = make_pack(site, before)
    said = claims(made)
    assert all(claim["absent"] for claim in said)
    assert all(claim["text"].startswith("No entry") for claim in said)


def test_a_period_holds_its_own_entries_alone(acted: tuple[Site, str]) -> None:
    site, _ = acted
    proposed = fakes.entries(site.engine, Kind.PROPOSAL_CREATED)
    made = make_pack(site, Wanted("CC7.4", last_ms=proposed[0].time))
    held = [json.loads(data) for name, data in made.files.items() if name.startswith("entries/")]
    assert {one["subject"] for one in held if one["kind"] == "proposal.created"} == {proposed[0].subject}
    assert not [one for one in held if one["kind"] == "action.probed"]
