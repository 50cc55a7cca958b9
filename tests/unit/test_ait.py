"""AIT-ADS as a new site: accounting, past only, closes only what was earned. The networks are made up here."""

from __future__ import annotations

import gzip
import json
import lzma
import random
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from countersign.autonomy.bounds import reviews_needed
from countersign.autonomy.review import commitment, draw
from countersign.autonomy.scopes import Stage
from countersign.autonomy.states import Cause, Happened
from countersign.cli.main import app
from countersign.errors import UsageError
from countersign.evaluate import ait_measure, ait_report
from countersign.evaluate.ait import PLAIN, evaluate
from countersign.evaluate.ait_memory import Memory
from countersign.evaluate.ait_online import LABEL_MS, ONE, OURS, Run, play
from countersign.evaluate.ait_scope import seed
from countersign.evaluate.ait_stream import BATCH_MS, Stream, read_stream, stream
from countersign.evaluate.datasets import ait_files, read_alerts
from countersign.evaluate.learn import pack
from countersign.model.verdicts import PICO, PPM, Label
from countersign.triage.features import FEATURES
from countersign.triage.model import FORMAT, NEVER, CalibrationTable, Document, Model
from countersign.triage.terms import NumericTerm
from tests.examples import examples

HEADER = "time,name,ip,host,short,time_label,event_label\n"
T0 = 1_642_213_800
HOUR = 3_600
ROUTINE = (("Wazuh: Mail login", "mail", 300), ("Suricata: TLS record", "web", 420), ("AMiner: CPU value", "db", 900))
ATTACK = (("Suricata: Scan", "web"), ("Wazuh: Many 400", "web"), ("Wazuh: sudo", "db"))
EDGES = (-4 * PICO, -3 * PICO, -PICO)

Line = tuple[int, str, str, str]


def lines(hours: int, *, start: int = 0, attack_hour: int = 0) -> list[Line]:
    """Routine with some jitter, and on request an attack of three rules that nobody has seen before."""
    rng = random.Random(start)
    made = [
        (start + at + rng.randrange(60), name, host, "-")
        for name, host, every in ROUTINE
        for at in range(0, hours * HOUR, every)
    ]
    if attack_hour:
        made += [(attack_hour * HOUR + 7 * i, name, host, f"step{i}") for i, (name, host) in enumerate(ATTACK)]
    return sorted(made)


def text(made: list[Line]) -> str:
    return HEADER + "".join(f"{T0 + at},{name},10.0.0.{len(host)},{host},X,x,{label}\n" for at, name, host, label in made)


def network(made: list[Line], name: str = "net") -> Stream:
    return stream(name, *read_alerts(text(made), name))


@pytest.fixture(scope="module")
def model() -> Model:
    """Rules that never fired before look like threats; the rest is benign."""
    table = CalibrationTable(1000, 10, (0,), (0, 600_000), (0,), (2_000, 900_000))
    term = NumericTerm("rule_firings", "test", "new rules", (1,), (5 * PICO, 0), 0)
    parts = {"code_version": "0", "features": FEATURES, "training": {}, "settings": {}, "metrics": {}}
    return Model.from_bytes(
        pack(Document(FORMAT, "test", intercept=-4 * PICO, terms=(term,), calibration=table, threshold=NEVER, **parts))  # type: ignore[arg-type]
    )


@pytest.fixture(scope="module")
def week(model: Model) -> tuple[Stream, Run]:
    made = network(lines(96, attack_hour=80))
    return made, play(made, model, EDGES)


@pytest.mark.slow
def test_every_finding_is_closed_or_read_by_a_person(week: tuple[Stream, Run]) -> None:
    made, run = week
    assert len(run.closed) + len(run.read) == len(made.found)
    assert not set(run.closed) & run.read
    assert run.read <= set(run.labels)
    found = ait_measure.measure(run)
    assert found["closed"] + found["escalated"] == found["findings"]
    assert found["benign_closed"] + found["missed"] == found["closed"]


@pytest.mark.slow
def test_it_closes_a_good_deal_and_no_threat(week: tuple[Stream, Run]) -> None:
    found = ait_measure.measure(week[1])
    assert (found["missed"], found["steps"], found["steps_lost"], found["bound_violated"]) == (0, 3, [], False)
    assert found["benign_closed_share"] > 0.5
    assert found["for"]["high"] < 0.01


@pytest.mark.slow
def test_nothing_is_closed_before_enough_was_reviewed_and_a_person_approved(week: tuple[Stream, Run]) -> None:
    _, run = week
    scope = run.scopes[ONE]
    assert scope.promoted_ms is not None
    assert min(run.closed.values()) >= scope.promoted_ms
    assert sum(at <= scope.promoted_ms for at, _, _ in scope.course) >= reviews_needed()
    stages = [event.after for event in scope.events if event.happened is Happened.PROMOTED]
    assert stages == [Stage.SUPERVISED, Stage.AUTONOMOUS]


@pytest.mark.slow
def test_the_draws_replay_from_the_committed_seed(week: tuple[Stream, Run]) -> None:
    _, run = week
    commitments = ait_measure.measure(run)["seeds"]
    assert run.draws
    assert any(not one.reviewed for one in run.draws)
    for one in run.draws:
        opened = seed(run.stream.name, one.week)
        assert commitment(opened, one.week) == commitments[one.week]
        assert draw(opened, one.week, one.finding, one.q_ppm) == one


@pytest.mark.slow
def test_the_same_network_gives_the_same_run(week: tuple[Stream, Run], model: Model) -> None:
    again = play(network(lines(96, attack_hour=80)), model, EDGES)
    assert (again.decided, again.closed, again.draws) == (week[1].decided, week[1].closed, week[1].draws)


@pytest.mark.slow
@settings(max_examples=examples(6), deadline=None)
@given(hour=st.integers(2, 90), shuffled=st.integers(0, 2**32))
def test_what_comes_later_changes_no_decision(week: tuple[Stream, Run], model: Model, hour: int, shuffled: int) -> None:
    """Alerts after a moment are shuffled among each other, labels and all: earlier decisions stay."""
    order, whole = random.Random(shuffled), lines(96, attack_hour=80)
    past = [one for one in whole if one[0] < hour * HOUR]
    times = [one[0] for one in whole if one[0] >= hour * HOUR]
    later = [(name, host, order.choice(("-", label, "other"))) for at, name, host, label in whole if at >= hour * HOUR]
    order.shuffle(later)
    other = play(network(past + [(at, *rest) for at, rest in zip(times, later, strict=True)]), model, EDGES)
    until = (T0 + hour * HOUR) // (BATCH_MS // 1000) * BATCH_MS
    before, after = ([d for d in run.decided if d[0] < until] for run in (week[1], other))
    assert before == after
    assert before


def test_a_label_counts_only_when_it_was_given(model: Model) -> None:
    """Whether the first findings were threats is not known before four hours have passed."""
    made = lines(5)
    turned = [(at, name, host, "early") for at, name, host, _ in made]
    runs = [play(network(some), model, EDGES).decided for some in (made, turned)]
    limit = T0 * 1000 + LABEL_MS
    assert [d for d in runs[0] if d[0] < limit] == [d for d in runs[1] if d[0] < limit]


@pytest.mark.slow
def test_a_miss_that_a_blind_review_finds_demotes_recalls_and_is_counted(model: Model) -> None:
    """A threat that looks like routine in every respect, while every close is reviewed."""
    quiet = network(lines(96))
    promoted = play(quiet, model, EDGES).scopes[ONE].promoted_ms
    assert promoted is not None
    hour = (promoted // 1000 - T0) // HOUR + 2
    made = [
        (at, name, host, "hidden" if name.endswith("login") and hour * HOUR <= at < hour * HOUR + 300 else label)
        for at, name, host, label in lines(96)
    ]
    run = play(network(made), model, EDGES)
    found = ait_measure.measure(run)
    assert (found["missed"], found["steps_lost"]) == (1, ["hidden"])
    assert found["bound_violated"]
    assert found["recalled"] > 0
    assert Cause.MISS in {event.cause for event in run.scopes[ONE].events}
    assert found["closed"] + found["escalated"] == found["findings"]


@pytest.mark.slow
def test_a_threat_during_the_warm_up_delays_the_first_close_and_does_not_stop_the_certificate(model: Model) -> None:
    hour = 9
    made = [
        (at, name, host, "hidden" if name.endswith("login") and hour * HOUR <= at < hour * HOUR + 300 else label)
        for at, name, host, label in lines(96)
    ]
    clean, hidden = play(network(lines(96)), model, EDGES).scopes[ONE], play(network(made), model, EDGES).scopes[ONE]
    assert clean.promoted_ms is not None
    assert hidden.promoted_ms is not None
    assert clean.promoted_ms < hidden.promoted_ms
    assert sum(at <= hidden.promoted_ms for at, _, _ in hidden.course) >= reviews_needed(threats=1)


@pytest.mark.slow
def test_the_plain_certificate_closes_what_nobody_verified(model: Model) -> None:
    made = [*lines(96), (80 * HOUR + 5, "Suricata: TLS record", "db", "rare")]
    ours, plain = (play(network(sorted(made)), model, EDGES, choices) for choices in (OURS, PLAIN))
    assert ait_measure.measure(ours)["missed"] == 0
    assert ait_measure.measure(plain)["missed"] == 1


def test_a_thin_pattern_minds_the_whole_site_and_a_proven_one_its_host() -> None:
    made = network(lines(12, attack_hour=10))
    memory = Memory(made.found)
    for batch in made.batches:
        memory.merge(batch)
        for touch in batch.touches:
            memory.take(touch)
            memory.judge(touch.finding, Label.BENIGN, batch.now_ms)
    attack = [i for i, one in enumerate(made.found) if one.name == "Wazuh: sudo"]
    login = next(i for i, one in enumerate(made.found) if one.name == "Wazuh: Mail login" and _near(one.first_ms, 10))
    memory.judge(attack[0], Label.THREAT, 0)
    assert memory.thin(login)
    assert memory.around(login) == (0, 1)
    memory.patterns[made.found[login].pattern] = replace(memory.record(login), benign=200)
    assert not memory.thin(login)
    assert memory.around(login) == (0, 0)


def _near(at_ms: int, hour: int) -> bool:
    return abs(at_ms // 1000 - T0 - hour * HOUR) < HOUR // 2


@pytest.mark.slow
def test_p1_comes_from_the_reviews_of_the_band(week: tuple[Stream, Run]) -> None:
    scope = week[1].scopes[ONE]
    assert scope.bands is not None
    assert scope.p1_ppm(-10 * PICO) <= PPM // 299
    assert scope.p1_ppm(max(EDGES) + 1) == PPM


@pytest.mark.slow
def test_report_has_every_table_and_chart(week: tuple[Stream, Run], tmp_path: Path) -> None:
    row = ait_measure.measure(week[1])
    row["plain_average"] = ait_measure.brief(row)
    per = {"all": 0.5, "without_dnsteal": 0.5, "dnsteal_found": 0.0}
    kinds = ("name_prior", "lightgbm", "ours")
    offline = {
        "macro_f1": dict.fromkeys(kinds, 0.5),
        "macro_f1_without_dnsteal": dict.fromkeys(kinds, 0.5),
        "networks": {"net": dict.fromkeys(kinds, per)},
        "by_step": {kind: {"steps": 3, "found": 2, "not_found": ["net: step0"]} for kind in kinds},
    }
    found = {
        "networks": [row],
        "all": ait_measure.total([row]),
        "offline": offline,
        "goals": ait_measure.goals([row], offline),
    }
    found["choices"] = {"ours": {"what": "as described"} | ait_measure.total([row])}
    assert len(list(ait_report.tables(found))) == 7
    files = ait_report.write(found, tmp_path / "out")
    assert [path.name for path in files] == ["ait.json", "ait.md", "ait-bound.svg", "ait-closed.svg"]
    assert json.loads(files[0].read_text())["networks"][0]["name"] == "net"
    assert "<svg" in files[2].read_text()


def test_a_folder_without_networks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="file here"):
        ait_files(tmp_path)


def test_packed_networks_are_read_as_well(tmp_path: Path) -> None:
    whole = text(lines(4)).encode()
    for name, data in (("a.csv", whole), ("b.csv.gz", gzip.compress(whole)), ("c.csv.xz", lzma.compress(whole))):
        (tmp_path / name).write_bytes(data)
    first, *others = (read_stream(path).found for path in ait_files(tmp_path))
    assert first
    assert others == [first, first]
    assert [path.name for path in ait_files(tmp_path)] == ["a.csv", "b.csv.gz", "c.csv.xz"]


@pytest.mark.parametrize("names", ["ab", "aab"])
def test_a_network_is_never_judged_by_a_model_that_saw_it(tmp_path: Path, names: str) -> None:
    """Nor by one that learnt from a single other network, of which nothing could be left out to calibrate it."""
    for number, name in enumerate(names):
        (tmp_path / f"{number}.csv").write_text(text(lines(4, start=ord(name))))
    packed = tmp_path / "packed"
    packed.mkdir()
    for path in ait_files(tmp_path):
        (packed / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
    for train in (None, tmp_path, packed):
        with pytest.raises(UsageError, match="training needs 2 networks besides"):
            evaluate(tmp_path, train)


@pytest.mark.slow
def test_the_command_prints_what_it_promises(tmp_path: Path) -> None:
    pytest.importorskip("lightgbm")
    for start, name in enumerate(("a", "b", "c")):
        (tmp_path / f"{name}.csv").write_text(text(lines(72, start=start * 11, attack_hour=50 + start)))
    result = CliRunner().invoke(app, ["evaluate", "ait", str(tmp_path), "--json"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    wanted = {"name", "findings", "threats", "closed", "missed", "benign_closed_share", "benign_closed_share_after_warmup"}
    wanted |= {"steps", "steps_lost", "bound_upper", "bound_violated"}
    assert all(wanted <= set(one) for one in found["networks"])
    assert set(found["offline"]["macro_f1"]) == {"name_prior", "lightgbm", "ours"}
    assert found["offline"]["by_step"]
    assert all(
        set(one[risk]) == {"share", "low", "high"} for one in [*found["networks"], found["all"]] for risk in ("for", "fnr")
    )
    assert found["seconds"] > 0


@pytest.mark.slow
def test_one_network_may_be_tested_by_models_of_others(tmp_path: Path) -> None:
    pytest.importorskip("lightgbm")
    for folder, names in (("tested", "a"), ("train", "bc")):
        (tmp_path / folder).mkdir()
        for start, name in enumerate(names, start=len(names)):
            (tmp_path / folder / f"{name}.csv").write_text(text(lines(48, start=start * 11, attack_hour=40 + start)))
    command = ["evaluate", "ait", str(tmp_path / "tested"), "--train", str(tmp_path / "train"), "--json"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    assert [one["name"] for one in json.loads(result.stdout)["networks"]] == ["a"]


def test_one_real_network_folds_by_host_name_and_five_minutes(shared_data: Path) -> None:
    made = read_stream(shared_data / "ait-ads" / "russellmitchell.csv.xz")
    assert len({(one.anchor, one.name, one.first_ms // 300_000) for one in made.found}) == len(made.found)
    assert len({one.step for one in made.found} - {""}) == 8
