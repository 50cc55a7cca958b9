"""``countersign mcp``: the read-only MCP server for language-model clients."""

from __future__ import annotations

import typer

from countersign.cli.common import DataOption, opened
from countersign.mcp.server import make_server


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("mcp")(serve)


def serve(data: DataOption = None) -> None:
    """Answer MCP requests on stdin and stdout: read tools only. Needs the extra `mcp`."""
    with opened(data) as site:
        make_server(site.engine).run("stdio")
