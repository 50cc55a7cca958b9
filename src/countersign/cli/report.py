"""``countersign report``: evidence packs for auditors, of one case or for one article."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from countersign.cli.common import DAY_MS, DataOption, JsonOption, day_ms, emit, note, opened, table
from countersign.errors import UsageError

if TYPE_CHECKING:
    from countersign.reporting.make import Pack


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(report)


def report(
    article: Annotated[str, typer.Argument(metavar="[ARTICLE]", help="An article or a part of one; none lists them.")] = "",
    case: Annotated[str, typer.Option(help="The whole way of one case; with gdpr: only its decisions.")] = "",
    first: Annotated[str, typer.Option("--from", metavar="DATE", help="First day of the period, YYYY-MM-DD, UTC.")] = "",
    last: Annotated[str, typer.Option("--to", metavar="DATE", help="Last day of the period.")] = "",
    out: Annotated[Path | None, typer.Option(help="New folder for the pack.")] = None,
    pdf: Annotated[bool, typer.Option("--pdf", help="The report as PDF, too; needs the extra `report`.")] = False,
    archive: Annotated[bool, typer.Option("--zip", help="The pack as a .zip beside the folder, too.")] = False,
    with_names: Annotated[bool, typer.Option("--with-names", help="Clear names, and what names persons.")] = False,
    data: DataOption = None,
    json: JsonOption = False,
) -> None:
    """Write an evidence pack: the report, the entries that it cites, their proofs, and how to check them without us."""
    from countersign.reporting import pack as packing  # noqa: PLC0415 - keeps `--help` quick
    from countersign.reporting.make import ARTICLES, Wanted, make_pack  # noqa: PLC0415

    if not article and not case:
        _list(json=json)
        return
    _fits(article, case, bool(first or last), {one.id for one in ARTICLES if one.by_case})
    wanted = Wanted(article, case, day_ms(first, "--from") if first else 0, _end(last), with_names, pdf)
    if wanted.last_ms and wanted.last_ms < wanted.first_ms:
        raise UsageError("ends before it begins", where="--to", todo="give a later day")
    if out is not None:
        packing.check_free(out)
    with opened(data) as site:
        made = make_pack(site, wanted)
    target = out or Path(f"report-{made.name}")
    _told(made, target, _written(made, target, archive=archive), json=json)


def _written(made: Pack, target: Path, *, archive: bool) -> list[str]:
    """The pack as a folder and, if asked for, as an archive beside it; neither replaces anything."""
    from countersign.reporting import pack as packing  # noqa: PLC0415 - keeps `--help` quick

    zip_path = target.with_name(f"{target.name}.zip")
    if archive:
        packing.check_free(zip_path)
    packing.write(made.files, target)
    if not archive:
        return [str(target)]
    packing.write_file(packing.zipped(made.files, target.name), zip_path)
    return [str(target), str(zip_path)]


def _told(made: Pack, target: Path, written: list[str], *, json: bool) -> None:
    if json:
        document = {"written": written, "entries": made.entries, "checkpoint": made.size, "withheld": list(made.withheld)}
        emit(document | {"statements": sum(1 for _ in made.report.claims()), "files": sorted(made.files)})
        return
    for path in written:
        note(f"wrote {path}")
    proved = f"each proved under a checkpoint of {made.size:,}" if made.entries else "as no entry shows what was asked for"
    note(f"{made.entries:,} entries cited, {proved}; how to check: {target}/VERIFY.md")
    for line in made.withheld:
        note(f"left out: {line}")


def _list(*, json: bool) -> None:
    from countersign.reporting.make import ARTICLES  # noqa: PLC0415 - keeps `--help` quick

    if json:
        emit([{"article": one.id, "title": one.title, "parts": [[p.id, p.title] for p in one.parts]} for one in ARTICLES])
        return
    rows = [(one.id, part.id if len(one.parts) > 1 else "", part.title) for one in ARTICLES for part in one.parts]
    table(("article", "part", "what for"), rows)
    note("`countersign report ARTICLE` makes a pack of an article or of one part; `--case ID` of one case.")


def _fits(article: str, case: str, dated: bool, by_case: set[str]) -> None:
    """Raises UsageError for what cannot be asked for together."""
    if article and case and article.casefold().partition("-")[0] not in by_case:
        todo = f"leave one out, or use {', '.join(sorted(by_case))}"
        raise UsageError(f"{article} is not made of one case", where="--case", todo=todo)
    if not article and dated:
        raise UsageError("a case has no period", where="--from, --to", todo="leave them out, or name an article")


def _end(text: str) -> int:
    """Last millisecond of a day, 0 for none."""
    return day_ms(text, "--to") + DAY_MS - 1 if text else 0
