"""``countersign learn`` on a site that people worked on: what counts as a label, and a candidate that is only proposed."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path

import pytest
from sqlalchemy import select, update

from countersign.autonomy.scopes import Stage
from countersign.bootstrap import Site, open_site
from countersign.evaluate.learn_labels import Example, examples, snapshot
from countersign.evaluate.replay import replay
from countersign.impact import Impact
from countersign.model.entries import Kind
from countersign.store import tables as t
from countersign.store.engine import reading, writing
from countersign.triage.features import FEATURES
from countersign.triage.model import Model
from tests import fakes
from tests.earned import DAY_MS, HOSTS, live_through, noise, promote
from tests.fakes import NOON_MS, StepClock, deliver, run, wazuh
from tests.passkey_signing import sign_for

SHARE = FEATURES.index("rule_share_ppm")


def case_of(site: Site, host: str) -> str:
    with reading(site.engine) as conn:
        return str(conn.execute(select(t.findings.c.case_id).where(t.findings.c.host == host)).scalars().first())


def alone(ident: str, host: str, **more: object) -> bytes:
    """An alert that shares nothing but its rule with the others."""
    return wazuh(ident, host=host, data={}, **more)  # type: ignore[arg-type]


def labelled(site: Site, *, imported: bool = False) -> dict[str, Example]:
    with reading(site.engine) as conn:
        found = examples(conn, imported=imported)
        hosts = dict(conn.execute(select(t.findings.c.id, t.findings.c.host)).all())  # type: ignore[arg-type]
    return {hosts[one.finding]: one for one in found}


def test_only_what_people_found_is_a_label(site: Site) -> None:
    said = {"a": "true_positive", "b": "benign", "c": "false_positive", "d": "test", "e": "duplicate"}
    deliver(site, [alone(host, host) for host in [*said, "open", "agent", "again"]])
    for host, disposition in said.items():
        site.commands.dispose(case_of(site, host), disposition, "seen", "ada")
    with writing(site.engine) as conn:  # as the agent would leave it
        conn.execute(update(t.cases).where(t.cases.c.id == case_of(site, "agent")).values(status="closed_agent"))
    site.commands.dispose(case_of(site, "again"), "benign", "seen", "ada")
    site.commands.reopen(case_of(site, "again"), "not so sure", "ada")
    found = labelled(site)
    assert {host: one.threat for host, one in found.items()} == {"a": True, "b": False, "c": False}
    assert {one.source for one in found.values()} == {"human"}
    site.commands.dispose(case_of(site, "again"), "true_positive", "it was real", "ada")
    assert labelled(site)["again"].threat


def test_features_are_those_before_the_label_was_given(site: Site) -> None:
    """A repeat after the disposition is decided knowing it: that decision teaches nothing."""
    deliver(site, [alone("1", "a")])
    before = labelled_entry(site)
    site.commands.dispose(case_of(site, "a"), "true_positive", "seen", "ada")
    deliver(site, [alone("2", "a")])
    assert labelled_entry(site) > before
    one = labelled(site)["a"]
    assert one.entry == before
    assert one.row[SHARE] == -1
    assert one.texts[0].startswith("sshd")


def labelled_entry(site: Site) -> int:
    with reading(site.engine) as conn:
        return int(conn.execute(select(t.findings.c.entry)).scalar_one())


def test_dispositions_of_tools_are_labels_only_when_asked_for_and_give_way_to_people(site: Site) -> None:
    mapping = """
format = "json"
trusted = ["rule", "title", "status", "host"]
[time]
field = "at"
format = "epoch_ms"
[rule]
field = "rule"
[title]
field = "title"
[label]
field = "status"
[product]
constant = "desk"
[[entity]]
type = "host"
role = "target"
field = "host"
"""
    said = {"a": "False Positive", "b": "true-positive", "c": "in progress", "d": "benign"}
    rows = [
        json.dumps({"at": NOON_MS + i, "rule": "7", "title": "odd", "status": status, "host": host}).encode()
        for i, (host, status) in enumerate(said.items())
    ]
    summary = deliver(site, rows, "generic", mapping=mapping)
    assert summary.accepted == 4, summary
    assert labelled(site) == {}
    site.commands.dispose(case_of(site, "d"), "true_positive", "seen", "ada")
    found = labelled(site, imported=True)
    assert {host: (one.threat, one.source) for host, one in found.items()} == {
        "a": (False, "imported"),
        "b": (True, "imported"),
        "d": (True, "human"),
    }


@pytest.mark.slow
def test_a_blind_answer_is_a_label_and_the_machines_close_is_not(site: Site) -> None:
    live_through(site)
    promote(site, Stage.SUPERVISED)
    deliver(site, noise(range(200, HOSTS), at_ms=NOON_MS + DAY_MS))
    with reading(site.engine) as conn:
        closed = sorted(conn.execute(select(t.closes.c.finding_id)).scalars())
        people = {one.finding for one in examples(conn)}
    assert closed
    assert not people & set(closed)
    site.commands.review(closed[0], "threat", "it was real", "ada")
    with reading(site.engine) as conn:
        (one,) = [one for one in examples(conn) if one.finding == closed[0]]
    assert (one.threat, one.source) == (True, "sampled-blind")


def test_the_snapshot_names_labels_and_decisions_and_nobody() -> None:
    one = Example("F-1", "C-1", 7, True, "human", (1,), ("text of ada",))
    other = Example("F-1", "C-1", 7, False, "human", (1,), ("text of ada",))
    assert snapshot([one]) == snapshot([Example("F-2", "C-2", 7, True, "human", (2,), ())])
    assert snapshot([one]) != snapshot([other])


def test_too_few_labels_are_one_line_and_nothing_is_written(data: Path) -> None:
    site = open_site(data, clock=StepClock())
    deliver(site, [alone("1", "a")])
    site.commands.dispose(case_of(site, "a"), "benign", "seen", "ada")
    before = len(fakes.entries(site.engine))
    done = run("learn", "--data", data)
    assert done.returncode == 2
    assert done.stderr.decode().splitlines()[-1].startswith("countersign: learn: too little to learn from: 1 labelled")
    assert len(done.stderr.splitlines()) == 1
    assert not (data / "models").exists()
    assert len(fakes.entries(site.engine)) == before
    site.close()


def test_out_belongs_to_the_prior(tmp_path: Path) -> None:
    done = run("learn", "--out", tmp_path / "x.json", "--data", tmp_path)
    assert (done.returncode, done.stdout) == (2, b"")


def work(site: Site, rounds: int, hosts: Sequence[str]) -> None:
    """People work through alerts of several days: encoded commands are threats, backups are not."""
    draw = random.Random(5)
    for turn in range(rounds):
        at_ms = NOON_MS + turn * 3_600_000
        bad = {host for host in hosts if draw.random() < 0.12}
        deliver(
            site,
            [
                alone(
                    f"{turn}-{host}",
                    f"{host}-{turn}",
                    at_ms=at_ms,
                    rule="91" if draw.random() < 0.5 else "92",
                    title="A script ran",
                    full_log="powershell -enc hidden payload" if host in bad else "nightly backup of the archive finished",
                )
                for host in hosts
            ],
        )
        for host in hosts:
            found = "true_positive" if host in bad else "benign"
            site.commands.dispose(case_of(site, f"{host}-{turn}"), found, "seen", "ada")


@pytest.mark.slow
def test_a_candidate_is_measured_proposed_and_in_force_only_once_a_person_says_so(data: Path) -> None:
    pytest.importorskip("lightgbm")
    site = open_site(data, clock=StepClock())
    work(site, 11, [f"h{i}" for i in range(30)])
    done = run("learn", "--data", data, "--json")
    assert done.returncode == 0, done.stderr.decode()
    said = json.loads(done.stdout)
    raw = (data / "models" / f"{said['model']}.json").read_bytes()
    model = Model.from_bytes(raw)
    assert model.id == said["model"]
    assert said["active"] is False
    (entry,) = fakes.entries(site.engine, Kind.MODEL_PROPOSED)
    assert entry.actor.type == "human"
    assert {name: said[name] for name in entry.body if name not in {"model", "blob"}} == {
        name: value for name, value in entry.body.items() if name not in {"model", "blob"}
    }
    assert said["labels"] == {"human": 330}
    assert said["trained"] + said["tested"] == 330
    assert len(fakes.entries(site.engine, Kind.MODEL_ACTIVATED)) == 1
    auc, low, high = said["metrics"]["candidate"]["auc"]
    assert low <= auc <= high
    assert auc > said["metrics"]["current"]["auc"][0]
    assert said["metrics"]["judgement"] == "better"
    assert said["text_grams"] > 0
    sign_for(site, Impact(site).activation(model.id))
    hour = NOON_MS + 100 * 3_600_000
    deliver(site, [alone("x", "x", at_ms=hour, title="A script ran", full_log="powershell -enc hidden payload")])
    last = fakes.entries(site.engine, Kind.FINDING_DECIDED)[-1]
    assert last.body["model"] == model.id
    assert last.body["pico"] == last.body["intercept"] + sum(pico for *_, pico in last.body["contributions"])
    assert any(name.startswith("text:") for name, *_ in last.body["contributions"])
    with reading(site.engine) as conn:
        result = replay(conn)
    assert (result.problems, result.left) == ((), 0)
    assert ("finding.decided", 331) in {(one.kind, one.same) for one in result.kinds}
    again = run("learn", "--data", data, "--json")  # the same labels give the same bytes
    assert json.loads(again.stdout)["model"] == model.id
    fakes.assert_rebuilds(site)
    fakes.verified(site)
    site.close()
