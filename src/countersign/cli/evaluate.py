"""``countersign evaluate``: does it keep what it promises, and what does that cost?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from countersign.cli.common import JsonOption, emit, note, table

WIDTH = 10_000
"""Parts per million in one per cent."""


def register(app: typer.Typer) -> None:
    """Add the command group."""
    group = typer.Typer(help="Measure what is promised.", no_args_is_help=True)
    group.callback()(_group)
    group.command("sites")(sites)
    group.command("ait")(ait)
    group.command("mail")(mail)
    group.command("drills")(drills)
    app.add_typer(group, name="evaluate")


def _group() -> None:
    """Help of the group."""


def sites(
    sites: Annotated[int, typer.Option(min=20, help="How many sites and review streams to simulate.")] = 1_000,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same figures.")] = 20_250_601,
    json: JsonOption = False,
) -> None:
    """Simulated sites, where the truth is known: certified against tuned thresholds, alarms, certificates.

    Ends with 1 when a figure misses its limit; few sites may miss one by chance.
    """
    from countersign.evaluate.sites import evaluate  # noqa: PLC0415 - keeps `--help` quick

    found = evaluate(sites, seed)
    if json:
        emit(found)
    else:
        _show(found)
    if not all(check["held"] for check in found["checks"]):
        raise typer.Exit(1)


def ait(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder with AIT-ADS files, one network each.")],
    train: Annotated[Path | None, typer.Option(metavar="DIR2", help="Train on these networks alone.")] = None,
    choices: Annotated[bool, typer.Option("--choices", help="Also what each choice gives, one changed at a time.")] = False,
    out: Annotated[Path | None, typer.Option(help="Folder for charts (SVG), tables and figures.")] = None,
    json: JsonOption = False,
) -> None:
    """AIT Alert Data Set: offline, leaving one network out, and each network as a new site that lives through it.

    Ends with 1 when the bound was violated on a network; goals not reached are said, and are no failure.
    """
    from countersign.evaluate import ait_report as report  # noqa: PLC0415 - keeps `--help` quick
    from countersign.evaluate.ait import evaluate  # noqa: PLC0415

    found, _ = evaluate(folder, train, variants=choices, say=note)
    if out is not None:
        for path in report.write(found, out):
            note(f"wrote {path}")
    if json:
        emit(found)
    else:
        for title, columns, rows in report.tables(found):
            table(columns, rows, title=f"\n{title}")
        for line in report.NOTES:
            note(line)
    if any(network["bound_violated"] for network in found["networks"]):
        raise typer.Exit(1)


def mail(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder with mail corpora, one *.tar.xz each.")],
    json: JsonOption = False,
) -> None:
    """Real mail: how much of it can be read, and whether the text terms learn within one corpus."""
    from countersign.evaluate.mail import evaluate  # noqa: PLC0415 - keeps `--help` quick

    found = evaluate(folder)
    if json:
        emit(found)
        return
    names = ("mails", "read", "with_subject", "with_text", "html_only", "with_date", "grams_median")
    rows = [(one["corpus"], *(one[name] for name in names)) for one in found["corpora"]]
    table(("corpus", *(name.replace("_", " ") for name in names)), rows)
    for one in found["corpora"]:
        for name in one["unreadable"]:
            note(f"{one['corpus']}: not read: {name}")
        if ranked := one["replies_told"]:
            auc, low, high = (f"{value / 1_000_000:.3f}" for value in ranked["auc"])
            tested = f"trained on the {ranked['trained']} older, tested on the {ranked['tested']} newer"
            note(f"{one['corpus']}: replies over first mails, AUC {auc} (95 % interval {low}–{high}), {tested}")
    for line in found["notes"]:
        note(line)


def drills(
    count: Annotated[int, typer.Option("--drills", min=24, help="How many; every kind in turn.")] = 1_000,
    seed: Annotated[int, typer.Option(min=0, help="Same seed and site, same drills.")] = 1,
    data: Annotated[
        Path | None, typer.Option("--data", help="Drill on a copy of this site's record; default: a small one made up here.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Tampering drills on copies of a record: who notices what, `verify`, the holder of an older checkpoint, a witness.

    Ends with 1 when nobody noticed one.
    """
    from countersign.evaluate.drills import evaluate  # noqa: PLC0415 - keeps `--help` quick

    found = evaluate(count, seed, data)
    if json:
        emit(found)
    else:
        looking = tuple(found.lines[0].by)
        rows = [(one.name, one.reach, one.drills, *(one.by[name] for name in looking), one.detected) for one in found.lines]
        table(("tampering", "needs", "drills", *looking, "detected"), rows)
        note(f"{found.detected} of {found.drills} detected, on {found.entries} entries, {found.cpu_seconds} CPU seconds")
        for what in found.missed:
            note(f"nobody noticed: {what}")
    if found.missed:
        raise typer.Exit(1)


def _show(found: dict[str, Any]) -> None:
    alpha, worlds, stream = _percent(found["alpha_ppm"]), found["worlds"], found["streams"]
    note(f"Promise: at most {alpha} threats among the closed. broken: share of sites where it does not hold (95 % interval)")
    for name, world in worlds.items():
        theirs = world["tuned_broken"]
        rows = (
            (
                "certified",
                world["closed_anything"],
                _rate(world["broken"]),
                _rate(world["broken_of_all"]),
                "share_closed_ppm",
            ),
            ("tuned", theirs["of"], _rate(theirs), "", "tuned_share_closed_ppm"),
        )
        columns = (name, "closed any", "broken, of these", "broken, of all", "share closed")
        table(columns, [(*row, _percent(world[key])) for *row, key in rows], title=world["title"])
    names = ("false_alarms", "false_alarms_sampled", "false_certificates", "false_certificates_sampled")
    rates = [(name.replace("_", " "), _rate(stream[name])) for name in names]
    table(("at risk exactly alpha", f"of {stream['runs']} streams"), rates, title=f"Streams of {stream['reviews']} reviews")
    counts = ("jump_noticed_reviews", "jump_noticed_nine_in_ten", "change_run_length", "clean_reviews")
    table(("", "reviews"), [(name.replace("_", " "), stream[name]) for name in counts])
    checks = [(c["check"], _number(c["value"]), f"{_at(c)} {_number(c['limit'])}", _held(c)) for c in found["checks"]]
    table(("check", "value", "limit", ""), checks, title="Checks")
    note("simulated: these figures test the method, not any real site")


def _rate(rate: dict[str, int]) -> str:
    return f"{_percent(rate['ppm'])} ({rate['low_ppm'] / WIDTH:.1f}–{rate['high_ppm'] / WIDTH:.1f})"


def _percent(ppm: int) -> str:
    return f"{ppm / WIDTH:.1f} %"


def _number(value: int) -> str:
    """Shares are in ppm and thousands at least, or 0; counts of reviews are smaller."""
    return _percent(value) if value == 0 or value >= 1_000 else str(value)


def _at(check: dict[str, Any]) -> str:
    return "at most" if check["at"] == "most" else "more than"


def _held(check: dict[str, Any]) -> str:
    return "held" if check["held"] else "MISSED"
