"""Regulation (EU) 2016/679 (GDPR), Articles 15(1)(h) and 22: what was weighed, and what would have changed the result.

The case-law asks for the procedure and principles actually applied, in a form that can be understood (CJEU C-203/22): the
decision's own entry holds them, so they are read off it and put in plain words.
"""

from __future__ import annotations

from collections.abc import Iterator

from countersign.model.entries import Kind
from countersign.reporting import decision
from countersign.reporting.articles import Article, Ask, Part, Record, apart, more
from countersign.reporting.model import Claim, Line, absent, numbers
from countersign.reporting.says import minute
from countersign.reporting.steps import STEPS, steps
from countersign.web import words

EXPLAINED_MAX = 10
ALONE = b'"action":"close"'


def weighed(record: Record) -> Iterator[Claim]:
    """Each decision in plain words: those taken without a person first."""
    found = record.find(Kind.FINDING_DECIDED, holding=ALONE, newest=EXPLAINED_MAX)
    if not found.total:
        yield absent("No entry in the period shows that a finding was closed without a person.")
        found = record.find(Kind.FINDING_DECIDED, newest=EXPLAINED_MAX)
    if not found.total:
        yield absent("No entry in the period shows a decision.")
        return
    for one in found.shown:
        yield decision.verdict(one)
        yield decision.weights(one)
        yield decision.counterfactual(one)
        yield from decision.lookups(one)


def alone(record: Record) -> Iterator[Claim]:
    """Which decisions no person took part in."""
    found = record.find(Kind.FINDING_DECIDED, holding=ALONE)
    if not found.total:
        yield absent("No entry in the period shows a decision taken without a person: each was put before one.")
        return
    rows = tuple(
        Line((minute(one.entry.time), one.entry.subject, one.entry.body["rule"], one.entry.body["scope"]), (one.index,))
        for one in found.shown
    )
    verb = "finding was" if found.total == 1 else "findings were"
    text = f"{found.total:,} {verb} closed by the agent, without a person.{more(found)} A close starts no response."
    yield Claim(text, columns=("time (UTC)", "finding", "rule", "scope"), lines=rows)


def logic(record: Record) -> Iterator[Claim]:
    """By which model and policy."""
    found = record.find(Kind.MODEL_ACTIVATED, Kind.POLICY_ACTIVATED)
    opened = [one for one in found.shown if one.entry.kind is Kind.MODEL_ACTIVATED]
    if not opened:
        yield absent("No entry in the period shows that a model was put in force; the decisions name theirs.")
        return
    for one in opened:
        text = (
            "A finding’s score is a sum of one weight for each thing looked at, and each weight stands in its "
            "decision’s entry. The "
            f"model {one.entry.body['model'][:16]}… gives the weights since {words.stamp(one.entry.time)}."
        )
        yield Claim(text, (one.index,))


def step_in(record: Record) -> Iterator[Claim]:
    """How people stepped in."""
    found = record.find(Kind.CASE_DISPOSED, Kind.CASE_REOPENED, Kind.REVIEW_ANSWERED)
    if found.total:
        text = f"People stepped in: {numbers(found.total, 'entry', 'entries')}.{more(found)}"
        yield Claim(text, columns=STEPS, lines=steps(found.shown, record.names))
    else:
        yield absent("No entry in the period shows that a person disposed of, reopened or reviewed a case.")


GDPR = Article(
    "gdpr",
    "GDPR: what was weighed, and what would have changed the result",
    (
        (
            "Whether a decision about alerts concerns a person, or affects one significantly, is not decided "
            "here; nor is this legal advice."
        ),
        "It is made of a period, or with --case of one case: of each decision that concerns a person, ask for its case.",
    ),
    (
        Part(
            "15",
            "Article 15(1)(h): the logic involved, and what it came to",
            "A person is told in plain words what was weighed in a decision, how it was weighed, and what would "
            "have changed the result.",
            (logic, weighed),
        ),
        Part(
            "22",
            "Article 22: decisions without a person, and the safeguards",
            "Nobody is subject to a decision based on automated processing alone that affects them "
            "significantly, and can have a person step in.",
            (
                alone,
                step_in,
                Ask("effects on systems or accounts came from people’s signatures", (Kind.ACTION_INTENDED,)),
                apart,
            ),
        ),
    ),
    by_case=True,
)
