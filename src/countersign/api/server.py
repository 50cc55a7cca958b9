"""One process: intake in front, the published log, health, measures, and the console behind.

The worker thread works the inbox off and seals; intake wakes it after each commit.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import structlog
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from countersign.api.intake import Intake
from countersign.api.measures import measures
from countersign.api.problems import problem
from countersign.api.v1 import create_api
from countersign.bootstrap import Site
from countersign.errors import CountersignError, UsageError
from countersign.ledger.handover import FILE as HANDOVERS
from countersign.ledger.note import VerifierKey
from countersign.model.standing import Standing, Verified
from countersign.reporting.make import Wanted, archive
from countersign.rounds import Rounds
from countersign.sources import SOURCES
from countersign.sources.reader import split_body
from countersign.stamping import Stamper
from countersign.store import ledger
from countersign.store.engine import reading
from countersign.store.sealing import HELD, SealState
from countersign.store.stamps import FILE as STAMPS
from countersign.store.tiles import CHECKPOINT, COSIGNED
from countersign.store.witnesses import Heard
from countersign.telling import Telling
from countersign.watching import Judges, Verifier
from countersign.web.app import create_console
from countersign.web.approvals import Approvals
from countersign.web.directory import Directory
from countersign.web.session import Sessions
from countersign.web.status import Record
from countersign.web.ways import Ways
from countersign.witnessing import Witnessing

log = structlog.get_logger()
IDLE_S = 0.5


class Worker(Rounds):
    """Works the inbox off and seals, until stopped."""

    def __init__(self, site: Site) -> None:
        super().__init__("worker", IDLE_S)
        self._site = site
        self._beside = (Telling(site), Stamper(site))
        self._witnessing = Witnessing(site)
        self._sealed = -1
        self._sealed_at = 0.0

    def run(self) -> None:
        """Loop, and the threads beside it."""
        for thread in (*self._beside, self._witnessing):
            thread.start()
        super().run()
        for thread in self._beside:
            thread.stop()
        self._seal()
        self._witnessing.stop()

    def once(self) -> None:
        """What is in the inbox."""
        self._site.hot_path.drain(lambda _report: self._seal_if_due())
        self._site.hot_path.sweep()
        self._site.tidy()
        self._sealed = self._seal_new(self._sealed)

    def _seal_if_due(self) -> None:
        """A long run of batches is sealed as it goes."""
        if time.monotonic() - self._sealed_at >= self._site.config.ledger.seal_ms / 1000:
            self._seal()

    def _seal_new(self, before: int) -> int:
        """Seal when anything was committed, by this worker or by a person's command; returns the size covered."""
        with reading(self._site.engine) as conn:
            size = ledger.size(conn)
        if size == before:
            return size
        return size if self._seal() else before

    def _seal(self) -> bool:
        """A disk that takes no seal holds no alert up: they are taken in and left to people."""
        self._sealed_at = time.monotonic()
        return not self._site.sealing.attempt()


class Log(StaticFiles):
    """Checkpoint and tiles as C2SP tlog-tiles asks: tiles never change, the checkpoint is never cached."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """The sealer's lock and its unfinished files are no part of the log."""
        if any(part.startswith(".") for part in Path(path).parts):
            return PlainTextResponse("not found", 404)
        return await super().get_response(path, scope)

    def file_response(self, *args: object, **kwargs: object) -> Response:
        """As Starlette does, with the right caching."""
        response = super().file_response(*args, **kwargs)  # type: ignore[arg-type]
        name = Path(str(args[0])).name
        if name in (CHECKPOINT, COSIGNED):
            response.headers["content-type"] = "text/plain; charset=utf-8"
        if name in (CHECKPOINT, COSIGNED, HANDOVERS, STAMPS):
            response.headers["cache-control"] = "no-store"
        else:
            response.headers["cache-control"] = "public, max-age=31536000, immutable"
            response.headers["content-type"] = "application/octet-stream"
        return response


def create_app(
    site: Site,
    sessions: Sessions,
    *,
    worker: bool = True,
    approvals: Approvals | None = None,
    judges: Judges = lambda _record: (),
) -> Starlette:
    """The whole service over one site. ``approvals``: handed through to the console, which alone has people before it.
    ``judges``: of what the reading in the background finds, handed in since no door but the command line knows approvals."""
    working = Worker(site)
    intake = Intake(
        engine=site.engine,
        clock=site.clock,
        split=lambda body, source, mapping: split_body(body, source, mapping=mapping),
        sources=tuple(SOURCES),
        mapping=lambda name: mapping_text(site.data, name),
        body_bytes_max=site.config.server.body_bytes_max,
        wake=working.wake,
    )
    directory = Directory(site.config.oidc) if site.config.oidc.issuer else None
    ways = Ways(site.config.server.url, directory.name if directory else "")
    percent = site.config.ledger.verify_percent

    def keys() -> list[VerifierKey]:
        return [site.log_key.vkey]  # it may be rotated

    verifier = Verifier(site.tiles, keys, site.engine, site.clock, percent, judges) if percent else None

    def verified() -> Verified:
        return verifier.state if verifier else Verified()

    console = create_console(
        site,
        sessions=sessions,
        clock=site.clock,
        checkpoint=site.sealer.checkpoint,
        ways=ways,
        directory=directory,
        approvals=approvals,
        packs=lambda case: archive(site, Wanted(case=case)),
        record=Record(site.tiles, keys, site.sealing.look, site.heard, verified),
    )
    tlog = site.data / "tlog"
    with suppress(OSError):  # something else stands there: the ledger says that it cannot be sealed, and alerts are taken in
        tlog.mkdir(exist_ok=True)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        if worker:
            working.start()
        if verifier:
            verifier.start()
        committing = asyncio.create_task(intake.commit_forever())
        async with console.router.lifespan_context(console):
            yield
        committing.cancel()
        if verifier:
            await asyncio.to_thread(verifier.stop)
        if worker:
            await asyncio.to_thread(working.stop)

    routes = [
        *intake.routes(),
        Route("/readyz", _ready(site, verified)),
        Route("/metrics", _measures(site, verified)),
        Mount("/tlog", Log(directory=tlog, check_dir=False)),
        Mount("/api/v1", create_api(site.engine, sessions, site.clock, ways)),
        Mount("/", console),
    ]
    return Starlette(routes=routes, lifespan=lifespan, exception_handlers={500: _broken})


def _broken(_request: Request, _error: Exception) -> Response:
    return problem(500, "The service met an error of its own", "nothing was accepted; try again")


def _ready(site: Site, verified: Callable[[], Verified]) -> Callable[[Request], Response]:
    def ready(_request: Request) -> Response:
        try:
            with reading(site.engine) as conn:
                seal, heard = site.sealing.look(conn), site.heard(conn)
        except CountersignError as error:
            return problem(503, "Database does not answer", error.todo)
        wrong = list(_wrong(seal, heard, verified()))
        return PlainTextResponse("; ".join([f"ready{' to take alerts' if wrong else ''}", *wrong]) + "\n")

    return ready


def _wrong(seal: SealState, heard: Heard, read: Verified) -> Iterator[str]:
    """What does not work although alerts are taken in; details are for those who may sign in."""
    if not seal.in_time:
        waits = f"{seal.waiting} entries wait for their seal" if seal.known else "since when cannot be told"
        yield f"the ledger is not sealed in time ({waits}): {HELD}"
    if read.state is Standing.BROKEN:
        yield "the ledger does not verify: keep a copy of everything and run `countersign verify`"
    if heard.alarms:
        yield f"a witness says that this log was rolled back or forked: {heard.follows}; see `countersign ledger status`"
    if heard.refusals:
        yield f"{len(heard.refusals)} witnesses do not cosign: see `countersign ledger status`"


def _measures(site: Site, verified: Callable[[], Verified]) -> Callable[[Request], Response]:
    def answer(_request: Request) -> Response:
        with reading(site.engine) as conn:
            body = measures(conn, site.sealing.look(conn), site.heard(conn), verified())
        return Response(body, media_type="application/openmetrics-text; version=1.0.0; charset=utf-8")

    return answer


def mapping_text(data: Path, name: str) -> str:
    """A mapping from the data directory's ``mappings`` folder. Raises UsageError when there is none of that name."""
    path = data / "mappings" / f"{name}.toml"
    try:
        return path.read_text("utf-8")
    except OSError as error:
        raise UsageError(f"no mapping named {name!r}", where="mapping", todo="put it in the mappings folder") from error
