"""Learning on a site: folds in time, terms that add up and keep their direction, words that help, figures with intervals."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from itertools import pairwise

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from countersign.errors import ConflictError, VerificationError
from countersign.evaluate import learn_site, learn_terms, learn_text, trainer
from countersign.evaluate.learn import pack
from countersign.evaluate.learn_compare import BETTER, UNCLEAR, compare, log_loss
from countersign.evaluate.learn_labels import Example
from countersign.evaluate.learn_site import CASE_FINDINGS_MAX, FOLDS, LABELS_MIN, Fitted, split, weigh
from countersign.model.verdicts import PICO, PPM
from countersign.triage import text
from countersign.triage.features import CATEGORICAL, FEATURES
from countersign.triage.model import Model
from countersign.triage.terms import CategoricalTerm, NumericTerm, PairTerm, Plain, Term
from tests.examples import examples
from tests.property.test_triage_model import ROWS, apply_changes, row

PRIOR = Model.load_prior()


def example(number: int, *, threat: bool, case: int = -1, words: tuple[str, ...] = (), **known: int | str) -> Example:
    name = f"C-{number if case < 0 else case}"
    return Example(f"F-{number:05}", name, 100 + number, threat, "human", row(**known), words)


def steps(feature: str, low: int = -3, high: int = 3) -> st.SearchStrategy[NumericTerm]:
    def made(edges: list[int], data: list[int], missing: int) -> NumericTerm:
        return NumericTerm(feature, "site", "", tuple(edges), tuple(data[: len(edges) + 1]), missing)

    edges = st.lists(st.integers(1, 30), unique=True, max_size=5).map(sorted)
    return st.builds(made, edges, st.lists(st.integers(low, high), min_size=6, max_size=6), st.integers(low, high))


def words_of(feature: str) -> st.SearchStrategy[CategoricalTerm]:
    scores = st.dictionaries(st.sampled_from(["mail", "web", "vpn"]), st.integers(-3, 3))
    return st.builds(lambda s, other: CategoricalTerm(feature, "site", "", s, other), scores, st.integers(-3, 3))


TERMS = st.tuples(steps("alerts"), words_of("tool"), steps("severity"))


@given(TERMS, TERMS, st.integers(-1, 40), st.sampled_from(["mail", "web", "other", ""]))
def test_a_merged_term_gives_the_sum_of_both_on_every_value(
    prior: tuple[Term, ...], added: tuple[Term, ...], number: int, word: str
) -> None:
    for chosen in (added, added[:1], added[2:], ()):
        merged = learn_terms.merge(prior[:2], chosen, "why")
        assert len({term.feature for term in merged}) == len(merged)
        for feature, value in (("alerts", number), ("tool", word), ("severity", number)):
            parts = [term.pico(value) for term in (*prior[:2], *chosen) if term.feature == feature]
            assert sum(term.pico(value) for term in merged if term.feature == feature) == sum(parts)


NUMBERS = [name for name in FEATURES if name not in CATEGORICAL]
BY = trainer.BY
OTHERS = [name for name in trainer.LEARNT if name != BY]


@st.composite
def paired(draw: st.DrawFn) -> tuple[Term, ...]:
    """A prior with pairs, in which no score falls as ``BY`` rises."""
    by_edges = tuple(sorted(draw(st.sets(st.integers(1, 12), max_size=3))))
    own = tuple(itertools.accumulate(draw(st.integers(0, 3)) for _ in (0, *by_edges)))
    terms: list[Term] = [NumericTerm(BY, "learnt", "prior", by_edges, own, own[0])]
    for name in draw(st.lists(st.sampled_from(OTHERS), unique=True, min_size=1, max_size=3)):
        edges = tuple(sorted(draw(st.sets(st.integers(1, 30), max_size=4))))
        row = [draw(st.integers(-5, 5)) for _ in (0, *edges)]
        rows = [tuple(row := [cell + draw(st.integers(0, 2)) for cell in row]) for _ in own]
        terms.append(PairTerm(name, BY, "learnt", "prior", by_edges, edges, tuple(rows)))
    return (*terms, draw(words_of("tool")), draw(steps("severity")))


@st.composite
def addition(draw: st.DrawFn) -> list[Plain]:
    """What a site adds: of learnt features without a gap apart, and of ``BY`` rising."""
    added: list[Plain] = []
    for name in draw(st.lists(st.sampled_from([*trainer.LEARNT, "actors", "severity"]), unique=True)):
        term = draw(steps(name))
        scores = tuple(sorted(term.scores)) if name == BY else term.scores
        added.append(msgspec.structs.replace(term, scores=scores, missing=scores[0]))
    return [*added, draw(words_of("tool"))]


def model_of(terms: Sequence[Term]) -> Model:
    return Model.from_bytes(pack(msgspec.structs.replace(PRIOR.document, intercept=5, terms=tuple(terms))))


@settings(max_examples=examples(60), deadline=None)
@given(st.one_of(paired(), st.just(PRIOR.document.terms)), addition(), st.lists(ROWS, min_size=1, max_size=5))
def test_a_merged_model_scores_every_row_as_the_prior_and_the_addition_together(
    prior: tuple[Term, ...], added: list[Plain], rows: list[tuple[int | str, ...]]
) -> None:
    before, after = model_of(prior), model_of(learn_terms.merge(prior, added, "why"))
    totals = after.score_rows(rows)[0]
    for values, total in zip(rows, totals, strict=True):
        more = sum(term.pico(values[FEATURES.index(term.feature)]) for term in added)
        assert before.score(values) + more == total == after.score(values)
        verdict = after.verdict(values)
        assert verdict.pico == verdict.intercept_pico + sum(part.pico for part in verdict.contributions)
        if verdict.counterfactual.possible:
            assert after.score(apply_changes(after, values, verdict)) == verdict.counterfactual.pico


def test_a_gap_apart_cannot_be_added_to_a_pair_which_knows_none() -> None:
    with pytest.raises(VerificationError, match="read as 0"):
        learn_terms.merge(PRIOR.document.terms, [NumericTerm("alerts", "site", "", (3,), (0, 1), 2)], "why")


FITS = st.tuples(st.integers(0, 2**32), st.sampled_from(NUMBERS), st.sampled_from(["mail", "web"]))


@settings(max_examples=examples(15), deadline=None)
@given(FITS)
def test_what_is_fitted_runs_in_its_direction_knows_gaps_and_words_and_joins_the_prior(drawn: tuple[int, str, str]) -> None:
    """``learn`` itself proves that its tables equal the trainer's."""
    pytest.importorskip("lightgbm")
    seed, telling, word = drawn
    draw = random.Random(seed)
    tops = {name: draw.choice((1, 4, 60, 2**45)) for name in NUMBERS}
    rows = [
        tuple(
            draw.choice(("mail", "web", "vpn")) if name in CATEGORICAL else draw.randint(-1, tops[name]) for name in FEATURES
        )
        for _ in range(150)
    ]
    place, role = FEATURES.index(telling), FEATURES.index("host_role")
    threats = [int(row[place]) * 2 > tops[telling] or (row[role] == word and draw.random() < 0.4) for row in rows]
    delta = learn_terms.learn(rows, threats, [1.0] * len(rows), [0] * len(rows))
    assert any(score for term in delta.terms for score, _, _ in term.choices())
    for term in delta.terms:
        if isinstance(term, NumericTerm):
            steps_up = term.scores if term.feature not in learn_terms.LOWEST else (term.missing, *term.scores)
            way = learn_terms.DIRECTIONS[term.feature]
            assert all((b - a) * way >= 0 for a, b in pairwise(steps_up)), term
            apart = learn_terms.LOWEST | learn_terms.SHARES
            assert term.feature in apart or term.missing == term.scores[0]
    both = model_of(learn_terms.merge(PRIOR.document.terms, delta.terms, "why"))
    added = [sum(t.pico(row[FEATURES.index(t.feature)]) for t in delta.terms) for row in rows]
    prior = model_of(PRIOR.document.terms).score_rows(rows)[0]
    assert list(both.score_rows(rows)[0] - prior) == added


def test_terms_that_nothing_was_added_to_keep_their_origin_and_reason() -> None:
    silent = NumericTerm("alerts", "site", "", (3,), (0, 0), 0)
    assert learn_terms.merge(PRIOR.document.terms, [silent], "why") == PRIOR.document.terms


LABELS = st.lists(st.tuples(st.integers(1, 6), st.booleans()), min_size=60, max_size=160)


@pytest.mark.slow
@settings(max_examples=examples(60), deadline=None)
@given(LABELS, st.randoms(use_true_random=False))
def test_folds_keep_time_and_cases_whole_and_lose_nothing(cases: list[tuple[int, bool]], draw: random.Random) -> None:
    found = [
        example(len(cases) * j + i, threat=threat, case=i) for i, (size, threat) in enumerate(cases) for j in range(size * 3)
    ]
    draw.shuffle(found)
    try:
        training, tested = split(found)
    except ConflictError:
        return
    folds = [*training, tested]
    assert len(folds) == FOLDS
    assert sorted(one.finding for fold in folds for one in fold) == sorted(one.finding for one in found)
    homes = [{one.case for one in fold} for fold in folds]
    assert sum(map(len, homes)) == len(set().union(*homes))
    firsts = {case: min(one.entry for one in found if one.case == case) for home in homes for case in home}
    for older, newer in pairwise(homes):
        assert max(firsts[case] for case in older) < min(firsts[case] for case in newer)
    assert len({one.case for one in tested if one.threat}) >= learn_site.TESTED_THREATS_MIN
    assert len(tested) * 2 <= len(found) + 2 * max(len(home) for home in cases) * 3
    assert any(one.threat for one in training[0])


@pytest.mark.parametrize(
    ("threats", "total", "words"),
    [
        (range(8), LABELS_MIN - 1, f"needs {LABELS_MIN} and 8"),
        (range(7), LABELS_MIN, "7 of them threats"),
        (range(LABELS_MIN), LABELS_MIN, "needs"),
        (range(20), LABELS_MIN, "newer half"),
        (range(LABELS_MIN - 20, LABELS_MIN), LABELS_MIN, "too close together"),
    ],
)
def test_what_cannot_be_learnt_from_is_refused_in_one_line(threats: range, total: int, words: str) -> None:
    with pytest.raises(ConflictError, match=words) as refused:
        split([example(i, threat=i in threats) for i in range(total)])
    assert "\n" not in str(refused.value)


def test_a_case_weighs_at_most_its_cap() -> None:
    flood = [example(i, threat=True, case=1) for i in range(10 * CASE_FINDINGS_MAX)]
    assert round(sum(weigh(flood)), 9) == CASE_FINDINGS_MAX
    assert weigh([example(1, threat=True), example(2, threat=False)]) == [1.0, 1.0]


def test_few_threats_add_nothing_to_the_prior() -> None:
    found = [example(i, threat=i < 4) for i in range(300)]
    fitted = learn_site.fit(found)
    assert (fitted.intercept, fitted.terms, fitted.text) == (PRIOR.document.intercept, PRIOR.document.terms, None)


WORDS = (("Script ran", "powershell -enc payload"), ("Script ran", "nightly backup finished"))


def talkative(count: int = 200) -> list[Example]:
    return [example(i, threat=i % 10 == 0, words=WORDS[int(i % 10 > 0)]) for i in range(count)]


def test_words_of_threats_gain_weight_and_words_of_all_or_of_noise_do_not() -> None:
    found = talkative()
    fitted = learn_site.read(Fitted(PRIOR.document.intercept, PRIOR.document.terms, None), found)
    assert fitted.text is not None
    known = dict(zip(fitted.text.buckets, fitted.text.weights, strict=True))
    assert known[text.bucket_of("wpayload")] > PICO // 100
    assert known.get(text.bucket_of("wscript"), 0) < known[text.bucket_of("wpayload")] // 4
    assert text.bucket_of("wbackup") not in known
    loud, quiet = fitted.scores([found[0], found[1]])
    assert loud - quiet > PICO


def test_words_of_one_case_name_that_case_and_are_not_learnt() -> None:
    once = [example(i, threat=i == 0, words=(f"note {i}", "unique codeword" if i == 0 else "")) for i in range(50)]
    picked = learn_text.learn(
        [one.texts for one in once], [one.case for one in once], [one.threat for one in once], [1.0] * 50, [0] * 50, ""
    )
    assert picked is None or text.bucket_of("wcodeword") not in picked.part.buckets


def test_log_loss_is_the_mean_surprise() -> None:
    assert log_loss([500_000], [True]) == round(np.log(2) * PPM)
    assert log_loss([PPM, 0], [True, False]) < 2
    assert log_loss([0], [True]) > 13 * PPM


def test_a_model_is_not_told_apart_from_itself_and_intervals_hold_their_figure() -> None:
    found = [example(i, threat=i % 9 == 0, case=i // 3, severity=4 if i % 9 == 0 else 2) for i in range(180)]
    seen = compare(PRIOR, PRIOR, found, 7)
    assert seen["judgement"] == UNCLEAR
    assert seen["gain"] == {name: [0, 0, 0] for name in ("auc", "log_loss", "macro_f1")}
    for name in ("auc", "log_loss", "macro_f1", "was", "closable"):
        value, low, high = seen["candidate"][name]
        assert low <= value <= high, name
    assert seen == compare(PRIOR, PRIOR, found, 7)


@pytest.mark.slow
@settings(max_examples=examples(30), deadline=None)
@given(ROWS, st.sampled_from([name for name, way in learn_terms.DIRECTIONS.items() if way > 0]), st.integers(0, 60))
def test_what_an_attacker_makes_more_of_never_lowers_a_sites_score(
    trained: Model, values: tuple[int | str, ...], feature: str, more: int
) -> None:
    place = FEATURES.index(feature)
    old = int(values[place])
    if (old < 0 and feature in learn_terms.SHARES) or feature == "severity":
        return  # "not yet judged" is a state of its own; severity is the tool's to set
    raised = (*values[:place], old + more, *values[place + 1 :])
    assert trained.score(raised) >= trained.score(values)


@pytest.fixture(scope="module")
def trained() -> Model:
    """A model of a site where threats are severe, new and on the mail server, and words tell."""
    pytest.importorskip("lightgbm")
    draw = random.Random(3)
    found = []
    for i in range(400):
        threat = i % 9 == 0
        known = {
            "severity": draw.choice((3, 4) if threat else (1, 2, 3)),
            "pair_firings": draw.randrange(10 if threat else 90),
            "tactic_stage": draw.choice((-1, 5, 8) if threat else (-1, -1, 2)),
            "host_alerts_15m": draw.randrange(60),
        }
        host_role = "mail" if threat else "web"
        found.append(example(i, threat=threat, words=WORDS[int(not threat)], host_role=host_role, **known))
    candidate = learn_site.learn(found, PRIOR)
    assert candidate.measured["metrics"]["judgement"] == BETTER
    return Model.from_bytes(candidate.data)


@pytest.mark.slow
def test_a_sites_model_says_where_every_term_comes_from_and_has_bands(trained: Model) -> None:
    document = trained.document
    assert document.name == "site"
    assert {term.origin for term in document.terms} <= {"learnt", "expert", "site"}
    assert all(term.reason for term in document.terms)
    assert list(document.edges) == sorted(set(document.edges))
    assert set(document.training) == {"labels", "prior"}
    assert document.calibration.n <= 400
