"""For any records: every sentence cites, what it cites exists, and the order of the records does not matter."""

from __future__ import annotations

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from countersign.investigate.phrases import feature, span, value
from countersign.investigate.summary import CITES_MAX, evidence_cite
from countersign.model.alerts import Severity
from countersign.model.decisions import Action, Decision
from countersign.model.entities import Entity, EntityType, Role
from countersign.model.evidence import Evidence, LookupStatus
from countersign.model.findings import Finding
from countersign.model.records import FindingRecord
from countersign.model.verdicts import Change, Contribution, Counterfactual, Label, Verdict
from countersign.triage.features import FEATURES
from tests.examples import examples
from tests.fakes import summary

TIMES = st.integers(0, 4_102_444_800_000)
PICOS = st.integers(-(10**14), 10**14)
WORDS = st.text(max_size=30)
NAMES = st.sampled_from(FEATURES)
VALUES = st.one_of(st.integers(-1, 10**12), WORDS)
ENTITIES = st.lists(st.builds(Entity, st.sampled_from(EntityType), WORDS, st.sampled_from(Role)), max_size=4).map(tuple)
EVIDENCE = st.builds(
    Evidence,
    source=st.sampled_from(["assets", "identities", "intel", "geo", "warninglists"]),
    query=st.builds(lambda kind, name: f"{kind}:{name}", st.sampled_from(["host", "ip", "user"]), WORDS),
    status=st.sampled_from(LookupStatus),
    facts=st.sampled_from([(), (("criticality", "high"), ("name", "dc-01"), ("role", "x")), (("zone", "external"),)]),
    digest=st.sampled_from(["", "0" * 64, "1" * 64, "2" * 64]),
    summary=WORDS,
    weight=st.sampled_from([-1, 0, 1]),
)
FINDINGS = st.builds(
    lambda n, t, d, **rest: Finding(
        id=f"F-{n:016x}", source="s", rule="r", window_ms=t, first_seen_ms=t, last_seen_ms=t + d, **rest
    ),
    n=st.integers(0, 2**64 - 1),
    t=TIMES,
    d=st.integers(0, 300_000),
    product=WORDS,
    title=WORDS,
    severity=st.sampled_from(Severity),
    count=st.integers(1, 10**9),
    tactics=st.lists(st.sampled_from(["TA0001", "TA0008", "TA9999"]), max_size=2).map(tuple),
    entities=ENTITIES,
    message=WORDS,
)
VERDICTS = st.builds(
    Verdict,
    label=st.sampled_from(Label),
    pico=PICOS,
    intercept_pico=PICOS,
    p0_ppm=st.integers(0, 10**6),
    p1_ppm=st.integers(0, 10**6),
    contributions=st.lists(st.builds(Contribution, NAMES, VALUES, PICOS), max_size=6).map(tuple),
    counterfactual=st.builds(
        Counterfactual,
        st.booleans(),
        st.lists(st.builds(Change, NAMES, VALUES, VALUES, PICOS), max_size=3).map(tuple),
        PICOS,
    ),
    novelty_ppm=st.integers(0, 10**6),
    model=st.just("m"),
)
RECORDS = st.builds(
    FindingRecord,
    finding=FINDINGS,
    pattern=st.just("P"),
    case=st.just("C-1"),
    links=st.just(()),
    evidence=st.lists(EVIDENCE, max_size=5).map(tuple),
    features=st.just(()),
    verdict=VERDICTS,
    decision=st.builds(
        Decision, st.just(Action.ESCALATE), st.sampled_from(Action), st.just("s"), st.just("advise"), st.just(()), WORDS
    ),
    first=st.booleans(),
    rarity=st.just(0),
    gate=st.just(b""),
)
CASES = st.lists(RECORDS, min_size=1, max_size=4, unique_by=lambda r: r.finding.id)


@settings(max_examples=examples(40))
@given(CASES, TIMES)
def test_every_sentence_cites_and_everything_cited_is_in_the_record(case: list[FindingRecord], now_ms: int) -> None:
    exists = {r.finding.id for r in case} | {evidence_cite(e) for r in case for e in r.evidence}
    exists |= {f"{r.finding.id}/{c.feature}" for r in case for c in r.verdict.contributions}
    exists |= {f"{r.finding.id}/{c.feature}" for r in case for c in r.verdict.counterfactual.changes}
    sentences = summary(case, now_ms=now_ms)
    assert sentences
    for sentence in sentences:
        assert 1 <= len(sentence.cites) <= CITES_MAX
        assert set(sentence.cites) <= exists
        assert sentence.text.endswith(".")
        assert "\n" not in sentence.text
        assert len(set(sentence.cites)) == len(sentence.cites)


@settings(max_examples=examples(40))
@given(CASES, TIMES, st.randoms())
def test_order_of_the_records_does_not_matter(case: list[FindingRecord], now_ms: int, chance) -> None:  # noqa: ANN001
    same_evidence = [msgspec.structs.replace(r, evidence=()) for r in case]
    shuffled = list(same_evidence)
    chance.shuffle(shuffled)
    assert summary(shuffled, now_ms=now_ms) == summary(same_evidence, now_ms=now_ms)


@settings(max_examples=examples(40))
@given(CASES, TIMES)
def test_without_evidence_nothing_is_said_about_lookups(case: list[FindingRecord], now_ms: int) -> None:
    bare = [msgspec.structs.replace(r, evidence=()) for r in case]
    leads = ("Not known", "Not in the inventory", "Lookups add", "Reassuring")
    sentences = summary(bare, now_ms=now_ms)
    assert not [s for s in sentences if s.text.startswith(leads) or s.text.endswith("in the inventory.")]


@given(st.one_of(NAMES, WORDS), st.one_of(st.integers(-(2**63), 2**63), WORDS))
def test_every_value_has_words(name: str, raw: int | str) -> None:
    assert value(name, raw)
    assert isinstance(feature(name), str)


@given(st.integers(-10, 10**9))
def test_spans_never_exceed_what_passed(seconds: int) -> None:
    number, unit = span(seconds).split()
    size = {"s": 1, "min": 60, "h": 3_600, "d": 86_400}[unit]
    assert max(0, seconds) - size < int(number) * size <= max(0, seconds)
