"""Reports of a site whose agent closes: the machine never passes as a person, and figures come from its reviews."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from countersign.autonomy.scopes import Stage
from countersign.bootstrap import Site
from countersign.model.entries import Kind
from countersign.reporting.articles import NEWEST_MAX
from countersign.reporting.make import Pack, Wanted, make_pack
from tests import earned, fakes

CLOSED = range(40, 46)
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("lived")]


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("reported")
    site = earned.lived_site(folder)
    earned.promote(site, Stage.SUPERVISED)
    fakes.deliver(site, earned.noise(CLOSED, at_ms=earned.NOON_MS + 2 * 3_600_000))
    yield site
    site.close()


def claims(pack: Pack) -> list[dict[str, Any]]:
    return [claim for section in json.loads(pack.files["report.json"])["sections"] for claim in section["claims"]]


def test_decisions_without_a_person_are_counted_and_explained(lived: Site) -> None:
    closes = [one for one in fakes.entries(lived.engine, Kind.FINDING_DECIDED) if one.body["action"] == "close"]
    assert len(closes) == len(CLOSED)
    made = make_pack(lived, Wanted("gdpr"))
    said = claims(made)
    alone = next(claim for claim in said if "closed by the agent, without a person" in claim["text"])
    assert alone["text"].startswith(f"{len(closes)} findings were")
    assert {line["cells"][1] for line in alone["lines"]} == {one.subject for one in closes}
    explained = {claim["cites"][0] for claim in said if claim["bars"] >= 0}
    bodies = [json.loads(made.files[f"entries/{index}.json"])["body"] for index in explained]
    assert [body["action"] for body in bodies] == ["close"] * len(closes)


def test_a_case_that_the_agent_closed_says_so_and_names_no_person(lived: Site) -> None:
    one = next(one for one in fakes.entries(lived.engine, Kind.FINDING_DECIDED) if one.body["action"] == "close")
    texts = [claim["text"] for claim in claims(make_pack(lived, Wanted(case=one.body["case"])))]
    assert any("The agent closed every finding of it by itself; no entry shows that a person" in text for text in texts)
    assert "No entry shows that a response was proposed." in texts


def test_long_lists_show_the_newest_and_say_how_many_there_are(lived: Site) -> None:
    total = len(fakes.entries(lived.engine, Kind.CASE_DISPOSED))
    said = next(c for c in claims(make_pack(lived, Wanted("CC7.3"))) if "people said what a case was" in c["text"])
    assert said["text"].startswith(f"{total} entries show")
    assert f"The newest {NEWEST_MAX} are listed and proved here" in said["text"]
    assert len(said["lines"]) == NEWEST_MAX


def test_accuracy_is_what_people_s_reviews_show(lived: Site) -> None:
    said = next(c for c in claims(make_pack(lived, Wanted("ai-act-13"))) if c["columns"] and c["columns"][0] == "scope")
    newest = fakes.entries(lived.engine, Kind.AUTONOMY_OBSERVED)[-1]
    (row,) = [line["cells"] for line in said["lines"] if line["cells"][0] == newest.subject]
    assert row[1:4] == [newest.body["stage"], f"{newest.body['reviewed']:,}", f"{newest.body['threats']:,}"]
