"""`countersign simulate`: the arithmetic by hand, the published figures it rests on, and what it prints."""

from __future__ import annotations

import json
from math import sqrt
from pathlib import Path
from statistics import NormalDist
from xml.etree import ElementTree

import numpy as np
import pytest
from typer.testing import CliRunner

from countersign.cli.main import app
from countersign.errors import EnvironmentFault, UsageError
from countersign.evaluate import simulate_report as report
from countersign.evaluate.simulate import Result, estimate, measure, queue, simulate, student
from countersign.evaluate.simulate_engine import Outcome, Workload, poisson_times, rates, seat_windows, serve, work
from countersign.evaluate.simulate_model import (
    BENIGN_MIX,
    SCENARIOS,
    SOURCES,
    THREAT_MIX,
    WAYS,
    Assumptions,
    Shift,
    closed_share,
    load,
    long_triage_share,
    severity_auc,
    with_settings,
)

BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}


@pytest.fixture(scope="module")
def both_worlds() -> Result:
    return simulate(["average", "well-staffed"], replications=3, seed=2)


def test_five_scenarios_are_overloaded_and_one_is_not() -> None:
    loads = [(scenario.overloaded, load(scenario, Assumptions())) for scenario in SCENARIOS]
    assert sum(overloaded for overloaded, _ in loads) == 5
    assert all((value > 1) == overloaded for overloaded, value in loads)


def auc_through(closed: float, miss: float) -> float:
    """The AUC of a ranker that closes ``closed`` of the benign alerts while missing ``miss`` of the threats."""
    normal = NormalDist()
    return normal.cdf((normal.inv_cdf(closed) - normal.inv_cdf(miss)) / sqrt(2))


def test_the_ranking_goes_through_the_published_points() -> None:
    assert auc_through(0.61, 0.0136) == pytest.approx(Assumptions().auc, abs=5e-4)
    assert closed_share(Assumptions().auc, 0.0136) == pytest.approx(0.61, abs=0.005)
    assert closed_share(Assumptions().auc, 0.001) < closed_share(Assumptions().auc, 0.005) < 0.61
    assert closed_share(0.961, 0.0) == 0.0


def test_triage_times_lie_between_the_two_surveys() -> None:
    assert 0.64 < long_triage_share(Assumptions()) < 0.78
    assert long_triage_share(Assumptions(triage_sigma=0.0)) == 1.0
    assert f"then {100 * long_triage_share(Assumptions()):.0f} %" in SOURCES["triage_sigma"]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "never"), [("average", 0.40), ("flood", 0.63)])
def test_without_ai_as_many_alerts_go_unlooked_at_as_the_surveys_say(name: str, never: float) -> None:
    (one,) = simulate([name], replications=2, seed=5).scenarios
    assert one.ways[0].figures["never"].mean == pytest.approx(never, abs=0.04)


def test_the_mixes_are_shares_and_every_parameter_has_its_source() -> None:
    assert sum(BENIGN_MIX) == pytest.approx(1)
    assert sum(THREAT_MIX) == pytest.approx(1)
    assert set(SOURCES) == set(Assumptions.__struct_fields__)
    assert 0.5 < severity_auc() < Assumptions().auc


def test_the_rhythm_keeps_the_weekly_volume_and_has_its_peak_by_day() -> None:
    scenario, assumptions = BY_NAME["average"], Assumptions(threat_share=0.01)
    hourly = rates(scenario, assumptions, 0.0, 168.0)
    assert hourly.sum() == pytest.approx(7 * 960 * 0.99)
    assert hourly[:24].argmax() in (13, 14)
    assert hourly[120:].sum() / 2 == pytest.approx(0.5 * hourly[:120].sum() / 5)


def test_a_surge_multiplies_its_days_only() -> None:
    scenario = BY_NAME["surge"]
    assert scenario.surge is not None
    plain = rates(BY_NAME["average"], Assumptions(), 168.0, 168.0 * 5)
    noisy = rates(scenario, Assumptions(), 168.0, 168.0 * 5) / plain
    assert set(np.round(noisy, 9)) == {1.0, scenario.surge.factor}
    assert (noisy > 1).sum() == 24 * scenario.surge.days
    assert (noisy > 1).argmax() == 168 + 24 * scenario.surge.first


def test_arrivals_follow_the_rate_of_their_hour() -> None:
    times = poisson_times(np.random.default_rng(1), np.asarray([0.0, 2000.0, 0.0, 8000.0]))
    assert (np.diff(times) >= 0).all()
    counts = np.bincount(times.astype(int), minlength=4)
    assert counts[0] == counts[2] == 0
    assert counts[1] == pytest.approx(2000, abs=4 * 2000**0.5)
    assert counts[3] == pytest.approx(8000, abs=4 * 8000**0.5)


def test_work_begins_only_on_shift_and_is_finished_after_it() -> None:
    windows = seat_windows([Shift((0, 1), 9.0, 8.0, 1)], 48.0)
    arrival, service = np.asarray([0.0, 16.5, 16.6, 24.0]), np.asarray([1.0, 2.0, 1.0, 1.0])
    assert serve(arrival, service, np.zeros(4), windows).tolist() == [9.0, 16.5, 33.0, 34.0]


def test_the_lowest_number_goes_first_then_the_oldest_and_nothing_is_interrupted() -> None:
    arrival, service = np.asarray([0.0, 0.1, 0.2, 0.3]), np.full(4, 1.0)
    start = serve(arrival, service, np.asarray([0.0, 1.0, 0.0, 0.0]), [[(0.0, np.inf)]])
    assert start.tolist() == [0.0, 3.0, 1.0, 2.0]


def test_what_waited_too_long_is_dropped_and_nothing_begins_after_the_end() -> None:
    arrival, service = np.asarray([0.0, 0.5, 0.6, 9.0]), np.full(4, 3.0)
    start = serve(arrival, service, np.zeros(4), [[(0.0, np.inf)]], patience=2.45, end=9.0)
    assert start[0] == 0.0
    assert np.isnan(start[1])
    assert start[2] == 3.0
    assert np.isnan(start[3])


def test_nobody_on_shift_handles_nothing() -> None:
    assert np.isnan(serve(np.asarray([1.0]), np.asarray([1.0]), np.zeros(1), [])).all()


def by_hand() -> tuple[Workload, Outcome]:
    """Four threats: found, closed wrongly, dropped, reached too late; and one benign alert, looked at."""
    n = 5
    drawn = Workload(
        arrival=np.asarray([10.0, 11.0, 12.0, 13.0, 14.0]),
        threat=np.asarray([True, True, True, True, False]),
        severity=np.zeros(n, dtype=np.int64),
        score=np.zeros(n),
        triage=np.full(n, 0.5),
        investigate=np.full(n, 1.0),
        contain=np.full(n, 2.0),
        dwell=np.asarray([100.0, 200.0, 300.0, 4.0, 1.0]),
        overlooked=np.zeros(n, dtype=bool),
        begin=10.0,
        until=20.0,
        end=30.0,
    )
    start = np.asarray([12.0, np.nan, np.nan, 19.0, 14.0])
    leave = np.asarray([12.0, 11.0, 22.0, 19.0, 14.0])
    return drawn, Outcome(start=start, leave=leave, closed=np.asarray([False, True, False, False, False]))


def test_missed_threats_cost_their_dwell_time() -> None:
    figures = measure(*by_hand())
    assert figures["detect_mean"] == pytest.approx((2.5 + 200 + 300 + 4) / 4)
    assert figures["respond_mean"] == pytest.approx((2.5 + 200 + 300 + 4) / 4 + 3)
    assert figures["detect_found_mean"] == pytest.approx(2.5)
    assert figures["detect_p50"] == pytest.approx((4 + 200) / 2)
    assert (figures["found"], figures["wrongly_closed"], figures["threats_never"]) == (0.25, 0.25, 0.25)
    assert (figures["looked_at"], figures["closed"], figures["never"]) == (0.6, 0.2, 0.2)


def test_the_age_of_the_queue_by_hand() -> None:
    drawn, outcome = by_hand()
    counts, ages = queue(drawn, outcome, 100.0)
    assert counts.tolist() == [1.0, 2.0]  # at 10 the first; at 16 the third (12) and the fourth (13)
    assert ages.tolist() == [0.0, 4.0, 3.0]


def test_an_analyst_who_errs_finds_nothing_and_spends_no_time_on_the_investigation() -> None:
    drawn, _ = by_hand()
    blind = Workload(**{**drawn.__dict__, "overlooked": np.ones(5, dtype=bool)})
    outcome = work(blind, WAYS[0], Assumptions(), [[(0.0, np.inf)]])
    assert outcome.start.tolist() == [10.0, 11.0, 12.0, 13.0, 14.0]
    figures = measure(blind, outcome)
    assert figures["found"] == 0
    assert figures["detect_mean"] == pytest.approx((100 + 200 + 300 + 4) / 4)


@pytest.mark.parametrize(("freedom", "quantile"), [(1, 12.7062), (2, 4.30265), (3, 3.18245), (5, 2.57058), (11, 2.20099)])
def test_student_as_in_the_tables(freedom: int, quantile: float) -> None:
    assert student(freedom) == pytest.approx(quantile, rel=0.004)


def test_intervals() -> None:
    one = estimate([1.0, 2.0, 3.0])
    assert (one.mean, one.high) == (2.0, pytest.approx(2 + 4.30265 / 3**0.5))
    assert one.low == 0.0  # no time below nought
    assert estimate([-0.5, 0.1], least=-1).low == -1
    assert estimate([float("nan"), 4.0]).mean == 4.0
    assert np.isnan(estimate([]).mean)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes_whatever_else_is_simulated(both_worlds: Result) -> None:
    alone = simulate(["well-staffed"], replications=3, seed=2)
    assert repr(alone.scenarios[0]) == repr(both_worlds.scenarios[1])
    one, two = (simulate(["small"], replications=2, seed=seed) for seed in (1, 2))
    assert repr(one.scenarios) != repr(two.scenarios)


@pytest.mark.slow
def test_both_worlds_are_reported(both_worlds: Result) -> None:
    busy, calm = ({way.way: way for way in one.ways} for one in both_worlds.scenarios)
    assert busy["rank"].change["detect_mean"].high < -0.5
    assert -0.2 < calm["rank"].change["detect_mean"].mean < 0
    assert calm["none"].figures["never"].mean == 0
    assert calm["close-1.36"].figures["wrongly_closed"].mean > 0
    assert calm["close-1.36"].change["detect_mean"].mean > 0
    text = "\n".join(report.conclusion(both_worlds))
    assert "a statement about queueing" in text
    assert "«well-staffed»" in text
    assert "Not shown" in text


def test_words_for_figures() -> None:
    assert [report.hours(v) for v in (0.05, 0.5, 3.25, 30.0, 100.0, float("nan"))] == [
        "3.0 min",
        "30 min",
        "3.2 h",
        "30 h",
        "4.2 d",
        "–",
    ]
    assert [report.percent(v) for v in (0.0, 0.6, 0.0136, 0.0005, float("nan"))] == ["0 %", "60 %", "1.4 %", "0.05 %", "–"]


@pytest.mark.parametrize("setting", ["auc=1", "auc", "auc=x", "auc=nan", "threat_share=0", "nothing=1", "patience_days=-1"])
def test_impossible_settings_are_refused_with_what_is_possible(setting: str) -> None:
    with pytest.raises(UsageError, match="--set"):
        with_settings([setting])


def test_a_changed_parameter_says_so() -> None:
    assert with_settings(["auc=0.893", "dwell_days=25"]) == Assumptions(auc=0.893, dwell_days=25.0)
    result = Result(seed=1, replications=2, assumptions=with_settings(["dwell_days=25"]), scenarios=[])
    rows = {row[0]: row for row in report.parameters(result)[0].rows}
    assert rows["dwell_days"] == ("dwell_days", "25", "set for this run")
    assert "AACT" in rows["auc"][2]


def test_an_unknown_scenario_is_refused() -> None:
    with pytest.raises(UsageError, match="known: small"):
        simulate(["nowhere"])


def test_a_site_without_threats_is_reported_as_such(tmp_path: Path) -> None:
    result = simulate(["small"], replications=2, assumptions=Assumptions(threat_share=1e-6))
    assert all(np.isnan(way.figures["detect_mean"].mean) for way in result.scenarios[0].ways)
    assert report.tables(result.scenarios[0])[0].rows[0][1] == "–"
    assert len(report.write(result, tmp_path)) == 6


def test_the_command_prints_json_and_writes_charts(tmp_path: Path) -> None:
    call = ["simulate", "--scenario", "small", "--replications", "2", "--out", str(tmp_path), "--json"]
    ran = CliRunner().invoke(app, call)
    assert ran.exit_code == 0, ran.output
    document = json.loads(ran.stdout)
    assert [way["way"] for way in document["scenarios"][0]["ways"]] == [way.name for way in WAYS]
    assert document["sources"]["dwell_days"].endswith("14 days")
    assert document == json.loads((tmp_path / "simulation.json").read_text("utf-8"))
    for path in tmp_path.glob("*.svg"):
        assert ElementTree.parse(path).getroot().tag == "{http://www.w3.org/2000/svg}svg"
    assert {path.name for path in tmp_path.iterdir()} == {
        "detect-mean.svg",
        "respond-mean.svg",
        "never.svg",
        "waiting-small.svg",
        "simulation.md",
        "simulation.json",
    }


def test_the_command_prints_parameters_results_and_plain_words() -> None:
    ran = CliRunner().invoke(app, ["simulate", "--scenario", "small", "--replications", "2"])
    assert ran.exit_code == 0, ran.output
    for words in ("M-Trends 2026", "assumption", "small, load 2.00: time to detect", "closing 1.36 %", "In plain words"):
        assert words in ran.stdout


@pytest.mark.slow
def test_a_folder_that_cannot_be_written_is_said_plainly(tmp_path: Path, both_worlds: Result) -> None:
    (tmp_path / "file").write_text("", "utf-8")
    with pytest.raises(EnvironmentFault, match="cannot write the simulation"):
        report.write(both_worlds, tmp_path / "file")
