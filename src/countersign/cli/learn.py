"""``countersign learn``: a candidate model from the site's own labels, or the shipped prior from open data."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from countersign.cli.common import DataOption, JsonOption, emit, note, opened, table
from countersign.errors import EnvironmentFault, UsageError
from countersign.model.verdicts import PPM

CHECKOUT = Path("src/countersign/triage")
FOLDER = "models"
_MEASURES = (
    ("auc", "AUC"),
    ("log_loss", "log-loss, nats (less is better)"),
    ("macro_f1", "macro-F1 at 50 %"),
    ("closable", "share that the hard cap would let close"),
)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("learn")(learn)


def learn(
    prior: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Train the shipped prior on a folder of AIT-ADS files instead.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="With --prior: model file to write.", show_default="prior.json")] = None,
    imported: Annotated[
        bool, typer.Option("--imported", help="Also learn from dispositions that the tools' own alerts carry.")
    ] = False,
    activate: Annotated[
        str, typer.Option(metavar="MODEL", help="Propose that a candidate (its id, or the beginning) comes into force.")
    ] = "",
    data: DataOption = None,
    json: JsonOption = False,
) -> None:
    """Train a candidate on what people found on this site, and compare it with the model in force. It does not come into
    force by this."""
    if prior is not None:
        _prior(prior, out, json=json)
        return
    if activate:
        _activate(activate, data)
        return
    if out is not None:
        raise UsageError("--out belongs to --prior", todo="a site's candidates go into the data directory")
    _site(data, imported=imported, json=json)


def _activate(candidate: str, data: Path | None) -> None:
    from countersign.impact import Impact  # noqa: PLC0415 - keeps `--help` quick

    with opened(data) as site:
        number = Impact(site).activation(candidate)
    note(f"change {number} waits: countersign approve {number} --person NAME --sign-with KEY --reason TEXT")


def _site(data: Path | None, *, imported: bool, json: bool) -> None:
    from countersign.evaluate import learn_labels, learn_site  # noqa: PLC0415 - keeps `--help` quick
    from countersign.store import casework, models  # noqa: PLC0415
    from countersign.store.engine import reading, writing  # noqa: PLC0415

    with opened(data) as site:
        with reading(site.engine) as conn:
            found = learn_labels.examples(conn, imported=imported)
        candidate = learn_site.learn(found, site.model, note)
        with writing(site.engine) as conn:
            by = casework.person(conn, site.commands.operator)
            ident = models.propose(conn, candidate.data, candidate.measured, by, site.clock.now_ms())
        site.seal()
        target = site.data / FOLDER / f"{ident}.json"
        _write(target, candidate.data)
    if json:
        emit({"model": ident, "file": str(target), "active": False, **candidate.measured})
    else:
        _show(candidate.measured)
    note(f"candidate {ident}")
    note(f"wrote {target}; it is not in force: that takes a person's approval")


def _show(measured: dict[str, Any]) -> None:
    found = measured["metrics"]
    rows: list[Sequence[object]] = [
        (words, _figure(found["candidate"][name]), _figure(found["current"][name]), _gain(found["gain"].get(name)))
        for name, words in _MEASURES
    ]
    sides = (found["candidate"], found["current"])
    rows.append(("threats among these", *(side["closable_threats"] for side in sides), ""))
    rows.append(("threats said, on average", *(_share(side["said"]) for side in sides), ""))
    rows.append(("threats there were", *(_figure(side["was"]) for side in sides), ""))
    title = f"{measured['tested']} newest labelled findings, {measured['tested_threats']} of them threats (95 % intervals)"
    table(("", "candidate", "in force", "difference"), rows, title=title)
    labels = ", ".join(f"{count} {source}" for source, count in measured["labels"].items())
    grams = measured["text_grams"]
    note(f"trained on {measured['trained']} of {measured['findings']} labels ({labels}); text grams: {grams}")
    note(f"by log-loss the candidate is {found['judgement']}")


def _figure(figure: Sequence[int]) -> str:
    value, low, high = figure
    return f"{value / PPM:.3f} ({low / PPM:.3f}–{high / PPM:.3f})"


def _gain(figure: Sequence[int] | None) -> str:
    if figure is None:
        return ""
    value, low, high = figure
    return f"{value / PPM:+.3f} ({low / PPM:+.3f} to {high / PPM:+.3f})"


def _prior(folder: Path, out: Path | None, *, json: bool) -> None:
    from countersign.evaluate.learn import learn_prior  # noqa: PLC0415 - keeps `--help` quick

    learnt = learn_prior(folder, note)
    target = out or (CHECKOUT if CHECKOUT.is_dir() else Path()) / "prior.json"
    _write(target, learnt.data)
    if json:
        emit(learnt.measures)
        return
    lines = ["left out         findings  threats  macro-F1    AUC  without dnsteal: macro-F1    AUC"]
    for name, figures in learnt.measures["networks"].items():
        whole, apart = figures["all"], figures["without_dnsteal"]
        lines.append(
            f"{name:<16} {figures['findings']:>8} {figures['threats']:>8}  {_share(whole['macro_f1'])}  "
            f"{_share(whole['auc'])}  {'':<15}  {_share(apart['macro_f1'])}    {_share(apart['auc'])}"
        )
    lines.append(f"wrote {target} ({learnt.measures['bytes']} bytes), model {learnt.measures['model']}")
    typer.echo("\n".join(lines))


def _write(target: Path, data: bytes) -> None:
    part = target.with_name(f".{target.name}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(data)
        os.replace(part, target)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise EnvironmentFault(f"cannot write the model: {error.strerror}", where=str(target)) from None


def _share(ppm: int) -> str:
    return f"{ppm / PPM:>6.4f}"
