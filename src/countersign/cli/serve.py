"""``countersign serve`` and ``worker``."""

from __future__ import annotations

import signal
import socket
import sys
import threading
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from countersign.cli.common import DataOption, note, opened
from countersign.errors import EnvironmentFault, RefusedError

if TYPE_CHECKING:
    from countersign.bootstrap import Site
    from countersign.web.session import Sessions

BACKLOG = 2048
FIRST = "once, within an hour: registers your passkey; you are then the first approver"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(serve)
    app.command()(worker)


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on; default from the configuration.")] = "",
    port: Annotated[int | None, typer.Option(min=1, max=65_535, help="Port; default from the configuration.")] = None,
    no_worker: Annotated[
        bool, typer.Option("--no-worker", help="Only the doors; `countersign worker` does the work.")
    ] = False,
    data: DataOption = None,
) -> None:
    """Serve console, intake and published log, and process alerts."""
    with opened(data) as site:
        run(site, host or site.config.server.host, port or site.config.server.port, worker=not no_worker)


def run(site: Site, host: str, port: int, *, worker: bool = True, browser: bool = False) -> None:
    """Serve until interrupted; prints the one-time link that lets a person in."""
    import uvicorn  # noqa: PLC0415 - only this command needs a server

    from countersign.api.server import create_app  # noqa: PLC0415
    from countersign.approvals.record.judge import Approvals  # noqa: PLC0415
    from countersign.approving import Approving  # noqa: PLC0415
    from countersign.running import Performer, Runner  # noqa: PLC0415
    from countersign.web.session import Sessions  # noqa: PLC0415

    sessions = Sessions(site.session_key)
    listener = bind(host, port)
    approving = Approving(site, site.config.server.url or f"http://localhost:{port}")
    performer = Performer(Runner(site)) if worker else None
    if performer is not None:
        approving.approved = performer.wake
    service = create_app(
        site, sessions, worker=worker, approvals=approving, judges=lambda record: [Approvals(record.matter)]
    )
    # Open event streams would otherwise hold up the end for as long as a browser keeps them.
    config = uvicorn.Config(service, log_level="warning", access_log=False, timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    link = _ways_in(site, sessions, host, port)
    if browser and link:
        import webbrowser  # noqa: PLC0415

        threading.Timer(0.5, webbrowser.open, (link,)).start()
    if performer is not None:
        performer.start()
    try:
        server.run(sockets=[listener])
    finally:
        listener.close()
        if performer is not None:
            performer.stop()
    note("stopped")


def _ways_in(site: Site, sessions: Sessions, host: str, port: int) -> str:
    """Print how people come in, and return the link for a browser of this machine, "" when the console is for others.

    The printed link is for one person on one machine: it never opens more than this shell could do. Off this machine only a
    passkey or the directory lets anybody in.
    """
    from countersign.web.guard import LOOPBACK  # noqa: PLC0415 - only this command needs the console

    local = host in LOOPBACK
    shown = f"[{host}]" if ":" in host else host
    link = ""
    if local:
        link = f"http://{shown}:{port}/enter?t={sessions.link_token(site.commands.operator, site.clock.now_ms())}"
        sys.stdout.write(f"Console  {link}\n         (works once, within ten minutes; start again for a new one)\n")
    base = site.config.server.url or (f"http://localhost:{port}" if local else "")
    token = first_link(site) if base else ""
    if token:
        sys.stdout.write(f"Enrol    {base}/enrol?t={token}\n         ({FIRST})\n")
    elif not local:
        sys.stdout.write(f"Console  {base}/sign-in\n" if base else "")
    if not base:
        note("nobody can sign in: set server.url in countersign.toml to the console's https address")
    sys.stdout.flush()
    return link


def first_link(site: Site) -> str:
    """Token of a link with which the operator becomes the first person; "" once somebody is enrolled."""
    from countersign.store import accounts, casework, enrolments  # noqa: PLC0415 - as above
    from countersign.store.engine import reading, writing  # noqa: PLC0415

    with reading(site.engine) as conn:
        if not accounts.nobody_yet(conn):
            return ""
    try:
        with writing(site.engine) as conn:
            who = casework.person(conn, site.commands.operator)
            return enrolments.issue(conn, who.id, enrolments.Kind.FIRST, who, site.clock.now_ms())
    except RefusedError:  # somebody was enrolled meanwhile
        return ""


def bind(host: str, port: int) -> socket.socket:
    """A socket that listens there. Raises EnvironmentFault."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(BACKLOG)  # whoever follows the printed link at once waits a moment, and is not refused
    except OSError as error:
        listener.close()
        todo = "stop what listens there, or give another --port"
        raise EnvironmentFault(f"port cannot be opened ({error.strerror})", where=f"{host}:{port}", todo=todo) from error
    return listener


def worker(data: DataOption = None) -> None:
    """Process alerts without any door, until interrupted."""
    from countersign.api.server import Worker  # noqa: PLC0415
    from countersign.running import Performer, Runner  # noqa: PLC0415

    with opened(data) as site:
        working, performer = Worker(site), Performer(Runner(site))
        ended = threading.Event()

        def end(_signal: int, _frame: FrameType | None) -> None:
            ended.set()

        signal.signal(signal.SIGINT, end)
        signal.signal(signal.SIGTERM, end)
        working.start()
        performer.start()
        note("worker runs; interrupt to stop")
        ended.wait()
        performer.stop()
        working.stop()
