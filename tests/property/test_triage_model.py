"""Scores: exact sums, the same bytes twice, counterfactuals that are minimal and true, and a prior that makes sense."""

from __future__ import annotations

import hashlib
import itertools

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from countersign.errors import ConfigError
from countersign.evaluate import trainer
from countersign.evaluate.learn import pack
from countersign.model.verdicts import PICO, PPM, Label, Verdict
from countersign.triage.counterfactual import across_levels, alone, counterfactual, ends_of, level_of, reach, strongest
from countersign.triage.expert import expert_terms
from countersign.triage.features import CATEGORICAL, FEATURES
from countersign.triage.model import HARD_CAP_PPM, Model, label
from countersign.triage.terms import CategoricalTerm, NumericTerm, PairTerm, Term
from tests.examples import examples

PRIOR = Model.load_prior()
WORDS = st.sampled_from(["wazuh", "suricata", "aminer", "unknown", "webserver", "mail", "okta", "", "\u202e<b>"])


def apply_changes(model: Model, row: tuple[int | str, ...], verdict: Verdict) -> tuple[int | str, ...]:
    """The row after the verdict's counterfactual changes, with one value that fits each description."""
    values = list(row)
    terms = {term.feature: term for term in model.document.terms}
    for change in verdict.counterfactual.changes:
        fitting = {text: value for _, text, value in terms[change.feature].choices()}
        values[FEATURES.index(change.feature)] = fitting[str(change.new)]
    return tuple(values)


COUNTS = st.one_of(st.integers(-1, 60), st.integers(-1, 2**53))
ROWS = st.tuples(*[WORDS if name in CATEGORICAL else COUNTS for name in FEATURES])

NOTHING: dict[str, int | str] = {name: "unknown" if name in CATEGORICAL else 0 for name in FEATURES} | dict.fromkeys(
    (
        "tactic_stage",
        "asset_criticality",
        "identity_criticality",
        "pattern_share_ppm",
        "rule_share_ppm",
    ),
    -1,
)
ROUTINE = {
    "pair_firings": 500,
    "pair_gap_s": 300,
    "rule_firings": 3000,
    "rule_gap_s": 60,
    "rule_hosts": 5,
    "host_rules_15m": 2,
    "host_alerts_15m": 20,
    "site_rules_15m": 6,
    "site_alerts_15m": 120,
}
FIRST_SEEN = {
    "pair_gap_s": 200_000,
    "rule_gap_s": 200_000,
    "host_rules_15m": 2,
    "host_alerts_15m": 20,
    "site_rules_15m": 6,
    "site_alerts_15m": 120,
}


def row(**known: int | str) -> tuple[int | str, ...]:
    values = NOTHING | {"alerts": 1, "tool": "suricata"} | known
    return tuple(values[name] for name in FEATURES)


@given(st.lists(ROWS, min_size=1, max_size=8))
def test_contributions_sum_exactly_and_one_row_scores_as_in_a_batch(rows: list[tuple[int | str, ...]]) -> None:
    totals, shares = PRIOR.score_rows(rows)
    for values, total, share, verdict in zip(rows, totals, shares, PRIOR.verdicts(rows), strict=True):
        assert verdict.pico == verdict.intercept_pico + sum(c.pico for c in verdict.contributions) == total
        assert PRIOR.score(values) == total == PRIOR.document.intercept + int(share.sum())
        assert verdict == PRIOR.verdict(values)


@given(ROWS)
def test_verdicts_replay_to_the_same_bytes_from_the_model_file_and_the_row(values: tuple[int | str, ...]) -> None:
    again = Model.from_bytes(pack(PRIOR.document))
    stored = tuple(msgspec.msgpack.decode(msgspec.msgpack.encode(values), type=tuple[int | str, ...]))
    first, second = PRIOR.verdict(values), again.verdict(stored)
    assert msgspec.json.encode(first) == msgspec.json.encode(second)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(first), type=Verdict) == first


@given(ROWS)
def test_counterfactual_of_the_prior_re_scores_across_its_threshold(values: tuple[int | str, ...]) -> None:
    verdict = PRIOR.verdict(values)
    found = verdict.counterfactual
    assert found.possible
    assert found.changes
    score = PRIOR.score(apply_changes(PRIOR, values, verdict))
    assert score == found.pico == verdict.pico + sum(change.pico for change in found.changes)
    assert (score > PRIOR.threshold) != (verdict.pico > PRIOR.threshold)


@settings(max_examples=examples(200))
@given(ROWS, st.sampled_from(sorted(trainer.MONOTONE)), st.data())
def test_what_is_learnt_runs_in_its_direction_whatever_else_is_so(
    values: tuple[int | str, ...], name: str, data: st.DataObject
) -> None:
    place = FEATURES.index(name)
    low, high = sorted(data.draw(st.tuples(st.integers(0, 90_000), st.integers(0, 90_000))))
    before, after = (PRIOR.score((*values[:place], value, *values[place + 1 :])) for value in (low, high))
    assert (after - before) * trainer.MONOTONE[name] >= 0


@given(ROWS)
def test_contributions_are_sorted_and_name_the_values(values: tuple[int | str, ...]) -> None:
    contributions = PRIOR.verdict(values).contributions
    assert [abs(c.pico) for c in contributions] == sorted((abs(c.pico) for c in contributions), reverse=True)
    assert all(c.value == values[FEATURES.index(c.feature)] for c in contributions)


SMALL_TERMS = st.lists(st.lists(st.integers(-9, 9), min_size=1, max_size=4), min_size=1, max_size=5)


@given(SMALL_TERMS, st.data(), st.integers(-30, 30))
def test_counterfactual_is_the_smallest_by_brute_force(tables: list[list[int]], data: st.DataObject, threshold: int) -> None:
    terms: list[Term] = [
        NumericTerm(f"f{i}", "learnt", "", tuple(range(1, len(t))), tuple(t), data.draw(st.integers(-9, 9)))
        for i, t in enumerate(tables)
    ]
    values = [data.draw(st.integers(-1, len(table))) for table in tables]
    picos = [term.pico(value) for term, value in zip(terms, values, strict=True)]
    total = sum(picos)
    found = counterfactual(total, picos, values, [reach(term) for term in terms], threshold)
    sizes = [
        sum(choice != pico for choice, pico in zip(choices, picos, strict=True))
        for choices in itertools.product(*[[score for score, _, _ in term.choices()] for term in terms])
        if (sum(choices) > threshold) != (total > threshold)
    ]
    assert found.possible == bool(sizes)
    if sizes:
        assert len(found.changes) == min(sizes)
        assert found.pico == total + sum(change.pico for change in found.changes)
        assert (found.pico > threshold) != (total > threshold)


RISES = st.lists(st.lists(st.integers(0, 5), min_size=3, max_size=3), min_size=2, max_size=3)


@given(SMALL_TERMS, st.lists(RISES, min_size=1, max_size=3), st.data(), st.integers(-30, 30))
def test_counterfactual_with_pairs_is_the_smallest_by_brute_force(
    tables: list[list[int]], rises: list[list[list[int]]], data: st.DataObject, threshold: int
) -> None:
    """Levels 0, 1, 2 of ``by``, at which no cell of a pair is lower than at the level before, nor its own term."""
    own = list(itertools.accumulate(data.draw(st.lists(st.integers(0, 5), min_size=3, max_size=3))))
    pairs = [
        tuple(zip(*(itertools.accumulate(cell, initial=data.draw(st.integers(-9, 9))) for cell in cells), strict=True))
        for cells in rises
    ]
    terms: list[Term] = [NumericTerm("by", "learnt", "", (1, 2), tuple(own), own[0])]
    terms += [NumericTerm(f"f{i}", "learnt", "", tuple(range(1, len(t))), tuple(t), t[0]) for i, t in enumerate(tables)]
    terms += [
        PairTerm(f"g{i}", "by", "learnt", "", (1, 2), tuple(range(1, len(rows[0]))), rows[:3])
        for i, rows in enumerate(pairs)
    ]
    levels = [level_of(terms, level, 0) for level in range(3)]
    values = [data.draw(st.integers(0, 2)), *(data.draw(st.integers(0, 3)) for _ in terms[1:])]
    picos = [term.pico(value) for term, value in zip(levels[values[0]].terms, values, strict=True)]
    total = sum(picos)
    found = across_levels(total, picos, values, levels, values[0], threshold)
    first, slack = strongest(np.array([total]), np.array([picos]), np.array([values[0]]), ends_of(levels), threshold)
    reached = levels[values[0]].reaches[first[0]]
    quick = alone(total, picos[first[0]], values[first[0]], reached, slack[0], threshold)
    assert quick == found if quick else len(found.changes) != 1 or found.changes[0].feature == "by"
    sizes = [
        (there != values[0]) + sum(choice != pico for choice, pico in zip(choices, kept, strict=True))
        for there in range(3)
        for kept in [[term.pico(value) for term, value in zip(levels[there].terms, values, strict=True)][1:]]
        for choices in itertools.product(*[[b[0] for b in r.bins] for r in levels[there].reaches[1:]])
        if (own[there] + sum(choices) > threshold) != (total > threshold)
    ]
    assert found.possible == bool(sizes)
    if sizes:
        assert len(found.changes) == min(sizes)
        assert found.pico == total + sum(change.pico for change in found.changes)
        assert (found.pico > threshold) != (total > threshold)


def test_a_file_without_terms_or_with_numbers_beyond_every_score_is_refused() -> None:
    document = PRIOR.document
    table = msgspec.structs.replace(document.calibration, p0_edges=(2**62,), p0=(0, 0))
    for broken in (
        msgspec.structs.replace(document, terms=()),
        msgspec.structs.replace(document, calibration=table),
        msgspec.structs.replace(document, terms=(NumericTerm("alerts", "learnt", "", (), (2**63,), 0),)),
    ):
        with pytest.raises(ConfigError, match="make the model again"):
            Model.from_bytes(pack(broken))


def test_a_file_in_which_more_trouble_could_look_safer_is_refused() -> None:
    document = PRIOR.document
    place = next(i for i, term in enumerate(document.terms) if isinstance(term, PairTerm))
    pair = document.terms[place]
    assert isinstance(pair, PairTerm)
    for broken in (
        msgspec.structs.replace(pair, scores=pair.scores[::-1]),
        msgspec.structs.replace(pair, by="actors"),
        msgspec.structs.replace(pair, by_edges=tuple(edge + 1 for edge in pair.by_edges)),
    ):
        terms = (*document.terms[:place], broken, *document.terms[place + 1 :])
        with pytest.raises(ConfigError, match=r"rises|share one feature"):
            Model.from_bytes(pack(msgspec.structs.replace(document, terms=terms)))


@given(st.lists(st.integers(1, 100), unique=True, max_size=6).map(sorted), st.integers(-1, 120))
def test_numeric_term_one_value_as_many_and_as_described(edges: list[int], number: int) -> None:
    term = NumericTerm("f", "learnt", "", tuple(edges), tuple(range(10, 11 + len(edges))), -5)
    assert term.pico(number) == int(term.column([number])[0])
    assert [term.pico(value) for _, _, value in term.choices()] == [score for score, _, _ in term.choices()]


def test_categorical_term_knows_unseen_words() -> None:
    term = CategoricalTerm("tool", "learnt", "", {"wazuh": 3}, -2)
    assert list(term.column(["wazuh", "new"])) == [3, -2]
    assert [text for _, text, _ in term.choices()] == ["wazuh", "any other"]


def test_bin_descriptions_read_as_text() -> None:
    term = NumericTerm("f", "learnt", "", (1, 4), (0, 1, 2), 3)
    assert [text for _, text, _ in term.choices()] == ["never or not known", "0", "1 to 3", "4 or more"]


def test_threshold_is_the_last_score_within_the_hard_cap() -> None:
    assert PRIOR.calibration.interval(PRIOR.threshold)[1] <= HARD_CAP_PPM
    assert PRIOR.calibration.interval(PRIOR.threshold + 1)[1] > HARD_CAP_PPM


def test_labels() -> None:
    assert label(0, 9_000) is Label.BENIGN
    assert label(500_000, PPM) is label(500_000, 520_000) is Label.THREAT
    assert label(480_000, 520_000) is Label.INSUFFICIENT
    assert label(0, 200_000) is Label.BENIGN
    assert label(100_000, 400_000) is Label.INSUFFICIENT
    assert label(990_000, PPM, missing=True) is Label.INSUFFICIENT


def test_model_id_is_the_digest_of_the_file() -> None:
    data = pack(PRIOR.document)
    assert Model.from_bytes(data).id == hashlib.sha256(data).hexdigest() == PRIOR.id


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"format": 1', b'"format": 9'),
        (b'"alerts","actors"', b'"actors","alerts"'),
        (b'"intercept": ', b'"intercept": 0.5, "x": '),
        (b'"feature":"pair_firings"', b'"feature":"alerts"'),
    ],
)
def test_a_wrong_model_file_is_refused_in_one_line(old: bytes, new: bytes) -> None:
    data = pack(PRIOR.document)
    assert old in data
    with pytest.raises(ConfigError, match=r"^some\.json: .*countersign learn") as caught:
        Model.from_bytes(data.replace(old, new, 1), where="some.json")
    assert "\n" not in str(caught.value)


def test_edges_ship_with_the_model_and_files_without_them_still_load() -> None:
    assert len(PRIOR.edges) > 1
    assert list(PRIOR.edges) == sorted(set(PRIOR.edges))
    assert label(*PRIOR.calibration.interval(PRIOR.edges[-1])) is Label.BENIGN
    older = b"\n".join(line for line in pack(PRIOR.document).splitlines() if not line.startswith(b'"edges"'))
    assert Model.from_bytes(older.replace(b",\n}", b"\n}")).edges == ()
    falling = msgspec.structs.replace(PRIOR.document, edges=PRIOR.edges[::-1])
    with pytest.raises(ConfigError, match="edges"):
        Model.from_bytes(pack(falling))


def test_prior_says_where_every_term_comes_from() -> None:
    terms = PRIOR.document.terms
    assert {term.feature for term in terms} <= set(FEATURES)
    learnt = {term.feature for term in terms if term.origin == "learnt"}
    assert learnt == set(trainer.LEARNT) == set(PRIOR.document.settings["monotone"])
    assert {term.origin for term in terms} == {"learnt", "expert"}
    assert all(term.reason for term in terms)
    assert all(len(digest) == 64 for digest in PRIOR.document.training.values())


def test_expert_terms_are_neutral_when_nothing_is_known_and_only_add_where_an_attacker_writes() -> None:
    for term in expert_terms():
        assert term.missing == 0
        rising = term.scores[1:] if term.feature == "severity" else term.scores
        assert list(rising) == sorted(rising), term.feature
        if term.feature not in {"severity", "pattern_share_ppm", "rule_share_ppm"}:
            assert min(term.scores) == 0, term.feature
        assert max(map(abs, term.scores)) <= 2 * PICO


@settings(max_examples=examples(200))
@given(ROWS, st.sampled_from(["alerts", "ti_hits", "tactic_stage", "tactics_in_case", "actors", "host_rare_1h"]), st.data())
def test_more_of_what_an_alert_says_about_itself_never_lowers_the_score(
    values: tuple[int | str, ...], name: str, data: st.DataObject
) -> None:
    place = FEATURES.index(name)
    low, high = sorted(data.draw(st.tuples(st.integers(0, 40), st.integers(0, 40))))
    less = (*values[:place], low, *values[place + 1 :])
    more = (*values[:place], high, *values[place + 1 :])
    assert PRIOR.score(less) <= PRIOR.score(more)


def test_rare_and_severe_ranks_over_routine_noise() -> None:
    for tool in ("suricata", "wazuh", "aminer", "okta"):
        rare = PRIOR.score(row(tool=tool, severity=4, **FIRST_SEEN))
        assert rare > PRIOR.score(row(tool=tool, severity=2, **ROUTINE)), tool
        assert rare > PRIOR.score(row(tool=tool, **ROUTINE)), tool
        assert rare > PRIOR.threshold


def test_first_minutes_of_a_cold_site_are_not_flat() -> None:
    first = [PRIOR.score(row(severity=severity, tactic_stage=stage)) for severity in (1, 2, 3, 4, 5) for stage in (-1, 9)]
    assert len(set(first)) == len(first)
    assert max(first) - min(first) > 2 * PICO


def test_reviews_move_the_score_mildly_and_in_the_right_direction() -> None:
    never = PRIOR.score(row(**ROUTINE))
    benign = PRIOR.score(row(**ROUTINE, pattern_share_ppm=40_000, rule_share_ppm=40_000))
    threat = PRIOR.score(row(**ROUTINE, pattern_share_ppm=700_000, rule_share_ppm=700_000))
    assert benign < never < threat
    assert never - benign < 3 * PICO


def test_severe_or_named_by_intelligence_is_never_benign_before_people_judged_the_pattern() -> None:
    for changes in ({"severity": 4}, {"severity": 6}, {"ti_hits": 1}):
        assert PRIOR.verdict(row(**ROUTINE, **changes)).label is not Label.BENIGN
        judged = PRIOR.verdict(row(**ROUTINE, **changes, pattern_share_ppm=1))
        assert judged.label is PRIOR.verdict(row(**ROUTINE, **changes)).label or judged.label is Label.BENIGN
