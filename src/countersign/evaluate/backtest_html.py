"""The backtest's report: one HTML file without scripts or anything from elsewhere; charts are SVG inside it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from datetime import datetime
from html import escape
from pathlib import Path
from typing import Any

import msgspec

from countersign.errors import EnvironmentFault
from countersign.evaluate import backtest_words as words
from countersign.evaluate import svg
from countersign.evaluate.backtest_report import SITES_SHOWN, misses, tables

NAME = "backtest"
_CSP = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem;color:#222;background:#fff}"
    "h1{font-size:1.6rem}h2{font-size:1.2rem;margin-top:2rem}table{border-collapse:collapse;font-size:.85rem}"
    "th,td{text-align:left;padding:.25rem .7rem .25rem 0;border-bottom:1px solid #ddd;vertical-align:top}"
    ".scroll{overflow-x:auto}svg{max-width:100%;height:auto}.bad{border-left:.4rem solid #a00;padding-left:.8rem}"
    "@media print{body{margin:0}}"
)
_NAMESPACE = ' xmlns="http://www.w3.org/2000/svg"'
"""Not needed inside HTML, where it would be the one address in the file."""
_TOP = 10
"""The bound is drawn from where it falls below ten times the promise."""


def write(found: dict[str, Any], folder: Path) -> list[Path]:
    """Report and figures into a folder. Raises EnvironmentFault when that cannot be."""
    files = {f"{NAME}.html": page(found), f"{NAME}.json": msgspec.json.format(msgspec.json.encode(found)).decode() + "\n"}
    return [_write(folder / name, text) for name, text in files.items()]


def write_page(found: dict[str, Any], path: Path) -> Path:
    """The report alone."""
    return _write(path, page(found))


def _write(path: Path, text: str) -> Path:
    """Whole or not at all."""
    half = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        half.write_text(text, encoding="utf-8")
        os.replace(half, path)
    except OSError as error:
        raise EnvironmentFault(
            f"cannot write: {error.strerror}", where=str(path), todo="check path and permissions"
        ) from None
    return path


def page(found: dict[str, Any]) -> str:
    """The whole document."""
    head = (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_CSP}">'
        f'<meta name="viewport" content="width=device-width"><title>Backtest of {_text(found["file"])}</title>'
        f"<style>{_STYLE}</style></head><body>"
    )
    return "\n".join((head, *_body(found), "</body></html>", ""))


def _body(found: dict[str, Any]) -> Iterator[str]:
    yield f"<h1>What {_text(found['file'])} would have earned</h1>"
    yield from _verdict(found)
    yield from _listed("Missed, by name", misses(found["sites"]))
    for title, lines in words.parts(found):
        yield from _listed(title, lines)
    for site in found["sites"][:SITES_SHOWN]:
        yield f"<h2>{_text(site['name'])}</h2>"
        yield from (chart.replace(_NAMESPACE, "") for chart in charts(site, found["alpha"]))
    for title, columns, rows in tables(found):
        yield f"<h2>{_text(title)}</h2>"
        yield from _table(columns, rows)


def _verdict(found: dict[str, Any]) -> Iterator[str]:
    sites = found["sites"]
    closed, findings, missed = (sum(site[key] for site in sites) for key in ("closed", "findings", "missed"))
    kind, said = ("bad", "The promise was BROKEN.") if found["bound_violated"] else ("", "The promise was kept.")
    yield (
        f'<p class="{kind}"><strong>{said}</strong> Of {findings:,} findings the agent would have closed {closed:,}; '
        f"threats among these: {missed:,}.</p>"
    )


def charts(site: dict[str, Any], alpha: float) -> Iterator[str]:
    """Bound against budget, reliability, closes over time, and the funnel that ends in what was missed."""
    start = _time(site["from"])
    bound = [
        (name, [((_time(at) - start) / 86_400, 100 * upper) for at, _, upper in scope["course"] if upper <= _TOP * alpha])
        for name, scope in site["scopes"].items()
    ]
    yield svg.line_chart(
        "Upper bound on threats among the closed, against the budget",
        bound,
        x_axis="days since the first alert",
        y_axis="upper bound, %",
        rules=[("budget (alpha)", 100 * alpha)],
    )
    yield svg.line_chart(
        "Findings closed, added up",
        [(name, _added(scope["by_day"], start)) for name, scope in site["scopes"].items()],
        x_axis="days since the first alert",
        y_axis="closed",
    )
    if site["reliability"]:
        yield _reliability(site["reliability"])
    yield svg.bar_chart("Funnel of findings", [(name, float(n)) for name, n in site["funnel"][1:]], axis="findings")


def _added(by_day: Sequence[Sequence[Any]], start: float) -> list[svg.Point]:
    total, points = 0, []
    for day, _, closed, _ in by_day:
        total += closed
        points.append(((_time(f"{day}T23:59:59Z") - start) / 86_400, float(total)))
    return points


def _reliability(bins: Sequence[dict[str, Any]]) -> str:
    """What the model said beside what people found. Findings that nobody called a threat are drawn at the left edge."""
    said = [(100 * b["said"],) * 3 for b in bins]
    seen = [tuple(100 * b["found"][key] for key in ("low", "share", "high")) for b in bins]
    groups = [f"said from {words.percent(b['from'])} on: {b['findings']:,} findings" for b in bins]
    series = [("said, on average", said), ("found, with 95 % interval", seen)]
    return svg.interval_chart("Reliability: said and found", groups, series, axis="threats, %", log=True)


def _listed(title: str, lines: Sequence[str]) -> Iterator[str]:
    yield f"<h2>{_text(title)}</h2><ul>"
    yield from (f"<li>{_text(line)}</li>" for line in lines)
    yield "</ul>"


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    if not rows:
        return
    yield '<div class="scroll"><table><thead><tr>'
    yield "".join(f'<th scope="col">{_text(name)}</th>' for name in columns) + "</tr></thead><tbody>"
    yield from ("<tr>" + "".join(f"<td>{_text(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    yield "</tbody></table></div>"


def _text(value: object) -> str:
    """Alert text is data: escaped, and control and bidi characters made visible."""
    return escape("".join(c if c.isprintable() else f"⟦U+{ord(c):04X}⟧" for c in str(value)))


def _time(at: str) -> float:
    return datetime.fromisoformat(at).timestamp()
