"""The report as one HTML file: no scripts, nothing from elsewhere, and a policy that allows neither."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from countersign.reporting.view import tokens

FACES = {
    "Inter Variable": "inter/files/inter-latin-wght-normal.woff2",
    "JetBrains Mono Variable": "jetbrains-mono/files/jetbrains-mono-latin-wght-normal.woff2",
}


def render(view: Mapping[str, Any]) -> bytes:
    """The whole document. Every text is data: escaped by the template engine, never marked as safe."""
    style = _style()
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; font-src data:; base-uri 'none'; form-action 'none'"
    page = _environment().get_template("report.html").render(view=view, style=Markup(style), policy=policy)  # noqa: S704 - our own file
    return page.encode()


@cache
def _style() -> str:
    own = files("countersign.reporting").joinpath("templates/report.css").read_text("utf-8")
    return "\n".join((*_faces(), tokens(), own))


def _faces() -> Iterator[str]:
    """The console's two typefaces inside the file, where they are installed; else the reader's own."""
    for name, file in FACES.items():
        face = files("countersign.web").joinpath(f"static/vendor/{file}")
        if face.is_file():
            data = base64.b64encode(face.read_bytes()).decode()
            source = f"url(data:font/woff2;base64,{data}) format('woff2')"
            yield f"@font-face {{ font-family: '{name}'; font-weight: 100 900; src: {source}; }}"


@cache
def _environment() -> Environment:
    loader = PackageLoader("countersign.reporting", "templates")
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
