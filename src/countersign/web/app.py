"""The console as an application of its own: a table of doors, each with its rule, over a site that is handed in.

``create_console`` knows no concrete class of the site: it needs an engine to read from, commands to write through, and a
way to ask for the newest checkpoint.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

import structlog
from fastapi import FastAPI
from sqlalchemy import Engine
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from countersign.errors import (
    ConflictError,
    CountersignError,
    EnvironmentFault,
    NotFoundError,
    UsageError,
    VerificationError,
)
from countersign.ports import Clock
from countersign.web import render
from countersign.web.approvals import ApprovalPages, Approvals
from countersign.web.closed import Closed
from countersign.web.guard import Access, SecureHeaders, person_of, refused_write
from countersign.web.pages import Pages
from countersign.web.scopes import Scopes
from countersign.web.session import Person, Sessions
from countersign.web.status import CheckpointReader
from countersign.web.writes import Commands, Writes

_log = structlog.get_logger(__name__)
_STATUS: tuple[tuple[type[CountersignError], int], ...] = (
    (NotFoundError, 404),
    (ConflictError, 409),
    (UsageError, 422),
    (EnvironmentFault, 503),
    (VerificationError, 500),
)

Reader = Callable[[Request, Person], Response]
Writer = Callable[[Request, Person, FormData], Response]


class Site(Protocol):
    """What the console needs of a site. ``commands`` raise ConflictError, NotFoundError, UsageError."""

    @property
    def engine(self) -> Engine:
        """Where to read."""
        ...

    @property
    def commands(self) -> Commands:
        """Where to write."""
        ...


@dataclass(frozen=True, slots=True)
class Door:
    """One route and its rule."""

    method: str
    path: str
    access: Access
    read: Reader | None = None
    write: Writer | None = None


def approval_doors(pages: ApprovalPages) -> tuple[Door, ...]:
    """Routes of what waits for people. ``approve`` takes a passkey's assertion and nothing less."""
    person = Access.PERSON
    return (
        Door("GET", "/approvals", person, pages.page),
        Door("GET", "/approvals/live", person, pages.live),
        Door("GET", "/approvals/{number}", person, pages.one),
        Door("GET", "/approvals/{number}/live", person, pages.one_live),
        Door("GET", "/approvals/{number}/approve", person, pages.approve_form),
        Door("GET", "/approvals/{number}/ceremony", person, pages.ceremony),
        Door("POST", "/approvals/{number}/approve", person, write=pages.approve),
        Door("GET", "/approvals/{number}/deny", person, pages.deny_form),
        Door("POST", "/approvals/{number}/deny", person, write=pages.deny),
        Door("GET", "/cases/{case_id}/propose", person, pages.propose_form),
        Door("POST", "/cases/{case_id}/propose", person, write=pages.propose),
    )


def doors(pages: Pages, writes: Writes, closed: Closed, scopes: Scopes) -> tuple[Door, ...]:
    """Every route of the console. A door without an access rule cannot be written down."""
    person, public = Access.PERSON, Access.PUBLIC
    return (
        Door("GET", "/", person, pages.queue),
        Door("GET", "/queue", person, pages.queue_live),
        Door("GET", "/status", person, pages.status),
        Door("GET", "/events", person, pages.events),
        Door("GET", "/cases/{case_id}", person, pages.case),
        Door("GET", "/cases/{case_id}/live", person, pages.case_live),
        Door("GET", "/cases/{case_id}/preview", person, pages.preview),
        Door("GET", "/cases/{case_id}/dispose", person, pages.dispose_form),
        Door("GET", "/cases/{case_id}/assign", person, pages.assign_form),
        Door("POST", "/cases/{case_id}/dispose", person, write=writes.dispose),
        Door("POST", "/cases/{case_id}/assign", person, write=writes.assign),
        Door("GET", "/cases/{case_id}/overturn", person, closed.overturn_form),
        Door("POST", "/cases/{case_id}/overturn", person, write=closed.overturn),
        Door("GET", "/closed", person, closed.page),
        Door("GET", "/closed/live", person, closed.live),
        Door("GET", "/closed/review", person, closed.next_review),
        Door("GET", "/closed/review/{finding_id}", person, closed.review),
        Door("GET", "/closed/review/{finding_id}/state", person, closed.review_state),
        Door("POST", "/closed/review/{finding_id}", person, write=closed.answer),
        Door("GET", "/recalls/{entry}", person, closed.recall),
        Door("GET", "/autonomy", person, scopes.page),
        Door("GET", "/autonomy/live", person, scopes.live),
        Door("GET", "/autonomy/{scope}/{act}", person, scopes.form),
        Door("POST", "/autonomy/{scope}/{act}", person, write=scopes.act),
        Door("GET", "/findings/{finding_id}/alerts", person, pages.alert_list),
        Door("GET", "/alerts/{blob}/{place}", person, pages.alert),
        Door("GET", "/sources", person, pages.sources),
        Door("POST", "/quarantine/{ident}/resubmit", person, write=writes.resubmit),
        Door("GET", "/ledger", person, pages.ledger),
        Door("GET", "/enter", public, pages.enter),
        Door("GET", "/healthz", public, pages.healthz),
    )


class Static(StaticFiles):
    """Static files under an address that names their content: kept for good."""

    def file_response(self, *args: object, **kwargs: object) -> Response:
        """As Starlette does, and cacheable."""
        response = super().file_response(*args, **kwargs)  # type: ignore[arg-type]
        response.headers["cache-control"] = "public, max-age=31536000, immutable"
        return response

    async def get_response(self, path: str, scope: Scope) -> Response:
        """A missing file answers 404 without a page."""
        return await super().get_response(path, scope)


def create_console(
    site: Site,
    *,
    sessions: Sessions,
    clock: Clock,
    checkpoint: CheckpointReader | None = None,
    approvals: Approvals | None = None,
) -> FastAPI:
    """The console. ``approvals``: what may be done about what waits for people; without it the console only counts it.
    ``checkpoint()`` returns the newest signed checkpoint or None, and raises VerificationError when its signature does
    not hold; without it the header says that sealing is not known."""
    static = f"/static/{render.static_version()}"
    pages = Pages(site.engine, sessions, clock, checkpoint, static)
    writes = Writes(site.commands, pages)
    app = FastAPI(title="Countersign console", openapi_url=None, docs_url=None, redoc_url=None)
    app.add_middleware(SecureHeaders)
    if approvals is not None:
        pages.proposed, pages.proposes = approvals.of_case, True
    hung = doors(pages, writes, Closed(site.commands, pages), Scopes(site.commands, pages))
    for door in (*hung, *approval_doors(ApprovalPages(pages, approvals))):
        endpoint = _endpoint(door, pages)
        app.add_route(door.path, endpoint, methods=[door.method], include_in_schema=False)
    app.mount(static, Static(directory=render.STATIC), name="static")
    app.add_exception_handler(404, _no_such_page(pages))
    return app


def _endpoint(door: Door, pages: Pages) -> Callable[[Request], Awaitable[Response]]:
    """A door with its rule in front and its errors turned into pages."""

    async def endpoint(request: Request) -> Response:
        person = person_of(request, pages.sessions, pages.clock.now_ms())
        if door.access is not Access.PUBLIC and person is None:
            return pages.locked(request)
        refusal = refused_write(request.method, request.headers)
        if refusal:
            return pages.problem(request, 403, "Refused", refusal)
        try:
            return await _answer(door, request, person or Person("", 0))
        except CountersignError as error:
            return pages.problem(request, _status(error), *_in_words(error))
        except Exception:
            _log.exception("console.failed", path=request.url.path)
            text = "The console met an error of its own. Nothing was changed; the log names it."
            return pages.problem(request, 500, "Something broke", text)

    endpoint.access = door.access  # type: ignore[attr-defined]  # read by the test that walks the route table
    return endpoint


async def _answer(door: Door, request: Request, person: Person) -> Response:
    if door.write is not None:
        form = await request.form(max_files=0, max_fields=20)
        return await run_in_threadpool(door.write, request, person, form)
    assert door.read is not None  # noqa: S101 - a door reads or writes
    return await run_in_threadpool(door.read, request, person)


def _status(error: CountersignError) -> int:
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 500)


def _in_words(error: CountersignError) -> tuple[str, str]:
    head = f"{error.where}: {error.what}" if error.where else error.what
    return head[:1].upper() + head[1:], error.todo


def _no_such_page(pages: Pages) -> Callable[[Request, Exception], Response]:
    def handler(request: Request, _error: Exception) -> Response:
        if person_of(request, pages.sessions, pages.clock.now_ms()) is None:
            return pages.locked(request)
        return pages.problem(request, 404, "There is no such page", "Go back to the queue.")

    return handler
