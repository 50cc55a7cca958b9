"""Everything that was decided comes out the same again, from ledger and evidence alone; what somebody changed is named."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import Engine, delete, select, update

from countersign.actions import ACTIONS
from countersign.bootstrap import Site, open_site
from countersign.evaluate import replay as replaying_module
from countersign.evaluate.replay import Result, replay
from countersign.ledger.canonical import decode, encode
from countersign.model.entries import Entry, Kind
from countersign.store import tables as t
from countersign.store.engine import make_engine, reading, writing
from tests import fakes, marking, npm, replaying
from tests.earned import DAY_MS
from tests.fakes import StepClock, data_directory

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The database of a site that has decided everything."""
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        for name, action in marking.actions().items():
            patch.setitem(ACTIONS, name, action)
        site = open_site(data_directory(folder / "data", f"sqlite:///{folder / 'whole.sqlite'}"), clock=StepClock())
        (folder / "marks").mkdir()
        replaying.closes(site)
        replaying.refuses(site, replaying.responds(site, folder / "marks"))
        site.close()
    return folder / "whole.sqlite"


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    """A copy of the database on another machine: no keys, no log, no configuration."""
    (tmp_path / "copy").mkdir()
    shutil.copy(whole, tmp_path / "copy" / "countersign.sqlite")
    return tmp_path / "copy"


@contextmanager
def database(data: Path) -> Iterator[Engine]:
    engine = make_engine(f"sqlite:///{data / 'countersign.sqlite'}")
    try:
        yield engine
    finally:
        engine.dispose()


def replayed(data: Path, **options: object) -> Result:
    with database(data) as engine, reading(engine) as conn:
        return replay(conn, **options)  # type: ignore[arg-type]


def entries(data: Path, kind: Kind) -> list[tuple[int, Entry]]:
    with database(data) as engine, reading(engine) as conn:
        rows = conn.execute(select(t.entries.c.idx, t.entries.c.bytes).where(t.entries.c.kind == kind.value)).all()
    return [(row.idx, decode(row.bytes)) for row in rows]


def changed(data: Path, index: int, change: Callable[[Entry], Entry]) -> None:
    """Put other bytes in the place of an entry, as somebody with the database could."""
    with database(data) as engine, writing(engine) as conn:
        held = decode(conn.execute(select(t.entries.c.bytes).where(t.entries.c.idx == index)).scalar_one())
        conn.execute(update(t.entries).where(t.entries.c.idx == index).values(bytes=encode(change(held))))


def with_body(**fields: object) -> Callable[[Entry], Entry]:
    return lambda entry: msgspec.structs.replace(entry, body=entry.body | fields)


def hardly_drawn(entry: Entry) -> Entry:
    """A close that was hardly to be drawn for review."""
    week, _, q_min_ppm, drawn, p1_ppm = entry.body["draw"]
    return with_body(draw=[week, 1, q_min_ppm, drawn, p1_ppm])(entry)


def drawn_otherwise(entry: Entry) -> Entry:
    """A close that was drawn and is said not to be, or the reverse."""
    week, q_ppm, q_min_ppm, drawn, p1_ppm = entry.body["draw"]
    return with_body(draw=[week, q_ppm, q_min_ppm, 1 - drawn, p1_ppm])(entry)


def test_everything_that_was_decided_comes_out_the_same(copy: Path) -> None:
    found = replayed(copy)
    kinds = {one.kind: one for one in found.kinds}
    assert (found.problems, found.left) == ((), 0)
    assert found.replayed == found.same > 1_000
    assert {kind.value for kind in replaying.DECIDED} <= kinds.keys()
    assert kinds["policy request"].same == kinds["policy request"].replayed > 1_000
    assert kinds["review draw"].same == kinds["review draw"].replayed > 20


def test_it_needs_neither_keys_nor_configuration_and_writes_nothing(copy: Path) -> None:
    before = hashlib.sha256((copy / "countersign.sqlite").read_bytes()).digest()
    found = fakes.run_json("replay", "--data", copy)
    assert (found["problems"], found["left"]) == ([], 0)
    assert hashlib.sha256((copy / "countersign.sqlite").read_bytes()).digest() == before
    assert not (copy / "keys").exists()
    assert fakes.run("replay", "--data", copy.parent / "nothing-here").returncode == 2
    (copy / "countersign.sqlite").write_bytes(b"no database, but a file of this name")
    done = fakes.run("replay", "--data", copy)
    assert done.returncode != 0
    assert b"Traceback" not in done.stderr


def test_several_processes_find_what_one_finds(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index, _ = entries(copy, Kind.FINDING_DECIDED)[7]
    changed(copy, index, with_body(pico=1))
    monkeypatch.setattr(replaying_module, "PART", 400)
    assert replayed(copy, jobs=2) == replayed(copy)


@pytest.mark.parametrize(
    ("kind", "change", "what"),
    [
        (Kind.FINDING_DECIDED, with_body(action="close"), "action"),
        (Kind.FINDING_DECIDED, with_body(label="threat"), "label"),
        (Kind.FINDING_DECIDED, hardly_drawn, "draw"),
        (Kind.FINDING_DECIDED, drawn_otherwise, "draw"),
        (Kind.LEASE_ISSUED, with_body(expires_ms=1), "signature"),
        (Kind.LEASE_ISSUED, with_body(operations=["action.run"]), "agent"),
        (Kind.LEASE_REFUSED, with_body(reason="agent stopped"), "reason"),
        (Kind.CHANGE_PROPOSED, with_body(digest="0" * 64), "digest"),
        (Kind.CHANGE_APPROVED, with_body(standing="waiting"), "standing"),
        (Kind.PROPOSAL_CREATED, with_body(people=2), "people"),
        (Kind.PROPOSAL_APPROVED, with_body(standing="waiting"), "standing"),
        (Kind.PROPOSAL_DENIED, with_body(standing="waiting"), "standing"),
        (Kind.PROPOSAL_EXPIRED, lambda e: msgspec.structs.replace(e, time=1), "expired"),
        (Kind.ACTION_INTENDED, with_body(approvals=[1]), "approvals"),
        (Kind.ACTION_INTENDED, lambda e: msgspec.structs.replace(e, time=1), "approved"),
        (Kind.ACTION_STARTED, with_body(sealed=0), "sealed"),
        (Kind.AUTONOMY_OBSERVED, with_body(reviewed=7), "reviewed"),
        (Kind.AUTONOMY_PROMOTED, with_body(value=1), "value"),
        (Kind.REVIEW_COMMITTED, lambda e: msgspec.structs.replace(e, subject="1999-W01"), None),
    ],
)
def test_a_changed_entry_is_named(copy: Path, kind: Kind, change: Callable[[Entry], Entry], what: str | None) -> None:
    found_there = entries(copy, kind)
    drawn = [index for index, entry in found_there if "draw" in entry.body]
    index = drawn[0] if what == "draw" else found_there[0][0]
    changed(copy, index, change)
    found = {problem.index: problem.what for problem in replayed(copy).problems}
    if what is None:
        assert any("seed" in words for words in found.values())
    else:
        assert what in found[index]


@pytest.mark.parametrize("data", [None, b"{"])
def test_entries_that_cannot_be_read_are_named_and_end_nothing(copy: Path, data: bytes | None) -> None:
    kinds = replaying.DECIDED - {Kind.REVIEW_COMMITTED}  # without it no draw follows, and those fill the list
    spoilt = {entries(copy, kind)[0][0] for kind in kinds}
    for index in spoilt:
        changed(copy, index, lambda entry: msgspec.structs.replace(entry, body={"nonsense": 1}))
    if data is not None:
        with database(copy) as engine, writing(engine) as conn:
            conn.execute(update(t.entries).where(t.entries.c.idx.in_(spoilt)).values(bytes=data))
    found = replayed(copy)
    assert spoilt <= {problem.index for problem in found.problems}
    assert found.same > 1_000
    assert fakes.run("policy", "requests", "--out", copy / "out", "--data", copy).returncode == 1


@pytest.mark.parametrize("kind", [Kind.MODEL_ACTIVATED, Kind.POLICY_ACTIVATED])
def test_an_unknown_model_or_policy_is_a_named_problem(copy: Path, kind: Kind) -> None:
    with database(copy) as engine, writing(engine) as conn:
        for _, entry in entries(copy, kind):
            conn.execute(delete(t.evidence).where(t.evidence.c.digest == entry.body["blob"]))
    found = replayed(copy)
    assert found.problems
    assert "evidence is not in the store" in found.problems[0].what
    for index, _ in entries(copy, kind):
        changed(copy, index, lambda entry: msgspec.structs.replace(entry, subject="another"))
    assert "not in the ledger" in next(p.what for p in replayed(copy).problems if p.kind == "finding.decided")


def test_what_was_erased_cannot_be_replayed_and_says_so(copy: Path) -> None:
    with database(copy) as engine, writing(engine) as conn:
        _, entry = entries(copy, Kind.FINDING_DECIDED)[0]
        conn.execute(delete(t.evidence).where(t.evidence.c.digest == entry.body["record"]["blob"]))
    found = replayed(copy)
    assert found.problems == ()
    (decided,) = [one for one in found.kinds if one.kind == "finding.decided"]
    assert decided.left == {"its record is not in the evidence store": found.left}
    assert found.left > 0


# --- by another Cedar -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def node(pytestconfig: pytest.Config) -> Path:
    """Cedar's own WebAssembly build, installed from the committed lock file."""
    assert pytestconfig.cache is not None
    return npm.installed("cedar", "@cedar-policy", pytestconfig.cache.mkdir("node-cedar"))


def elsewhere(node: Path, copy: Path, *options: str) -> tuple[int, dict[str, Any], str]:
    """What another Cedar makes of the recorded requests: exit code, counts, and what it names."""
    lines = copy / "requests.jsonl"
    done = fakes.run("policy", "requests", "--out", lines, *options, "--data", copy)
    assert done.returncode == 0, done.stderr.decode()
    ran = subprocess.run(["node", "replay.mjs", str(lines)], cwd=node, capture_output=True, check=False, timeout=300)
    assert ran.stdout, ran.stderr.decode()
    return ran.returncode, json.loads(ran.stdout), ran.stderr.decode()


def test_another_cedar_gives_every_recorded_answer(copy: Path, node: Path) -> None:
    code, counts, named = elsewhere(node, copy)
    assert (code, counts["differ"], named) == (0, 0, "")
    assert counts["requests"] >= 1_000
    assert counts["allow"] > 200 < counts["deny"]
    assert counts["conditions"] > 10_000
    assert counts["kinds"].keys() == {
        "finding.decided close",
        "lease.issued read",
        "change.proposed propose",
        "change.approved approve",
        "change.approved change_autonomy",
        "change.approved change_people",
        "change.approved change_policy",
        "proposal.created propose",
        "proposal.approved approve",
        "action.intended run",
        "action.started run",
        "action.left run",
    }


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        (Kind.FINDING_DECIDED, lambda e: with_body(conditions=[["stage", "held", "", ""], *e.body["conditions"][1:]])(e)),
        (Kind.LEASE_ISSUED, with_body(expires_ms=1)),
        (Kind.ACTION_STARTED, lambda e: msgspec.structs.replace(e, time=e.time + DAY_MS)),
    ],
)
def test_a_changed_fact_is_named_by_both(copy: Path, node: Path, kind: Kind, change: Callable[[Entry], Entry]) -> None:
    index, _ = entries(copy, kind)[0]
    changed(copy, index, change)
    assert index in {problem.index for problem in replayed(copy).problems}
    code, counts, named = elsewhere(node, copy, "--since", str(index), "--limit", "50")
    assert (code, counts["differ"] > 0) == (1, True)
    assert {line.split(" (")[0] for line in named.splitlines()} == {f"entry {index}"}


def test_requests_are_given_from_an_entry_on_and_no_more_than_asked_for(copy: Path) -> None:
    index, _ = entries(copy, Kind.CHANGE_APPROVED)[-1]
    done = fakes.run("policy", "requests", "--since", str(index), "--limit", "3", "--data", copy)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    asked = [line for line in lines if "set" not in line]
    assert lines[0]["set"] == asked[0]["policy"] != asked[-1]["policy"]
    assert (len(asked), asked[0]["entry"]) == (3, index)
    refused = fakes.run("policy", "requests", "--out", copy / "no" / "folder", "--data", copy)
    assert (refused.returncode, refused.stderr.count(b"\n")) == (2, 1)


def test_one_subject_is_replayed_by_itself(copy: Path) -> None:
    index, approved = entries(copy, Kind.PROPOSAL_APPROVED)[0]
    found = replayed(copy, ident=approved.subject)
    assert {one.kind for one in found.kinds} >= {"proposal.created", "proposal.approved", "action.started"}
    changed(copy, index, with_body(standing="waiting"))
    assert [problem.index for problem in replayed(copy, ident=approved.subject).problems] == [index]


def test_a_site_replays_on_either_database(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, action in marking.actions().items():
        monkeypatch.setitem(ACTIONS, name, action)
    (tmp_path / "marks").mkdir()
    replaying.enrolled(site)
    replaying.refuses(site, replaying.responds(site, tmp_path / "marks"))
    found = fakes.run_json("replay", "--jobs", "2", "--data", site.data)
    assert (found["problems"], found["left"]) == ([], 0)
    assert {"lease.refused", "action.left", "proposal.outdated"} <= {one["kind"] for one in found["kinds"]}
