"""Regulation (EU) 2024/1689 (AI Act), Articles 12, 13, 14, 19 and 26, as far as this log can speak for them."""

from __future__ import annotations

from collections.abc import Iterator

from countersign.autonomy.scopes import DEFAULT_SCOPES
from countersign.model.entries import Kind
from countersign.reporting import decision
from countersign.reporting.articles import Article, Ask, Part, Record, age_days, apart, authors, coverage
from countersign.reporting.model import Cited, Claim, Line, absent, numbers
from countersign.reporting.says import minute
from countersign.web import words

SIX_MONTHS_DAYS = 183
APPLIES = "2 December 2027"


def example(record: Record) -> Iterator[Claim]:
    """The newest decision, explained in full: how an output is to be read."""
    found = record.find(Kind.FINDING_DECIDED, newest=1).shown
    if not found:
        yield absent("No entry in the period shows a decision that could be explained.")
        return
    yield from decision.explained(found[0])


def measured(record: Record) -> Iterator[Claim]:
    """What the site's own reviews say of each scope, newest figures."""
    newest: dict[str, Cited] = {}
    for scope in DEFAULT_SCOPES:
        found = record.find(Kind.AUTONOMY_OBSERVED, holding=f'"subject":"{scope}"'.encode(), newest=1).shown
        newest |= {scope: found[0]} if found else {}
    if not newest:
        yield absent("No entry in the period shows figures of accuracy from the site’s own reviews.")
        return
    rows = []
    for scope, one in sorted(newest.items()):
        body = one.entry.body
        bound = words.percent(body["bound_ppm"])
        cells = (scope, str(body["stage"]), f"{body['reviewed']:,}", f"{body['threats']:,}", bound, minute(one.entry.time))
        rows.append(Line(cells, (one.index,)))
    text = "People’s reviews on this site bound, scope by scope, how many threats are among what would be closed."
    columns = ("scope", "stage", "reviewed", "threats among them", "upper bound", "as of (UTC)")
    yield Claim(text, columns=columns, lines=tuple(rows))


def kept(record: Record) -> Iterator[Claim]:
    """Whether the log goes back six months already."""
    opened = record.entry(0)
    if opened is None:
        yield absent("No entry shows when the log began.")
        return
    days = age_days(opened, record)
    if days < SIX_MONTHS_DAYS:
        text = f"The log is {numbers(days, 'day')} old, so it cannot show yet that six months of it are kept."
        yield Claim(f"{text} It begins with entry 0, which is in this pack.", (0,))
    else:
        text = f"The log goes back {days:,} days to entry 0, which is proved in this pack to be in it still."
        yield Claim(text, (0,))


RECORDS = (
    Ask("what was received was logged automatically", (Kind.ALERT_RECEIVED,)),
    Ask("decisions were logged automatically", (Kind.FINDING_DECIDED,)),
)
ART12 = Part(
    "12",
    "Article 12: record-keeping",
    "The system logs events over its lifetime by itself, so that situations of risk can be found and its "
    "operation monitored.",
    (
        coverage,
        *RECORDS,
        authors,
        Ask("faults and risky situations were logged", (Kind.AUTONOMY_HALTED, Kind.ALERT_QUARANTINED, Kind.LEASE_REFUSED)),
    ),
)
ART13 = Part(
    "13",
    "Article 13: transparency to whoever deploys it",
    "Its operation is transparent enough that deployers can interpret its output, know its accuracy, and its changes.",
    (
        example,
        measured,
        Ask(
            "the models and policies that decided are named, with the time from which each did",
            (Kind.MODEL_ACTIVATED, Kind.POLICY_ACTIVATED),
        ),
        Ask("candidate models were measured before anybody chose them", (Kind.MODEL_PROPOSED,)),
    ),
)
ART14 = Part(
    "14",
    "Article 14: human oversight",
    "People can understand, oversee, override and stop the system while it is in use.",
    (
        Ask("findings were put before a person rather than decided alone", (Kind.FINDING_DECIDED,), b'"action":"escalate"'),
        Ask(
            "people gave or widened autonomy, or it stepped back by itself",
            (Kind.AUTONOMY_PROMOTED, Kind.AUTONOMY_DEMOTED, Kind.AUTONOMY_CERTIFIED),
        ),
        Ask(
            "people used the kill switch, or lifted it",
            (Kind.AUTONOMY_STOPPED, Kind.AUTONOMY_RESUMED, Kind.AGENT_STOPPED, Kind.AGENT_RESUMED),
        ),
        Ask(
            "people overrode or reviewed what the agent had done",
            (Kind.CASE_REOPENED, Kind.REVIEW_ANSWERED, Kind.RECALL_OPENED),
        ),
        apart,
    ),
)
ART19 = Part(
    "19",
    "Article 19: logs kept by the provider",
    "Automatically made logs are kept as long as their purpose needs, and for six months at least.",
    (coverage, kept, *RECORDS),
)
ART26 = Part(
    "26",
    "Article 26: duties of whoever deploys it",
    "Oversight is given to competent people, operation is monitored, use is suspended where it is risky, and logs are kept.",
    (
        Ask(
            "oversight was given to people, or taken from them",
            (Kind.ROLE_GRANTED, Kind.ROLE_REVOKED, Kind.PERSON_ENROLLED, Kind.PERSON_REVOKED),
        ),
        Ask(
            "operation was monitored by people’s reviews", (Kind.REVIEW_ANSWERED, Kind.REVIEW_COMMITTED, Kind.REVIEW_OPENED)
        ),
        Ask("use was suspended", (Kind.AUTONOMY_STOPPED, Kind.AUTONOMY_HALTED, Kind.AGENT_STOPPED)),
        kept,
    ),
)
AI_ACT = Article(
    "ai-act",
    "AI Act: what this log shows for Articles 12, 13, 14, 19 and 26",
    (
        f"This mapping is voluntary. The duties of high-risk systems that these articles belong to apply from {APPLIES}.",
        (
            "Whether a site’s use is high-risk is not decided here, and nothing here is legal advice or a "
            "declaration of conformity."
        ),
    ),
    (ART12, ART13, ART14, ART19, ART26),
)
