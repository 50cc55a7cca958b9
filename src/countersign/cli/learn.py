"""``countersign learn``: train a model. So far the shipped prior, from open data."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from countersign.errors import EnvironmentFault
from countersign.evaluate.learn import Learnt, learn_prior

CHECKOUT = Path("src/countersign/triage")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("learn")(learn)


def learn(
    prior: Annotated[Path, typer.Option(help="Folder of AIT-ADS files (*.csv or *.csv.xz) to train the prior on.")],
    out: Annotated[Path | None, typer.Option(help="Model file to write.", show_default="prior.json")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the measures as one JSON document.")] = False,
    data: Annotated[Path | None, typer.Option(envvar="COUNTERSIGN_DATA_DIR", help="Data directory (not used).")] = None,
) -> None:
    """Train the prior model, measured by leaving one network out, and write it as JSON."""
    del data  # every command takes it
    learnt = learn_prior(prior, lambda line: typer.echo(line, err=True))
    target = out or (CHECKOUT if CHECKOUT.is_dir() else Path()) / "prior.json"
    _write(target, learnt.data)
    typer.echo(msgspec.json.encode(learnt.measures).decode() if as_json else _table(learnt, target))


def _write(target: Path, data: bytes) -> None:
    part = target.with_name(f".{target.name}.part")
    try:
        part.write_bytes(data)
        os.replace(part, target)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise EnvironmentFault(f"cannot write the model: {error.strerror}", where=str(target)) from None


def _table(learnt: Learnt, target: Path) -> str:
    lines = ["left out         findings  threats  macro-F1    AUC  without dnsteal: macro-F1    AUC"]
    for name, figures in learnt.measures["networks"].items():
        whole, apart = figures["all"], figures["without_dnsteal"]
        lines.append(
            f"{name:<16} {figures['findings']:>8} {figures['threats']:>8}  {_share(whole['macro_f1'])}  "
            f"{_share(whole['auc'])}  {'':<15}  {_share(apart['macro_f1'])}    {_share(apart['auc'])}"
        )
    lines.append(f"wrote {target} ({learnt.measures['bytes']} bytes), model {learnt.measures['model']}")
    return "\n".join(lines)


def _share(ppm: int) -> str:
    return f"{ppm / 1_000_000:>6.4f}"
