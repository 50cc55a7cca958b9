"""Templates: autoescaping always on, undefined names are errors, and the few functions that pages may call."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse

from countersign.model.attack import tactic_name, technique_name
from countersign.store.read import Tab
from countersign.web import account_words, case_view, entry_words, glyphs, graph, words
from countersign.web.text import shorten, visible, visible_text

HERE = Path(__file__).resolve().parent
STATIC = HERE / "static"
THEMES = ("dark", "light")
TAB_NAMES = {Tab.NEEDS: "Needs you", Tab.NOISE: "Likely noise", Tab.DISPOSED: "Disposed", Tab.ALL: "All"}
DENSITIES = ("comfortable", "compact")


def static_version() -> str:
    """Digest of every static file: part of their address, so that browsers may keep them for good."""
    total = hashlib.sha256()
    for file in sorted(path for path in STATIC.rglob("*") if path.is_file()):
        total.update(str(file.relative_to(STATIC)).encode() + b"\0" + file.read_bytes())
    return total.hexdigest()[:12]


def environment(static: str) -> Environment:
    """``static``: address under which the static files lie."""
    found = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters.update(show=visible, plain=visible_text, shorten=shorten)
    found.globals.update(account=account_words)
    found.globals.update(static=static, words=words, glyphs=glyphs, graph_svg=graph.svg, view=case_view, tactic=tactic_name)
    found.globals.update(technique=technique_name, query_string=query_string, zip_tabs=_named_tabs, show_lines=_show_lines)
    found.globals.update(subject_page=entry_words.page_of)
    return found


def page(env: Environment, name: str, request: Request, /, *, http: int = 200, **values: Any) -> HTMLResponse:  # noqa: ANN401
    """Render a template for a request; theme and density come from cookies, so a page never flashes."""
    theme = request.cookies.get("theme", "")
    density = request.cookies.get("density", "")
    html = env.get_template(name).render(
        theme=theme if theme in THEMES else "",
        density=density if density in DENSITIES else "comfortable",
        base=request.scope.get("root_path", ""),
        path=request.url.path,
        pulse=getattr(request.state, "pulse", ""),
        **values,
    )
    return HTMLResponse(html, status_code=http)


def _named_tabs(tabs: list[Tab]) -> list[tuple[Tab, str]]:
    return [(tab, TAB_NAMES[tab]) for tab in tabs]


def _show_lines(text: str) -> Markup:
    return visible(text, lines=True)


def query_string(**values: str) -> str:
    """Parameters that are set, encoded."""
    return urlencode({name: value for name, value in values.items() if value}, errors="replace")
