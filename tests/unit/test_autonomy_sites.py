"""The simulated sites, smaller: the certified threshold keeps its promise, the tuned one does not."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from typer.testing import CliRunner

from countersign.autonomy import alarm, change
from countersign.cli.main import app
from countersign.evaluate import streams
from countersign.evaluate.sites import WORLDS, evaluate, simulate, summary


@pytest.mark.slow
def test_the_promise_holds_where_a_tuned_threshold_breaks_it() -> None:
    found = summary(simulate(WORLDS["sharp"], 200, seed=3))
    assert found["closed_anything"] >= 150
    assert found["broken"]["ppm"] <= 50_000
    assert found["tuned_broken"]["ppm"] > 300_000
    assert found["tuned_share_closed_ppm"] - found["share_closed_ppm"] <= 40_000


@pytest.mark.slow
def test_a_hopeless_site_hardly_ever_closes_anything() -> None:
    found = summary(simulate(WORLDS["hopeless"], 300, seed=4))
    assert found["broken_of_all"]["low_ppm"] <= 50_000
    assert found["closed_anything"] <= 30
    assert found["tuned_broken"]["ppm"] > 900_000


def test_the_truth_of_a_site_is_what_a_large_sample_shows() -> None:
    from countersign.evaluate import sites  # noqa: PLC0415

    rng = np.random.default_rng(9)
    site = sites._draw(rng, WORLDS["blurred"])
    z = site.scores(rng, 400_000)
    below = z <= -1.5
    share, risk = site.truth()(-1_500_000)
    assert abs(share - below.mean()) < 0.005
    assert abs(risk - (rng.random(len(z)) < site.risk(z))[below].mean()) < 0.002


@pytest.mark.slow
def test_streams_err_rarely_and_a_jump_is_noticed_soon() -> None:
    found = streams.measure(250, seed=5)
    for name in ("false_alarms", "false_alarms_sampled", "false_certificates", "false_certificates_sampled"):
        assert found[name]["low_ppm"] <= 50_000, name
    assert found["false_alarms"]["ppm"] <= 50_000
    assert found["jump_noticed_reviews"] <= 110
    assert found["change_run_length"] >= change.RUN_LENGTH
    assert 299 <= found["clean_reviews"] <= 370


def test_an_alarm_that_watches_a_real_excess_is_not_silent() -> None:
    x = (np.random.default_rng(6).random((100, 2_000)) < 0.03).astype(float)
    assert (alarm.log_paths(x).max(axis=1) >= np.log(20)).mean() > 0.95


@pytest.mark.slow
def test_the_command_prints_what_was_measured_and_the_same_twice() -> None:
    first, second = (CliRunner().invoke(app, ["evaluate", "sites", "--sites", "20", "--json"]) for _ in range(2))
    found = msgspec.json.decode(first.stdout)
    assert first.stdout == second.stdout
    assert first.exit_code == (0 if all(check["held"] for check in found["checks"]) else 1)
    assert found["worlds"]["sharp"]["sites"] == 20
    assert len(found["checks"]) == 8
    shown = CliRunner().invoke(app, ["evaluate", "sites", "--sites", "20"])
    assert "hopeless" in shown.stdout
    assert "Checks" in shown.stdout


@pytest.mark.slow
def test_a_missed_limit_is_said() -> None:
    found = evaluate(20, seed=1)
    assert all(isinstance(check["held"], bool) for check in found["checks"])
    from countersign.evaluate.sites import checks  # noqa: PLC0415

    worse = {**found["streams"], "clean_reviews": 371}
    assert [c["held"] for c in checks(found["worlds"], worse)][-1] is False
