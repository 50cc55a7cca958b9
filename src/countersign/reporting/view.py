"""A report as plain data for both renderers: texts made visible, citations gathered, colours from the console's tokens."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from countersign.ledger.note import Checkpoint
from countersign.reporting.model import Cited, Claim, Piece, Report
from countersign.web import words
from countersign.web.text import visible_text

_TOKEN = re.compile(r"--([a-z0-9-]+): light-dark\(oklch\(([0-9.]+)(?: ([0-9.]+) ([0-9.]+)| 0 0)\)")
_NUMBER = re.compile(r"^[+−-]?[0-9][0-9,.]*$")


def view(
    report: Report,
    entries: Mapping[int, Cited],
    pieces: Sequence[Piece],
    withheld: Sequence[str],
    head: Checkpoint,
    vkey: str,
) -> dict[str, Any]:
    """What both renderers are given."""
    cited = [entries[index] for index in report.cited()]
    return {
        "name": visible_text(report.name),
        "title": visible_text(report.title),
        "subtitle": visible_text(report.subtitle),
        "facts": [[visible_text(label), visible_text(value)] for label, value in report.facts],
        "notes": [visible_text(note) for note in report.notes],
        "sections": [
            {
                "number": number,
                "title": visible_text(section.title),
                "about": visible_text(section.about),
                "claims": [_claim(claim) for claim in section.claims],
            }
            for number, section in enumerate(report.sections, 1)
        ],
        "entries": [
            {"index": one.index, "kind": one.entry.kind.value, "time": words.stamp(one.entry.time), "digest": one.digest}
            for one in cited
        ],
        "pieces": [
            {"digest": piece.digest, "what": piece.what, "files": [visible_text(name) for name, _ in piece.plain]}
            for piece in pieces
        ],
        "withheld": [visible_text(one) for one in withheld],
        "size": head.size,
        "root": head.root.hex(),
        "origin": visible_text(head.origin),
        "vkey": visible_text(vkey),
        "colours": colours(),
    }


def _claim(claim: Claim) -> dict[str, Any]:
    return {
        "lead": visible_text(claim.lead),
        "text": visible_text(claim.text),
        "cites": ranges(claim.cites),
        "pieces": list(claim.pieces),
        "absent": claim.absent,
        "columns": [visible_text(name) for name in claim.columns],
        "numeric": [_numeric([line.cells[place] for line in claim.lines]) for place in range(len(claim.columns))],
        "lines": [
            {"cells": [visible_text(cell) for cell in line.cells], "cites": ranges(line.cites)} for line in claim.lines
        ],
        "cited": any(line.cites for line in claim.lines),
        "bars": _bars(claim),
    }


def _numeric(cells: Sequence[str]) -> bool:
    return bool(cells) and all(_NUMBER.match(cell) for cell in cells)


def _bars(claim: Claim) -> list[float]:
    """Share of the largest weight for each line, signed; empty where nothing is drawn. The first line, where a sum starts,
    would dwarf the rest and is not drawn."""
    if claim.bars < 0:
        return []
    values = [0.0, *(float(line.cells[claim.bars].replace("−", "-")) for line in claim.lines[1:])]
    most = max(map(abs, values), default=0.0) or 1.0
    return [round(value / most, 4) for value in values]


def ranges(indices: Iterable[int]) -> list[dict[str, Any]]:
    """Indices as links: each by itself, runs of three and more as one from–to."""
    runs: list[list[int]] = []
    for index in sorted(set(indices)):
        if runs and index == runs[-1][-1] + 1:
            runs[-1].append(index)
        else:
            runs.append([index])
    found = []
    for run in runs:
        parts = [[run[0], run[-1]]] if len(run) > 2 else [[one, one] for one in run]
        found += [{"at": first, "text": str(first) if first == last else f"{first}–{last}"} for first, last in parts]
    return found


@cache
def tokens() -> str:
    """The console's design tokens, as CSS."""
    return files("countersign.web").joinpath("static/tokens.css").read_text("utf-8")


@cache
def colours() -> dict[str, list[float]]:
    """Lightness, chroma and hue of each token in the light theme."""
    found = _TOKEN.findall(tokens())
    return {name: [float(light), float(chroma or 0), float(hue or 0)] for name, light, chroma, hue in found}
