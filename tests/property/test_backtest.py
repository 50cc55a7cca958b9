"""The pure parts of the backtest: what label values mean, what repeats say together, the account of what is read."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from countersign.autonomy.evidence import Certificate, log_paths
from countersign.autonomy.governor import begin
from countersign.autonomy.scopes import DEFAULT_SCOPES
from countersign.errors import CountersignError, UsageError
from countersign.evaluate.ait_online import OURS, play
from countersign.evaluate.ait_scope import ScopeRun
from countersign.evaluate.backtest_export import Judged, Wanted, read_export
from countersign.evaluate.backtest_labels import BENIGN, THREAT, UNJUDGED, Truth, labels
from countersign.evaluate.backtest_measure import anytime_ppm
from countersign.evaluate.backtest_report import PERIODS_MAX, periods
from countersign.evaluate.backtest_stream import live
from countersign.model.alerts import Alert, Severity
from countersign.model.entities import Entity, EntityType, Role
from countersign.model.verdicts import PPM
from countersign.sources import shipped
from countersign.triage.model import Model
from tests.examples import examples

WORDS = [(word, truth) for truth, words in zip(Truth, (THREAT, BENIGN, UNJUDGED), strict=True) for word in words.split()]
T0 = 1_767_571_200_000


@given(st.sampled_from(WORDS), st.data())
def test_case_spaces_and_reasons_make_no_difference(pair: tuple[str, Truth], data: st.DataObject) -> None:
    word, truth = pair
    place = data.draw(st.integers(0, len(word)))
    written = word[:place] + data.draw(st.sampled_from(["", " ", "_", "-"])) + word[place:]
    written = data.draw(st.sampled_from([written, written.upper(), written.title(), f" {written} "]))
    reason = data.draw(st.sampled_from(["", " - inaccurate data", " (see ticket)", ": as ever"]))
    assert labels().of(written + reason) is truth


def test_no_word_stands_in_two_tables() -> None:
    assert len({word for word, _ in WORDS}) == len(WORDS)


@given(st.text(min_size=1, max_size=12), st.sampled_from(list(Truth)), st.sampled_from(list(Truth)))
def test_the_later_layer_counts(value: str, first: Truth, second: Truth) -> None:
    table = labels({first: [value]}, {second: [value]})
    if value.strip() and value != "*":
        assert table.of(value) is second


@given(st.text(min_size=1, max_size=12).filter(str.strip))
def test_any_other_leaves_nothing_unexplained(value: str) -> None:
    table = labels({Truth.BENIGN: ["-"]}, {Truth.THREAT: ["*"]})
    assert table.of(value) is (Truth.BENIGN if value.strip() == "-" else Truth.THREAT)
    assert table.of(" ") is Truth.UNJUDGED


def test_one_value_cannot_mean_two_things_at_once() -> None:
    with pytest.raises(UsageError, match="two things"):
        labels({Truth.BENIGN: ["Done"], Truth.THREAT: ["done"]})


def alert(at_ms: int, truth: Truth, label_ms: int = 0, rule: str = "r", host: str = "web-1") -> Judged:
    entities = (Entity(EntityType.HOST, host, Role.TARGET),)
    made = Alert("test", "Wazuh", "", at_ms, rule, rule, Severity.LOW, entities=entities)
    return Judged(made, truth, truth.value, label_ms)


@given(st.lists(st.tuples(st.sampled_from(list(Truth)), st.integers(1, 10**6)), min_size=1, max_size=8), st.randoms())
def test_repeats_say_together_the_same_in_any_order(said: list[tuple[Truth, int]], order: random.Random) -> None:
    """All within one window and second: a threat if any is one, benign if any is and none is a threat."""
    alerts = [alert(T0, truth, T0 + after) for truth, after in said]
    shuffled = order.sample(alerts, len(alerts))
    found, other = (live("s", some).stream.found for some in (alerts, shuffled))
    assert [(f.step, f.judged, f.label_ms) for f in found] == [(f.step, f.judged, f.label_ms) for f in other]
    kinds = {truth for truth, _ in said}
    assert bool(found[0].step) is (Truth.THREAT in kinds)
    assert found[0].judged is bool(kinds - {Truth.UNJUDGED})
    decisive = Truth.THREAT if Truth.THREAT in kinds else Truth.BENIGN
    assert found[0].label_ms in ({T0 + after for truth, after in said if truth is decisive} or {0})


ROWS = st.lists(
    st.sampled_from(["true positive", "false positive", "duplicate", "", "torn", "late"]), min_size=1, max_size=30
)


@settings(max_examples=examples(60), deadline=None)
@given(ROWS)
def test_every_message_is_accounted_for(tmp_path_factory: pytest.TempPathFactory, kinds: list[str]) -> None:
    path = tmp_path_factory.mktemp("export") / "alerts.csv"
    good = {kind: f"2026-01-05T08:{{:02}}:00Z,5501,{kind},3" for kind in kinds}
    good |= {"torn": "2026-01-05T08:{:02}:00Z,5501", "late": "not a time {:02},5501,false positive,3"}
    lines = [good[kind].format(i) for i, kind in enumerate(kinds)]
    path.write_text("timestamp,rule.id,status,rule.level\n" + "\n".join(lines) + "\n")
    wanted = Wanted("generic", shipped.text("wazuh-csv"), "", labels())
    if not {"true positive", "false positive"} & set(kinds):
        with pytest.raises(UsageError, match=r"judged|read"):
            read_export(path, wanted)
        return
    read = read_export(path, wanted).account
    assert read.messages == len(kinds) == read.alerts + read.more_rows + sum(read.ignored.values()) + read.unreadable_count
    assert read.lines == len(kinds) + 1
    assert sum(read.labels.values()) == read.alerts
    assert read.unreadable_count == kinds.count("torn") + kinds.count("late")
    assert len(read.unreadable) == read.unreadable_count


@given(st.binary(max_size=300))
def test_no_file_does_worse_than_a_clear_error(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.mktemp("export") / "alerts"
    path.write_bytes(data)
    for source, column in (("wazuh", "status"), ("taltech", "")):
        with pytest.raises(CountersignError) as caught:
            read_export(path, Wanted(*shipped.resolve(source, None), column, labels()))
        assert "\n" not in str(caught.value)


@given(st.lists(st.booleans(), max_size=400), st.integers(0, 300))
def test_the_anytime_bound_is_the_smallest_alpha_that_certifies(threats: list[bool], passed_over: int) -> None:
    scope = _scope_run()
    scope.seen.update({(float(kind), PPM): threats.count(kind) for kind in set(threats)})
    if passed_over:
        scope.seen[0.0, 20_000] += passed_over
    bound = anytime_ppm(scope)
    held, below = Certificate(alpha_ppm=min(bound, PPM - 1)), Certificate(alpha_ppm=max(1, bound - 2))
    for certificate, certified in ((held, bound < PPM), (below, False)):
        state = certificate
        for threat in threats:
            state = state.observe(float(threat))
        assert state.observe(0.0, q_min_ppm=20_000, times=passed_over).certified is certified or bound <= 2


@given(st.lists(st.booleans(), min_size=1, max_size=300))
def test_the_anytime_bound_is_that_of_the_statistics_room(threats: list[bool]) -> None:
    scope = _scope_run()
    scope.seen.update({(float(kind), PPM): threats.count(kind) for kind in set(threats)})
    x, bound = np.asarray(threats, dtype=np.float64), anytime_ppm(scope)
    assert bound == PPM or log_paths(x, alpha_ppm=bound + 1)[-1] >= math.log(20)
    assert bound < 3 or log_paths(x, alpha_ppm=bound - 2)[-1] < math.log(20)


def _scope_run() -> ScopeRun:
    return ScopeRun(DEFAULT_SCOPES["endpoint"], begin("endpoint", "m", "p"), (0,))


@given(st.dictionaries(st.dates(), st.tuples(st.integers(0, 99), st.integers(0, 99), st.integers(0, 9)), max_size=60))
def test_periods_lose_nothing(days: dict[object, tuple[int, int, int]]) -> None:
    by_day = [[str(day), *counts] for day, counts in sorted(days.items(), key=str)]
    found = periods(by_day)
    for column in (1, 2, 3):
        assert sum(row[column] for row in found) == sum(row[column] for row in by_day)
    assert len(found) <= PERIODS_MAX or len({row[0][:4] for row in by_day}) > PERIODS_MAX


def test_what_is_later_than_the_label_changes_no_decision_before_it() -> None:
    """Labels given after a moment are turned around: what was decided until then stays."""
    model, rng = Model.load_prior(), random.Random(5)
    base = [
        alert(T0 + 60_000 * i, Truth.BENIGN, T0 + 60_000 * i + rng.randrange(7_200_000), f"r{i % 3}", f"h{i % 4}")
        for i in range(900)
    ]
    turn = T0 + 60_000 * 600
    other = [replace(one, truth=Truth.THREAT) if one.label_ms > turn else one for one in base]
    choices = replace(OURS, one_scope=False, graded=frozenset({"endpoint"}))
    runs = [play(live("s", some).stream, model, model.edges, choices) for some in (base, other)]
    before, after = ([d for d in run.decided if d[0] <= turn] for run in runs)
    assert before == after
    assert any(what == "close" for _, _, what in before)


def test_shipped_mappings_are_found_by_name_only_when_they_exist(tmp_path: Path) -> None:
    assert shipped.resolve("guide", None)[0] == "generic"
    assert shipped.resolve("wazuh", None) == ("wazuh", "")
    own = tmp_path / "own.toml"
    own.write_text(shipped.text("guide"))
    assert shipped.resolve("generic", str(own)) == ("generic", shipped.text("guide"))
    for source, mapping in (("nothing", None), ("generic", "nothing")):
        with pytest.raises(UsageError, match="taltech"):
            shipped.resolve(source, mapping)
