"""Makes a pack of a site: gather, state, seal, prove, render. What comes out is files; nothing is written here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
from msgspec.structs import replace
from sqlalchemy import Connection

from countersign import __version__
from countersign.bootstrap import Site
from countersign.ledger import handover
from countersign.reporting import articles, case, html, pack, typeset
from countersign.reporting.ai_act import AI_ACT
from countersign.reporting.articles import Article, Part
from countersign.reporting.case_reading import case_ids, raw_messages, read_case
from countersign.reporting.gdpr import GDPR
from countersign.reporting.incidents import ISO, NIST
from countersign.reporting.model import Cited, Piece, Report
from countersign.reporting.pack import Pinned
from countersign.reporting.reading import PeriodRecord, Pieces, names
from countersign.reporting.says import Names
from countersign.reporting.soc2 import SOC2
from countersign.reporting.stamped import stamped
from countersign.reporting.view import view
from countersign.store import stamps
from countersign.store.engine import reading
from countersign.web import words

ARTICLES: tuple[Article, ...] = (SOC2, GDPR, AI_ACT, NIST, ISO)
HONEST = (
    "Each statement names the entries of the log that carry it. Where no entry shows something, it says so.",
    "This is what was recorded; it is neither a certification nor legal advice.",
)
PSEUDONYMS = "Persons stand here by the pseudonyms that the log knows them by."
CLEAR = "Clear names were asked for. No entry holds them: they come from the site’s key table, which this pack cannot prove."


class Wanted(msgspec.Struct, frozen=True):
    """What is asked for. article: name of an article or part, "" for a case report. first_ms, last_ms: the period,
    inclusive; 0 for the log's own ends."""

    article: str = ""
    case: str = ""
    first_ms: int = 0
    last_ms: int = 0
    named: bool = False
    pdf: bool = False


class Pack(msgspec.Struct, frozen=True):
    """A pack ready to be written. files: by name."""

    name: str
    files: dict[str, bytes]
    report: Report
    size: int
    entries: int
    withheld: tuple[str, ...]


class _Gathered(msgspec.Struct, frozen=True):
    report: Report
    entries: Mapping[int, Cited]
    pieces: tuple[Piece, ...]
    withheld: tuple[str, ...]
    messages: dict[str, bytes]


def make_pack(site: Site, wanted: Wanted) -> Pack:
    """The whole pack. Raises NotFoundError, ConflictError, UsageError; VerificationError or EnvironmentFault where the log
    cannot be sealed or does not hold what the database says."""
    if wanted.pdf:
        typeset.available()
    with reading(site.engine) as conn:
        found = _gather(conn, wanted, site.clock.now_ms())
    site.seal()
    log = Pinned(site.tiles, site.log_key.vkey)
    cited = [found.entries[index] for index in found.report.cited()]
    seen = stamped(site.tiles, log, found.report.cited(), stamps.roots(site.config.ledger.timestamps.ca))
    report = replace(found.report, facts=(*found.report.facts, *seen.facts))
    withheld = (*found.withheld, *seen.withheld)
    shown = view(report, found.entries, found.pieces, withheld, log.head, str(log.key))
    files = {
        "report.html": html.render(shown),
        "report.json": pack.described(report),
        "checkpoint": log.checkpoint(),
        "log.vkey": f"{log.key}\n".encode(),
        **pack.proved(log, cited),
        **pack.beside(found.pieces),
        **found.messages,
        **seen.files,
        **pack.manual(),
    }
    if handovers := site.tiles.beside(handover.FILE):
        files[handover.FILE] = handovers
    if wanted.pdf:
        files["report.pdf"] = typeset.render(shown, site.clock.now_ms())
    return Pack(report.name, pack.summed(files), report, log.head.size, len(cited), withheld)


def archive(site: Site, wanted: Wanted) -> tuple[str, bytes]:
    """(name, pack as one archive). Raises what ``make_pack`` does."""
    made = make_pack(site, wanted)
    name = f"report-{made.name}"
    return name, pack.zipped(made.files, name)


def _gather(conn: Connection, wanted: Wanted, now_ms: int) -> _Gathered:
    known = Names(names(conn) if wanted.named else None)
    if not wanted.article:
        return _of_case(conn, wanted, known, now_ms)
    return _of_article(conn, wanted, known, now_ms)


def _of_case(conn: Connection, wanted: Wanted, known: Names, now_ms: int) -> _Gathered:
    pieces = Pieces(conn, named=wanted.named)
    file = read_case(conn, wanted.case, pieces, known)
    sections = case.sections(file)
    report = Report(
        f"case-{wanted.case}",
        f"Case {wanted.case}: what was recorded, from alert to outcome",
        case.summary(file),
        (*case.facts(file), *_made(now_ms)),
        (*HONEST, CLEAR if wanted.named else PSEUDONYMS),
        sections,
    )
    messages, missing = raw_messages(conn, file) if wanted.named else ({}, [])
    left = [] if wanted.named else ["raw messages: they may name persons; --with-names puts them in"]
    held = {digest: file.pieces[digest] for digest in report.pieces()}
    return _Gathered(report, file.entries, tuple(held.values()), (*pieces.withheld, *missing, *left), messages)


def _of_article(conn: Connection, wanted: Wanted, known: Names, now_ms: int) -> _Gathered:
    article, parts = articles.resolve(ARTICLES, wanted.article)
    cases = case_ids(conn, wanted.case) if wanted.case else ()
    opened = PeriodRecord(conn, known, 0, now_ms, now_ms).entry(0)
    first = max(wanted.first_ms, opened.entry.time if opened else 0)
    record = PeriodRecord(conn, known, first, min(wanted.last_ms or now_ms, now_ms), now_ms, cases)
    report = Report(
        _name(article, parts, wanted.case),
        article.title
        if len(parts) == len(article.parts)
        else f"{article.title.partition(':')[0]}: what this log shows for {_ids(parts)}",
        f"For {f'case {wanted.case}, ' if wanted.case else ''}{articles.period(record)}",
        (("Period (UTC)", articles.period(record).removesuffix(" UTC")), ("Parts", _ids(parts)), *_made(now_ms)),
        (*article.notes, *HONEST, CLEAR if wanted.named else PSEUDONYMS),
        articles.sections(parts, record),
    )
    return _Gathered(report, record.entries(report.cited()), (), (), {})


def _name(article: Article, parts: Sequence[Part], ident: str) -> str:
    part = "" if len(parts) == len(article.parts) else f"-{parts[0].id.lower()}"
    return f"{article.id}{part}" + (f"-{ident}" if ident else "")


def _ids(parts: Sequence[Part]) -> str:
    return ", ".join(f"Art. {part.id}" if part.id.isdigit() else part.id for part in parts)


def _made(now_ms: int) -> tuple[tuple[str, str], ...]:
    return (("Made (UTC)", words.stamp(now_ms)), ("By", f"Countersign {__version__}"))


__all__ = ["ARTICLES", "Pack", "Wanted", "archive", "make_pack"]
