"""The report as PDF, set by typst from a template of ours. Data goes in as JSON through ``sys.inputs``, so no text of an
alert ever stands where typst reads markup. Needs the extra ``report``."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any

import msgspec

from countersign.errors import EnvironmentFault

TEMPLATE = "templates/report.typ"


def available() -> None:
    """Raises EnvironmentFault when typst is not installed."""
    _typst()


def render(view: Mapping[str, Any], now_ms: int) -> bytes:
    """The PDF. Raises EnvironmentFault when typst is not installed or cannot set it."""
    typst = _typst()
    template = files("countersign.reporting").joinpath(TEMPLATE).read_bytes()
    made = datetime.fromtimestamp(now_ms // 1000, UTC)
    try:
        found = typst.compile(
            template, format="pdf", sys_inputs={"view": msgspec.json.encode(view).decode()}, timestamp=made
        )
    except typst.TypstError as error:
        raise EnvironmentFault(
            f"PDF cannot be set: {error}", where="report.pdf", todo="leave --pdf out, and report this"
        ) from error
    return bytes(found)


def _typst() -> Any:  # noqa: ANN401 - a module
    try:
        import typst  # noqa: PLC0415 - an extra
    except ImportError as error:
        todo = "install it with `pip install 'countersign[report]'`, or leave --pdf out"
        raise EnvironmentFault("typst is not installed, so no PDF can be made", where="report --pdf", todo=todo) from error
    return typst
