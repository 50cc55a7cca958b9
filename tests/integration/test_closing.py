"""Closing through the front door: what earns it, what stops it, what takes it back; and a rebuild gives it all again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import select, update

from countersign.autonomy import review
from countersign.autonomy.governor import Governed
from countersign.autonomy.scopes import Stage
from countersign.bootstrap import Site, open_site
from countersign.errors import ConflictError, NotFoundError
from countersign.evaluate.replay import replay
from countersign.model.cases import CloseState
from countersign.model.entries import Kind
from countersign.model.inventory import Asset, Criticality, Inventory
from countersign.store import autonomy, ledger, read_closes
from countersign.store import tables as t
from countersign.store.engine import reading, writing
from tests import earned, fakes
from tests.earned import DAY_MS, HOSTS, host, noise, promote
from tests.fakes import NOON_MS, StepClock, data_directory, deliver, wazuh

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("lived")]
LATER = NOON_MS + DAY_MS


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The database of a site in ``advise`` whose scope has all that a promotion asks for."""
    folder = tmp_path_factory.mktemp("lived")
    (folder / "lived.sqlite").write_bytes(earned.lived()[0])
    return folder / "lived.sqlite"


@pytest.fixture
def ready(lived: Path, tmp_path: Path) -> Iterator[Site]:
    """A copy of it for one test."""
    (tmp_path / "copy.sqlite").write_bytes(lived.read_bytes())
    site = open_site(data_directory(tmp_path / "data", f"sqlite:///{tmp_path / 'copy.sqlite'}"), clock=StepClock(LATER))
    yield site
    site.close()


@pytest.fixture
def closing(ready: Site) -> Site:
    """In ``supervised``, with closes by the agent."""
    promote(ready, Stage.SUPERVISED)
    assert deliver(ready, noise(range(200, HOSTS), at_ms=LATER)).closed > 20
    return ready


def scope(site: Site) -> Governed:
    with reading(site.engine) as conn:
        return autonomy.load(conn, site.in_force, site.clock.now_ms()).states["endpoint"]


def closes(site: Site, *states: CloseState) -> list[str]:
    with reading(site.engine) as conn:
        wanted = select(t.closes.c.finding_id).where(t.closes.c.state.in_([s.value for s in states]))
        return sorted(conn.execute(wanted).scalars())


def case_of(site: Site, finding: str) -> str:
    with reading(site.engine) as conn:
        return str(conn.execute(select(t.findings.c.case_id).where(t.findings.c.id == finding)).scalar_one())


def status_of(site: Site, case: str) -> str:
    with reading(site.engine) as conn:
        return str(conn.execute(select(t.cases.c.status).where(t.cases.c.id == case)).scalar_one())


def test_nothing_closes_in_advise_however_good_the_evidence(ready: Site) -> None:
    assert scope(ready).state.certificate.certified
    assert deliver(ready, noise(range(HOSTS), at_ms=LATER)).closed == 0


def test_a_stage_needs_its_evidence_and_an_approval_of_this_very_step(site: Site) -> None:
    earned.furnish(site)
    with pytest.raises(ConflictError, match="0 of 299 reviewed"):
        promote(site, Stage.SUPERVISED)
    assert deliver(site, noise(range(5))).closed == 0


def test_the_agent_closes_cases_and_is_named(closing: Site) -> None:
    found = closes(closing, CloseState.CLOSED)
    assert status_of(closing, case_of(closing, found[0])) == "closed_agent"
    decided = [e for e in fakes.entries(closing.engine, Kind.FINDING_DECIDED) if e.body["action"] == "close"]
    assert sorted(e.subject for e in decided) == found
    assert all(e.actor.type == "agent" and all(c[1] == "held" for c in e.body["conditions"]) for e in decided)
    assert all(e.body["stage"] == "supervised" and e.body["draw"][1:4] == [1_000_000, 1_000_000, 1] for e in decided)


def test_the_record_gives_everything_back(closing: Site) -> None:
    found = closes(closing, CloseState.CLOSED)
    closing.commands.review(found[0], "benign", "routine", "ada")
    closing.commands.overturn(case_of(closing, found[1]), "it was not", "ada")
    deliver(closing, noise(range(50), at_ms=LATER + 600_000))
    for table in (t.autonomy, t.labels, t.judgements, t.closes, t.confirmed):
        assert fakes.count(closing.engine, table.name), table.name
    fakes.assert_rebuilds(closing)
    fakes.verified(closing)
    with reading(closing.engine) as conn:
        result = replay(conn)
    assert result.replayed == result.same > 400, result.problems[:3]


def test_stop_takes_effect_with_the_next_batch_and_survives_a_restart(closing: Site) -> None:
    closing.commands.stop("*", "enough", "ada")
    assert deliver(closing, noise(range(200, HOSTS), at_ms=LATER + 600_000)).closed == 0
    again = open_site(closing.data, clock=StepClock(LATER + DAY_MS))
    assert deliver(again, noise(range(200, HOSTS), at_ms=LATER + 1_200_000)).closed == 0
    again.commands.resume("*", "go on", "ada")
    assert deliver(again, noise(range(200, HOSTS), at_ms=LATER + 1_800_000)).closed == 0  # the stage fell, and stays down
    assert scope(again).state.stage is Stage.ADVISE
    again.close()


@pytest.mark.parametrize(
    ("about", "condition"),
    [
        ({"rule": "999"}, "pattern"),
        ({"host": "stranger"}, "entities_known"),
        ({"host": "dc-1"}, "assets"),
        ({"level": 12}, "severity"),
        ({"mitre": {"id": ["T1003"], "tactic": ["Credential Access"], "technique": ["OS Credential Dumping"]}}, "tactic"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_doubt_of_any_kind_goes_to_a_person(closing: Site, about: dict[str, object], condition: str) -> None:
    closing.commands.import_inventory(Inventory((Asset("dc-1", "workstation", "", Criticality.CRITICAL),), ()), "more.csv")
    at_ms = LATER + 2 * DAY_MS
    usual = {"rule": "5501", "level": 3, "host": host(201), "title": "PAM: session opened", "data": {}}
    summary = deliver(closing, [wazuh("one", at_ms=at_ms, **(usual | about))])
    assert (summary.closed, summary.escalated) == (0, 1)
    last = fakes.entries(closing.engine, Kind.FINDING_DECIDED)[-1]
    assert condition in {name for name, outcome, *_ in last.body["conditions"] if outcome != "held"}


def test_trouble_that_turns_up_takes_back_the_closes_of_its_hour_and_host(closing: Site) -> None:
    found = closes(closing, CloseState.CLOSED)
    with reading(closing.engine) as conn:
        hosts = dict(conn.execute(select(t.closes.c.finding_id, t.closes.c.anchor)).all())  # type: ignore[arg-type]
    one = found[0]
    bad = wazuh("bad", host=hosts[one], rule="92000", level=14, at_ms=LATER + 60_000, title="LSASS dump", data={})
    summary = deliver(closing, [bad])
    assert summary.escalated >= 1
    assert closes(closing, CloseState.REOPENED) == [one]
    assert status_of(closing, case_of(closing, one)) == "open"
    fakes.assert_rebuilds(closing)


def test_a_miss_recalls_exactly_what_rests_on_the_same_reason_and_the_scope_steps_back(closing: Site) -> None:
    found = closes(closing, CloseState.CLOSED)
    with reading(closing.engine) as conn:
        would = read_closes.resting_on(conn, case_of(closing, found[0]), closing.clock.now_ms())
    recalled = closing.commands.overturn(case_of(closing, found[0]), "beacon found", "ada")
    assert recalled == would
    assert sorted(one.finding for one in recalled) == found[1:]
    assert closes(closing, CloseState.RECALLED) == found[1:]
    assert closes(closing, CloseState.THREAT) == found[:1]
    assert scope(closing).state.stage is Stage.ADVISE
    assert [e.body["cause"] for e in fakes.entries(closing.engine, Kind.AUTONOMY_DEMOTED)] == ["confirmed_miss"]
    (entry,) = [e for e in fakes.entries(closing.engine, Kind.RECALL_OPENED) if e.body["cause"] == "miss"]
    assert entry.body["reason"] == "beacon found"
    assert {status_of(closing, case_of(closing, one)) for one in found} == {"open"}
    assert deliver(closing, noise(range(200, 210), at_ms=LATER + 900_000)).closed == 0
    with reading(closing.engine) as conn:
        (threat,) = conn.execute(select(t.patterns.c.threat).where(t.patterns.c.threat > 0)).scalars()
    assert threat == 1
    fakes.assert_rebuilds(closing)


def test_blind_reviews_feed_the_stricter_certificate_and_are_answered_once(closing: Site) -> None:
    before = scope(closing).state
    with reading(closing.engine) as conn:
        waits = read_closes.waiting(conn, 500)
    assert [w.finding for w in waits] == sorted(closes(closing, CloseState.CLOSED))
    assert not {"label", "pico", "p1_ppm", "p0_ppm", "verdict", "advice", "why"} & set(waits[0].__struct_fields__)
    for wait in waits[:10]:
        closing.commands.review(wait.finding, "benign", "", "ada")
    after = scope(closing).state
    assert after.reviewed == before.reviewed + 10
    assert after.strict.seen == before.strict.seen + 10
    with pytest.raises(ConflictError, match="benign already"):
        closing.commands.review(waits[0].finding, "threat", "", "ada")
    closing.commands.review(waits[10].finding, "threat", "seen it", "ada")
    assert scope(closing).state.stage is Stage.ADVISE
    assert closes(closing, CloseState.THREAT) == [waits[10].finding]
    fakes.assert_rebuilds(closing)


def test_disposing_the_same_case_again_counts_for_no_bound(ready: Site) -> None:
    before = scope(ready).state.reviewed
    with reading(ready.engine) as conn:
        case = str(conn.execute(select(t.cases.c.id).where(t.cases.c.disposition == "benign").limit(1)).scalar_one())
    for _ in range(3):
        ready.commands.reopen(case, "again", "ada")
        ready.commands.dispose(case, "benign", "again", "ada")
    assert scope(ready).state.reviewed == before


def test_waiting_findings_are_put_to_the_gate_again_when_the_scope_may_close(ready: Site) -> None:
    waits = deliver(ready, noise(range(200, HOSTS), at_ms=LATER))
    assert waits.closed == 0
    promote(ready, Stage.SUPERVISED)
    closed = ready.hot_path.sweep().closed
    assert closed > 20
    assert len(closes(ready, CloseState.CLOSED)) == closed
    assert ready.hot_path.sweep().closed == 0
    fakes.assert_rebuilds(ready)


def test_a_host_that_became_critical_is_not_closed_when_the_gate_is_asked_again(ready: Site) -> None:
    deliver(ready, noise(range(200, HOSTS), at_ms=LATER))
    ready.commands.import_inventory(Inventory((Asset(host(205), "workstation", "", Criticality.CRITICAL),), ()), "new.csv")
    promote(ready, Stage.SUPERVISED)
    assert ready.hot_path.sweep().closed > 20
    with reading(ready.engine) as conn:
        anchors = set(conn.execute(select(t.closes.c.anchor)).scalars())
    assert host(205) not in anchors
    fakes.assert_rebuilds(ready)


def test_a_miss_is_a_miss_however_a_person_comes_to_say_so(closing: Site) -> None:
    found = closes(closing, CloseState.CLOSED)
    case = case_of(closing, found[0])
    closing.commands.reopen(case, "let me look", "bob")
    closing.commands.dispose(case, "true_positive", "it was a beacon", "bob")
    assert scope(closing).state.stage is Stage.ADVISE
    assert closes(closing, CloseState.THREAT) == found[:1]
    assert closes(closing, CloseState.RECALLED) == found[1:]
    fakes.assert_rebuilds(closing)


def test_a_later_threat_overrules_a_blind_benign(closing: Site) -> None:
    found = closes(closing, CloseState.CLOSED)
    closing.commands.review(found[0], "benign", "", "ada")
    assert len(closing.commands.overturn(case_of(closing, found[0]), "it was a beacon", "bob")) == len(found) - 1
    assert closes(closing, CloseState.THREAT) == found[:1]
    assert scope(closing).state.stage is Stage.ADVISE
    fakes.assert_rebuilds(closing)


def test_the_agent_closes_no_case_that_a_person_took_up(closing: Site) -> None:
    found = closes(closing, CloseState.CLOSED)
    case = case_of(closing, found[0])
    closing.commands.review(found[0], "benign", "", "ada")
    closing.commands.reopen(case, "I doubt it", "bob")
    with reading(closing.engine) as conn:
        anchor = str(conn.execute(select(t.closes.c.anchor).where(t.closes.c.finding_id == found[0])).scalar_one())
    deliver(closing, noise([int(anchor[3:])], at_ms=LATER + 3_600_000))
    closing.hot_path.sweep()
    assert status_of(closing, case) == "open"
    fakes.assert_rebuilds(closing)


def test_a_duplicate_answers_no_blind_review(closing: Site) -> None:
    found = closes(closing, CloseState.CLOSED)
    closing.commands.dispose(case_of(closing, found[0]), "duplicate", "seen before", "ada")
    assert closes(closing, CloseState.CLOSED) == found
    closing.commands.review(found[0], "benign", "", "ada")
    assert closes(closing, CloseState.BENIGN) == found[:1]
    fakes.assert_rebuilds(closing)


def test_the_budget_of_the_hour_holds_within_a_batch(lived: Path, tmp_path: Path) -> None:
    (tmp_path / "copy.sqlite").write_bytes(lived.read_bytes())
    folder = data_directory(tmp_path / "data", f"sqlite:///{tmp_path / 'copy.sqlite'}")
    site = open_site(folder, clock=StepClock(LATER))
    promote(site, Stage.SUPERVISED)
    site.close()
    with (folder / "countersign.toml").open("a") as file:
        file.write("[scopes.endpoint]\ncloses_per_hour = 7\n")
    site = open_site(folder, clock=StepClock(LATER + 10_000))
    assert deliver(site, noise(range(200, HOSTS), at_ms=LATER)).closed == 0  # another policy: the evidence begins anew
    assert scope(site).state.stage is Stage.ADVISE
    assert scope(site).state.reviewed == 0
    site.close()


def test_draws_follow_from_the_committed_seed(closing: Site) -> None:
    (week,) = {e.body["draw"][0] for e in fakes.entries(closing.engine, Kind.FINDING_DECIDED) if "draw" in e.body}
    committed = {e.subject: e.body["commitment"] for e in fakes.entries(closing.engine, Kind.REVIEW_COMMITTED)}
    with reading(closing.engine) as conn:
        seed = bytes(conn.execute(select(t.seeds.c.seed).where(t.seeds.c.week == week)).scalar_one())
        rows = conn.execute(select(t.closes)).all()
    assert review.commitment(seed, week) == committed[week]
    draws = [review.Draw(row.finding_id, row.week, row.q_ppm, bool(row.drawn)) for row in rows]
    assert draws == [review.draw(seed, week, one.finding, one.q_ppm) for one in draws]
    with reading(closing.engine) as conn:
        result = replay(conn, week=week)
    assert result.replayed == result.same == len(draws) > 20
    with writing(closing.engine) as conn:
        conn.execute(update(t.seeds).values(seed=b"another seed than was committed "))
    with reading(closing.engine) as conn:
        assert replay(conn, week=week).same == 0
    with writing(closing.engine) as conn:
        conn.execute(update(t.seeds).where(t.seeds.c.week == week).values(seed=seed))
    assert fakes.entries(closing.engine, Kind.REVIEW_OPENED) == []
    later = open_site(closing.data, clock=StepClock(LATER + 15 * DAY_MS))
    deliver(later, [wazuh("late", at_ms=LATER + 15 * DAY_MS)])
    opened = {e.subject: e.body["seed"] for e in fakes.entries(later.engine, Kind.REVIEW_OPENED)}
    assert opened[week] == seed.hex()
    later.close()


def test_a_site_on_postgresql_closes_recalls_and_rebuilds_all_the_same(databases: Callable[[], str], tmp_path: Path) -> None:
    site = open_site(data_directory(tmp_path / "data", databases()), clock=StepClock())
    earned.live_through(site)
    promote(site, Stage.SUPERVISED)
    assert deliver(site, noise(range(200, HOSTS), at_ms=LATER)).closed > 20
    found = closes(site, CloseState.CLOSED)
    assert len(site.commands.overturn(case_of(site, found[0]), "it was not", "ada")) == len(found) - 1
    fakes.assert_rebuilds(site)
    assert msgspec.msgpack.encode(scope(site).state)
    site.close()


def test_a_record_that_was_changed_hides_no_other_close_from_review(closing: Site) -> None:
    deliver(closing, noise(range(20), at_ms=LATER + 600_000))
    with reading(closing.engine) as conn:
        whole = read_closes.waiting(conn, 500)
    with writing(closing.engine) as conn:
        blob = select(t.findings.c.blob).where(t.findings.c.id == whole[0].finding).scalar_subquery()
        conn.execute(update(t.evidence).where(t.evidence.c.digest == blob).values(bytes=b"changed"))
    with reading(closing.engine) as conn:
        shown = read_closes.waiting(conn, 500)
    assert [one.finding for one in shown] == [one.finding for one in whole]
    assert {one.message == read_closes.LOST for one in shown} == {True, False}


def test_misses_raise_an_alarm_under_which_nothing_closes_and_nothing_is_promoted(ready: Site) -> None:
    """Through commands alone: would-be closes of many kinds turn out to be threats, the alarm stands, a person notes it."""
    promote(ready, Stage.SUPERVISED)
    kinds = [f"66{n:02}" for n in range(14)]
    for n, kind in enumerate(kinds):  # each kind is known to people, and found benign, on hosts of its own
        deliver(ready, noise(range(n * 20, n * 20 + 4), at_ms=LATER, rule=kind))
    for case in earned.open_cases(ready):
        ready.commands.dispose(case, "benign", "routine", "ada")
    for n, kind in enumerate(kinds):
        deliver(ready, noise([n * 20 + 10], at_ms=LATER + 7_200_000 + n * DAY_MS, rule=kind))
        with reading(ready.engine) as conn:
            found = select(t.findings.c.case_id, t.findings.c.quiet).where(t.findings.c.rule == kind)
            case, quiet = conn.execute(found.order_by(t.findings.c.first_seen_ms.desc()).limit(1)).one()
        if not quiet or scope(ready).state.halted:
            continue
        ready.commands.dispose(case, "true_positive", "it was one", "ada")
    state = scope(ready).state
    assert state.halted
    assert state.stage not in {Stage.SUPERVISED, Stage.AUTONOMOUS}
    with pytest.raises(ConflictError, match=state.halted):
        promote(ready, Stage.SUPERVISED)
    after = deliver(ready, noise(range(300, 340), at_ms=LATER + 40 * DAY_MS))
    assert after.closed == 0
    with reading(ready.engine) as conn:
        why = conn.execute(select(t.findings.c.why).where(t.findings.c.first_seen_ms >= LATER + 40 * DAY_MS)).scalars()
        assert {text for text in why if text.startswith("alarm")}


def test_a_case_of_very_many_patterns_can_be_disposed_of(site: Site) -> None:
    earned.furnish(site)
    deliver(site, [one for n in range(700) for one in noise([1], rule=f"77{n:03}")])
    case, *_ = earned.open_cases(site)
    with writing(site.engine) as conn:  # as merges may lead to
        conn.execute(update(t.findings).values(case_id=case))
    site.commands.dispose(case, "benign", "a scan of our own", "ada")
    assert status_of(site, case) == "closed_human"
    assert fakes.verified(site).ok


def test_a_repeat_leaves_what_a_person_confirmed_as_it_is(closing: Site) -> None:
    finding = closes(closing, CloseState.CLOSED)[0]
    closing.commands.dispose(case_of(closing, finding), "benign", "seen", "ada")
    assert finding in closes(closing, CloseState.BENIGN)
    with reading(closing.engine) as conn:
        name = conn.execute(select(t.findings.c.host).where(t.findings.c.id == finding)).scalar_one()
    closing.commands.stop("endpoint", "look into it", "ada")
    deliver(closing, noise([int(name[3:])], at_ms=LATER, location="/var/log/other.log"))
    assert finding in closes(closing, CloseState.BENIGN)


@pytest.mark.parametrize("act", ["stop", "resume", "demote", "acknowledge"])
def test_a_scope_that_does_not_exist_is_refused_and_leaves_no_trace(site: Site, act: str) -> None:
    with reading(site.engine) as conn:
        before = ledger.size(conn)
    with pytest.raises(NotFoundError, match="bogus"):
        getattr(site.commands, act)("bogus", "because", "ada")
    with reading(site.engine) as conn:
        assert ledger.size(conn) == before
