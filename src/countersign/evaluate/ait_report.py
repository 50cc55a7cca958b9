"""Tables and charts of ``countersign evaluate ait``: rows for a terminal, Markdown and SVG for a folder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import msgspec

from countersign.autonomy.bounds import ALPHA_PPM
from countersign.evaluate import svg
from countersign.evaluate.ait_offline import MODELS
from countersign.model.verdicts import PPM

Table: TypeAlias = tuple[str, tuple[str, ...], list[tuple[str, ...]]]
"""Title, columns, rows."""

NOTES = (
    "Measured on a testbed with a ground truth per event (AIT Alert Data Set), not in production.",
    "missed: threats among what stayed closed. after: from the first promotion on.",
    "A step is lost when none of its findings reached a person; a blind review of a close does not count as reaching one.",
    "FOR: share of threats among the closed. FNR: share of threats that were closed. 95 % intervals (Clopper-Pearson).",
    "The intervals take findings as independent, which those of one attack are not.",
    "In supervised every close is reviewed blind afterwards; only in autonomous does closing save the reading.",
    "The bound speaks of what a scope closes as a whole, on this site, while its findings keep coming as they did.",
)
_WHAT = ("closed", "after", "missed", "steps lost", "bound")


def tables(found: dict[str, Any]) -> Iterator[Table]:
    """Every table, in the order of the report."""
    yield _offline(found["offline"])
    yield _online(found["networks"], found["all"])
    yield _risks(found["networks"], found["all"])
    yield _cases(found["networks"])
    yield _beside(found["networks"])
    if "choices" in found:
        yield _choices(found["choices"])
    rows: list[tuple[str, ...]] = [
        (g["goal"], _figure(g["value"]), f"at {g['at']} {_figure(g['limit'])}", _held(g)) for g in found["goals"]
    ]
    yield "Goals", ("goal", "value", "limit", ""), rows


def _offline(offline: dict[str, Any]) -> Table:
    rows: list[tuple[str, ...]] = []
    for name, models in [*offline["networks"].items(), ("all", None)]:
        for model in MODELS:
            every = offline["macro_f1"][model] if models is None else models[model]["all"]
            apart = offline["macro_f1_without_dnsteal"][model] if models is None else models[model]["without_dnsteal"]
            steps = offline["by_step"][model]
            tunnel = "" if models is None else _percent(models[model]["dnsteal_found"])
            last = tunnel or f"{steps['found']} of {steps['steps']} steps"
            rows.append((name, model.replace("_", " "), f"{apart:.3f}", f"{every:.3f}", last))
    columns = ("network", "model", "macro-F1 without dnsteal", "with it", "dnsteal found / steps found")
    return "Offline: each network by models trained on the others", columns, rows


def _online(networks: Sequence[dict[str, Any]], together: dict[str, Any]) -> Table:
    rows: list[tuple[str, ...]] = [
        (
            row["name"],
            str(row["findings"]),
            str(row["threats"]),
            str(row["closed"]),
            str(row["missed"]),
            _percent(row["benign_closed_share"]),
            _percent(row["benign_closed_share_after_warmup"]),
            _lost(row["steps_lost"], row["steps"]),
            _bound(row),
        )
        for row in networks
    ]
    shares = (_percent(together["benign_closed_share"]), _percent(together["benign_closed_share_after_warmup"]))
    sums = tuple(str(together[key]) for key in ("findings", "threats", "closed", "missed"))
    violated = f"{together['bound_violated']} violated"
    rows.append(("all", *sums, *shares, f"{len(together['steps_lost'])} of {together['steps']}", violated))
    columns = ("network", "findings", "threats", "closed", "missed", "of benign", "after", "steps lost", "bound")
    return "Online, cold start: each network a new site, in time order", columns, rows


def _risks(networks: Sequence[dict[str, Any]], together: dict[str, Any]) -> Table:
    rows: list[tuple[str, ...]] = [
        (row["name"], _interval(row["for"]), _interval(row["fnr"]), _interval(row["fnr_without_dnsteal"]))
        for row in [*networks, {"name": "all"} | together]
    ]
    return "Both risks in %, with 95 % intervals", ("network", "FOR", "FNR", "FNR without dnsteal"), rows


def _cases(networks: Sequence[dict[str, Any]]) -> Table:
    rows: list[tuple[str, ...]] = [
        (
            row["name"],
            f"{row['cases']['closed']} of {row['cases']['cases']}",
            _interval(row["cases"]["for"]),
            "never" if row["closed_from_hour"] is None else f"{row['closed_from_hour']}",
            str(row["closed_unread"]),
        )
        for row in networks
    ]
    columns = ("network", "cases closed whole", "FOR by case, %", "closes from hour", "closes never read")
    return "By case, and what closing saves", columns, rows


def _beside(networks: Sequence[dict[str, Any]]) -> Table:
    rows: list[tuple[str, ...]] = [
        (
            row["name"],
            _percent(plain["benign_closed_share"]),
            _percent(plain["benign_closed_share_after_warmup"]),
            str(plain["missed"]),
            _lost(plain["steps_lost"], row["steps"]),
            "violated" if plain["bound_violated"] else "kept",
        )
        for row in networks
        for plain in (row["plain_average"],)
    ]
    return "Beside it: the average certificate alone", ("network", *_WHAT), rows


def _choices(choices: dict[str, Any]) -> Table:
    rows: list[tuple[str, ...]] = [
        (
            name,
            one["what"],
            _percent(one["benign_closed_share"]),
            _percent(one["benign_closed_share_after_warmup"]),
            str(one["missed"]),
            _lost(one["steps_lost"], one["steps"]),
            f"{one['bound_violated']} violated",
        )
        for name, one in choices.items()
    ]
    return "What each choice gives, one changed at a time, all networks", ("choice", "what", *_WHAT), rows


def _lost(lost: Sequence[str], steps: int) -> str:
    return f"{len(lost)} of {steps}" + (f": {', '.join(lost)}" if lost else "")


def _bound(row: dict[str, Any]) -> str:
    return f"{_percent(row['bound_upper'], 2)} {'VIOLATED' if row['bound_violated'] else 'kept'}"


def _percent(share: float | None, digits: int = 1) -> str:
    return "–" if share is None else f"{100 * share:.{digits}f} %"


def _interval(one: dict[str, float | None]) -> str:
    low, high = one["low"], one["high"]
    if low is None or high is None:
        return "–"
    return f"{100 * (one['share'] or 0.0):.2f} ({100 * low:.2f}–{100 * high:.2f})"


def _figure(value: float) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _held(goal: dict[str, Any]) -> str:
    return "reached" if goal["held"] else "NOT REACHED"


def write(found: dict[str, Any], folder: Path) -> list[Path]:
    """Figures as JSON, tables as Markdown, charts as SVG. Gives the files written."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {
        "ait.json": msgspec.json.format(msgspec.json.encode(found)).decode() + "\n",
        "ait.md": "\n".join(_markdown(found)) + "\n",
        "ait-bound.svg": _course(found["networks"]),
        "ait-closed.svg": _bars(found["networks"]),
    }
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return [folder / name for name in files]


def _markdown(found: dict[str, Any]) -> Iterator[str]:
    yield "# AIT Alert Data Set"
    for title, columns, rows in tables(found):
        yield f"\n## {title}\n"
        yield "| " + " | ".join(columns) + " |"
        yield "|" + "---|" * len(columns)
        yield from ("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows)
    yield ""
    yield from (f"- {note}" for note in NOTES)


def _course(networks: Sequence[dict[str, Any]]) -> str:
    """Upper bound over time, from the moment it falls below ten times alpha."""
    top = 10 * ALPHA_PPM / PPM
    series = [
        (f"{row['name']}, {name}", [(hour, 100 * upper) for hour, _, upper in scope["course"] if upper <= top])
        for row in networks
        for name, scope in row["scopes"].items()
    ]
    return svg.line_chart(
        "Upper bound on threats among the closed",
        series,
        x_axis="hours since the first alert",
        y_axis="upper bound, %",
        rules=[("alpha", 100 * ALPHA_PPM / PPM)],
    )


def _bars(networks: Sequence[dict[str, Any]]) -> str:
    kinds = (("all", "benign_closed_share"), ("after the warm-up", "benign_closed_share_after_warmup"))
    bars = [(f"{row['name']}, {kind}", 100 * (row[key] or 0.0)) for row in networks for kind, key in kinds]
    return svg.bar_chart("Benign findings closed", bars, axis="%")
