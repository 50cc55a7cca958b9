"""Words and charts of what the agent may do alone; pure."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countersign.autonomy import governor, stages, states
from countersign.autonomy.bounds import DELTA_PPM, upper_bound_ppm
from countersign.autonomy.governor import Governed
from countersign.autonomy.scopes import Stage
from countersign.autonomy.states import Observation
from countersign.autonomy.threshold import Band
from countersign.model.cases import CloseState
from countersign.model.entries import Actor
from countersign.model.verdicts import PICO, PPM
from countersign.store.read_autonomy import Judged, Prediction, ScopeView
from countersign.store.read_case import EntryView
from countersign.web import charts, scope_words, words

BAND = Band(None, -4 * PICO, 358, 0, 20_000, passed=True)


def view(governed: Governed, *switched: str) -> ScopeView:
    return ScopeView("endpoint", "Hosts", governed, switched, (), 0, 0, (), ())


def at(stage: Stage, *, bands: tuple[Band, ...] = (BAND,), halted: str = "") -> Governed:
    state = states.begin("endpoint", "m", "p")
    changed = {name: getattr(state, name) for name in state.__struct_fields__} | {"stage": stage, "halted": halted}
    return Governed(states.ScopeState(**changed), bands)


def entry(kind: str, **body: object) -> EntryView:
    return EntryView(7, kind, 0, Actor("system", "governor"), "governor", "endpoint", "t", "", dict(body), "")


@pytest.mark.parametrize(
    ("seen", "why"),
    [
        (view(at(Stage.SUPERVISED)), ""),
        (view(at(Stage.AUTONOMOUS)), ""),
        (view(at(Stage.ADVISE)), "stage advise"),
        (view(at(Stage.OBSERVE)), "stage observe"),
        (view(at(Stage.SUPERVISED), "*"), "every scope"),
        (view(at(Stage.SUPERVISED), "endpoint"), "this scope"),
        (view(at(Stage.SUPERVISED, halted="change")), "change detector not acknowledged"),
        (view(at(Stage.SUPERVISED, bands=())), "no score band"),
    ],
)
def test_a_scope_closes_alone_exactly_where_nothing_speaks_against_it(seen: ScopeView, why: str) -> None:
    said = scope_words.why_not(seen)
    assert seen.may_close is (said == "")
    assert why in said


def test_ladder_marks_one_stage_and_reads_upwards() -> None:
    for stage in Stage:
        rungs = scope_words.ladder(stage)
        assert [rung.place for rung in rungs].count("here") == 1
        assert next(rung.name for rung in rungs if rung.place == "here") == stage.value
        assert [rung.name for rung in rungs] == ["observe", "advise", "supervised", "autonomous"]


def test_readings_cross_their_limits_when_the_machine_says_so() -> None:
    state = states.begin("endpoint", "m", "p")
    for i in range(400):
        seen = Observation(f"F-{i}", False, i, True, "m", "p")
        state, _ = stages.review(state, seen)
        certificate, strict, alarm, change = scope_words.readings(state)
        assert (certificate.value >= certificate.limit) is state.certificate.certified
        assert (strict.value >= strict.limit) is state.strict.certified
        assert alarm.value < alarm.limit
        assert change.value < change.limit
    assert state.certificate.certified


def test_events_say_cause_statistic_and_reason() -> None:
    fell = entry(
        "autonomy.demoted", before="supervised", after="advise", cause="confirmed_miss", statistic="misses_count", value=1
    )
    assert scope_words.happened(fell) == "Stepped back, from supervised to advise"
    assert scope_words.because(fell) == "a confirmed miss; 1 miss"
    assert scope_words.statistic("misses_count", 2) == "2 misses"
    assert scope_words.because(entry("autonomy.stopped", reason="drill")) == "drill"
    assert "below 1 %" in scope_words.statistic("certificate_10000_ppm_unats", 3_000_000)
    assert "31d" in scope_words.statistic("newest_label_age_ms", 31 * 86_400_000)


def test_bands_read_as_probabilities() -> None:
    assert scope_words.band_upto(BAND) == "1.80 %"
    assert scope_words.band_p1(BAND) == words.percent(PPM // 359)


@pytest.mark.parametrize("state", list(CloseState))
def test_every_state_of_a_close_has_words_and_a_notice_tells_no_answer(state: CloseState) -> None:
    assert words.close_state(state.value, drawn=True)
    notice = words.not_waiting(state.value, drawn=True)
    assert bool(notice) is (state is not CloseState.CLOSED)
    assert not re.search("benign|threat", notice)


@given(st.lists(st.booleans(), min_size=1, max_size=900))
def test_course_ends_with_the_exact_bound_and_shows_every_threat(answers: list[bool]) -> None:
    judged = [Judged(i, f"C-{i}", threat) for i, threat in enumerate(answers)]
    told = charts.course(judged, DELTA_PPM)
    assert told[-1] == (len(answers), sum(answers), upper_bound_ppm(len(answers), sum(answers), DELTA_PPM))
    assert {k for k, one in enumerate(answers, 1) if one} <= {k for k, _, _ in told}
    assert len(told) <= 2 * charts.POINTS_MAX + 3 + sum(answers)


def test_charts_are_well_formed_say_their_figures_and_escape_their_names() -> None:
    judged = [Judged(1_790_000_000_000 + i, f"C-{i}", i == 250) for i in range(300)]
    drawn = charts.bound(judged, 10_000, DELTA_PPM, '<script>"x"</script>')
    root = ET.fromstring(str(drawn))
    assert root.attrib["aria-label"].startswith('<script>"x"</script>: upper bound')
    assert "style=" not in drawn
    assert len(root.findall("path[@class='missed']")) == 1
    marks = charts.bins([Prediction(5_000, False)] * 40 + [Prediction(900_000, True)] * 3 + [Prediction(PPM, True)])
    assert [(one.n, one.threats) for one in marks] == [(40, 0), (4, 4)]
    assert ET.fromstring(str(charts.reliability(marks))).findall("circle")[0].find("title") is not None
    assert charts.bins([]) == []


@given(st.lists(st.tuples(st.integers(0, PPM), st.booleans()), max_size=200))
def test_every_answer_stands_in_exactly_one_bin(answers: list[tuple[int, bool]]) -> None:
    found = charts.bins([Prediction(p1, threat) for p1, threat in answers])
    assert sum(one.n for one in found) == len(answers)
    assert sum(one.threats for one in found) == sum(threat for _, threat in answers)
    assert all(one.low_ppm <= one.threats * PPM // one.n <= one.high_ppm for one in found)


def test_what_a_recalled_close_shares_reads_as_a_list() -> None:
    assert words.shares(pattern=True, evidence=0, entities=1) == "the pattern, 1 entity"
    assert words.shares(pattern=False, evidence=2, entities=3) == "2 pieces of deciding evidence, 3 entities"
    assert words.shares(pattern=False, evidence=0, entities=0) == "host and hour"


def test_governor_and_page_agree_on_the_probability_of_a_band() -> None:
    governed = at(Stage.SUPERVISED)
    assert scope_words.band_p1(BAND) == words.percent(governed.p1_ppm(BAND.upto) or 0)
    assert governor.Governed(governed.state).p1_ppm(BAND.upto) is None
