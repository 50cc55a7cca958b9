"""Articles and criteria that a report can be asked for, and how their statements are made from the entries of a period.

Which control asks for what is said in our own words. A statement is one clause and the kinds of entries that would show it;
where a period holds none of them, the report says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import msgspec

from countersign.errors import UsageError
from countersign.model.entries import Kind
from countersign.reporting.model import Cited, Claim, Line, Section, absent, indices, numbers
from countersign.reporting.says import Names, begun, minute, sentence, when
from countersign.reporting.steps import STEPS, steps

DAY_MS = 86_400_000
NEWEST_MAX = 20
"""Most entries that a statement over a period lists; it says how many there are in all."""


class Found(msgspec.Struct, frozen=True):
    """What a period holds of some kinds. total: how many there are. shown: the newest of them, in the order of the log."""

    total: int
    shown: tuple[Cited, ...]


class Record(Protocol):
    """The entries of a period. now_ms: when the report is made. first_ms, last_ms: its ends, inclusive."""

    names: Names
    now_ms: int
    first_ms: int
    last_ms: int

    def find(self, *kinds: Kind, holding: bytes = b"", newest: int = NEWEST_MAX) -> Found:
        """Entries of these kinds whose bytes hold something."""
        ...

    def entry(self, index: int) -> Cited | None:
        """One entry, whenever it was written."""
        ...


class Ask(msgspec.Struct, frozen=True):
    """shows: a clause ("people signed in") that these kinds of entries show. holding: bytes that they must hold."""

    shows: str
    kinds: tuple[Kind, ...]
    holding: bytes = b""


Special = Callable[[Record], Iterator[Claim]]


class Part(msgspec.Struct, frozen=True):
    """One article or criterion. id: as it is asked for. about: what it asks for, in our own words."""

    id: str
    title: str
    about: str
    asks: tuple[Ask | Special, ...]


class Article(msgspec.Struct, frozen=True):
    """A standard or law with its parts. notes: what must be known before its report is read. by_case: it can be asked for
    about one case."""

    id: str
    title: str
    notes: tuple[str, ...]
    parts: tuple[Part, ...]
    by_case: bool = False


def sections(parts: Sequence[Part], record: Record) -> tuple[Section, ...]:
    """Sections of the parts asked for."""
    return tuple(Section(part.title, tuple(_claims(part, record)), part.id, part.about) for part in parts)


def _claims(part: Part, record: Record) -> Iterator[Claim]:
    for ask in part.asks:
        if isinstance(ask, Ask):
            yield shown(ask, record)
        else:
            yield from ask(record)


def shown(ask: Ask, record: Record) -> Claim:
    """The statement with its entries, or that no entry shows it."""
    found = record.find(*ask.kinds, holding=ask.holding)
    if not found.total:
        return absent(f"No entry in the period shows that {ask.shows}.")
    verb = "shows" if found.total == 1 else "show"
    return Claim(
        f"{numbers(found.total, 'entry', 'entries')} {verb} that {ask.shows}.{more(found)}",
        columns=STEPS,
        lines=steps(found.shown, record.names),
    )


def more(found: Found) -> str:
    """That not all of them are listed, when so. The number itself is counted in the site's log."""
    left = found.total - len(found.shown)
    return f" The newest {len(found.shown)} are listed and proved here; all were counted in the site’s log." if left else ""


def age_days(opened: Cited, record: Record) -> int:
    """Whole days from an entry to this report."""
    return max(0, record.now_ms - opened.entry.time) // DAY_MS


def coverage(record: Record) -> Iterator[Claim]:
    """Since when the log is kept, and how far it goes back."""
    opened = record.entry(0)
    if opened is None:
        yield absent("No entry shows when the log began.")
        return
    days = age_days(opened, record)
    text = (
        f"{begun(sentence(opened.entry, record.names))} at {when(opened.entry)} with entry 0. Entries "
        "are only ever added: each is "
        f"bound by hash to every checkpoint after it. At the time of this report it goes back {numbers(days, 'day')}."
    )
    yield Claim(text, (0,))


def authors(record: Record) -> Iterator[Claim]:
    """That an entry says who wrote it, shown on the newest of each kind of actor."""
    last: list[Cited] = []
    for kind, kinds in (
        ("agent", (Kind.FINDING_DECIDED,)),
        ("human", _BY_PEOPLE),
        ("system", (Kind.ALERT_RECEIVED, *_BY_SYSTEM)),
    ):
        needle = f'"type":"{kind}"}},"body"'.encode()
        last += record.find(*kinds, holding=needle, newest=1).shown
    if not last:
        yield absent("No entry in the period shows who did something.")
        return
    text = (
        "Every entry names who wrote it: an agent with its lease, a person by pseudonym, or the system. The newest of each:"
    )
    yield Claim(text, indices(last), columns=STEPS, lines=steps(last, record.names))


_BY_PEOPLE = (
    Kind.CASE_DISPOSED,
    Kind.CASE_REOPENED,
    Kind.CASE_ASSIGNED,
    Kind.PROPOSAL_CREATED,
    Kind.PROPOSAL_APPROVED,
    Kind.CHANGE_APPROVED,
    Kind.REVIEW_ANSWERED,
)
_BY_SYSTEM = (Kind.ACTION_PROBED, Kind.REVIEW_COMMITTED, Kind.MODEL_ACTIVATED)


def apart(record: Record) -> Iterator[Claim]:
    """Who asked for something, and who approved it: two people (P2)."""
    found = record.find(Kind.PROPOSAL_APPROVED, Kind.CHANGE_APPROVED)
    if not found.total:
        yield absent("No entry in the period shows that anything was approved.")
        return
    rows, same = [], 0
    for one in found.shown:
        asked = record.entry(int(one.entry.trigger)) if one.entry.trigger.isdecimal() else None
        by = record.names.actor(asked.entry.actor) if asked else "not found"
        same += asked is None or asked.entry.actor.id == one.entry.actor.id
        cites = (one.index,) if asked is None else (asked.index, one.index)
        rows.append(Line((minute(one.entry.time), one.entry.subject, by, record.names.actor(one.entry.actor)), cites))
    who = (
        "In each of those listed it was somebody else than whoever asked."
        if not same
        else f"In {same} listed that is not shown."
    )
    text = f"{numbers(found.total, 'approval was', 'approvals were')} signed. {who}{more(found)}"
    yield Claim(text, columns=("time (UTC)", "number", "asked for by", "approved by"), lines=tuple(rows))


def period(record: Record) -> str:
    """Its ends in words."""
    return f"{minute(record.first_ms)} to {minute(record.last_ms)} UTC"


def resolve(articles: Sequence[Article], wanted: str) -> tuple[Article, tuple[Part, ...]]:
    """The article and its parts that a name means: an article's own (all parts), or one part's. Raises UsageError."""
    name = wanted.casefold()
    for article in articles:
        if name == article.id.casefold():
            return article, article.parts
        for part in article.parts:
            if name in (part.id.casefold(), f"{article.id}-{part.id}".casefold()):
                return article, (part,)
    known = ", ".join(article.id for article in articles)
    raise UsageError(f"there is no report {wanted[:40]!r}", where="ARTICLE", todo=f"use one of {known}, or a part of one")
