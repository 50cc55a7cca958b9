"""Linking: which findings share a case does not depend on the order in which they came; cases stay bounded."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from countersign.correlate import fold, link
from countersign.model.alerts import Alert, Severity
from countersign.model.entities import Entity, EntityType, Role
from countersign.model.findings import Finding

START = 1_790_000_100_000
KINDS = (
    EntityType.HASH,
    EntityType.URL,
    EntityType.DOMAIN,
    EntityType.MAIL,
    EntityType.IP,
    EntityType.USER,
    EntityType.HOST,
)
ENTITIES = st.builds(Entity, st.sampled_from(KINDS), st.sampled_from("abcdefgh"), st.just(Role.TARGET))


def finding(number: int, entities: Iterable[Entity], minute: int = 0, severity: Severity = Severity.HIGH) -> Finding:
    """A detection of its own, so that only entities can tie it to others."""
    alert = Alert("tool", "p", "", START + minute * 60_000, f"r{number}", "t", severity, entities=tuple(entities))
    return fold.fold([alert])[0][0]


def place_all(findings: Sequence[Finding], index: link.Index | None = None) -> dict[str, str]:
    """Finding → surviving case, placed in this order."""
    index = index or link.Index()
    cases: dict[str, str] = {}
    number = 1000
    for one in findings:
        keys = link.link_keys(one, fold.pattern(one), is_notable=link.notable(one, 0))
        placed = link.place(one, keys, index, f"C-{number}")
        number += placed.opened
        cases[one.id] = placed.case
        assert all(index.resolve(merged) == placed.case for merged in placed.merged)
        assert placed.links
        assert {each.finding for each in placed.links} == {one.id}
    return {ident: index.resolve(case) for ident, case in cases.items()}


def partition(cases: dict[str, str]) -> set[frozenset[str]]:
    groups: dict[str, set[str]] = defaultdict(set)
    for ident, case in cases.items():
        groups[case].add(ident)
    return {frozenset(group) for group in groups.values()}


SEVERAL = st.lists(st.tuples(st.lists(ENTITIES, max_size=3, unique=True), st.integers(0, 60)), max_size=20)


@given(SEVERAL, st.randoms(use_true_random=False))
def test_the_partition_does_not_depend_on_the_order(several: list[tuple[list[Entity], int]], draw: Random) -> None:
    findings = [finding(i, entities, minute) for i, (entities, minute) in enumerate(several)]
    assert partition(place_all(draw.sample(findings, len(findings)))) == partition(place_all(findings))


@given(SEVERAL)
def test_findings_share_a_case_exactly_when_entities_lead_from_one_to_the_other(
    several: list[tuple[list[Entity], int]],
) -> None:
    findings = [finding(i, entities, minute) for i, (entities, minute) in enumerate(several)]
    assert partition(place_all(findings)) == components(findings)


def components(findings: Sequence[Finding]) -> set[frozenset[str]]:
    """Connected components over shared entities, by the book."""
    home = {one.id: {one.id} for one in findings}
    for one in findings:
        for other in findings:
            if {e.key for e in one.entities} & {e.key for e in other.entities} and home[one.id] is not home[other.id]:
                home[one.id] |= home[other.id]
                for ident in list(home[one.id]):
                    home[ident] = home[one.id]
    return {frozenset(group) for group in home.values()}


@given(st.lists(ENTITIES, min_size=1, max_size=3, unique=True))
def test_routine_findings_are_tied_by_nothing_but_their_own_pattern(entities: list[Entity]) -> None:
    findings = [finding(i, entities, severity=Severity.LOW) for i in range(4)]
    assert len(partition(place_all(findings))) == 4


@given(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), min_size=1, max_size=40), st.integers(1, 60))
def test_a_case_never_grows_beyond_what_one_person_can_handle(pairs: list[tuple[int, int]], repeat: int) -> None:
    """Large cases that keep being tied together: every size in the index stays within bounds and adds up."""
    index = link.Index()
    several = [pair for pair in pairs for _ in range(repeat)]
    findings = [
        finding(
            i,
            [
                Entity(EntityType.HASH, f"h{a}-{i // 50}", Role.TARGET),
                Entity(EntityType.USER, f"u{b}-{i // 55}", Role.TARGET),
            ],
        )
        for i, (a, b) in enumerate(several)
    ]
    cases = place_all(findings, index)
    sizes = {case: list(cases.values()).count(case) for case in set(cases.values())}
    assert max(sizes.values()) <= link.CASE_FINDINGS_MAX
    assert sizes == index.sizes


def test_a_case_that_is_full_takes_nothing_in() -> None:
    """One hash in more findings than a case holds: the next finding opens another case."""
    index = link.Index()
    shared = [Entity(EntityType.HASH, "h", Role.TARGET)]
    index.rows["hash:h"] = link.Row("C-1", "F-1", START, 1)
    index.sizes["C-1"] = link.CASE_FINDINGS_MAX
    assert set(place_all([finding(1, shared)], index).values()) == {"C-1000"}
    assert index.sizes["C-1"] == link.CASE_FINDINGS_MAX


def test_an_entity_in_too_many_findings_ties_nothing_any_more() -> None:
    hub = [Entity(EntityType.IP, "10.0.0.1", Role.TARGET)]
    cases = place_all([finding(i, hub) for i in range(link.HUB_FINDINGS_MAX + 20)])
    assert len(partition(cases)) > 1


@given(SEVERAL)
def test_following_merges_ends(several: list[tuple[list[Entity], int]]) -> None:
    index = link.Index()
    place_all([finding(i, entities, minute) for i, (entities, minute) in enumerate(several)], index)
    for case in index.merged:
        assert index.resolve(case) in index.sizes
        assert link.case_number(index.merged[case]) < link.case_number(case)  # always towards the older: no circle
    assert not set(index.merged) & set(index.sizes)
