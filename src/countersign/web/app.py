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

from countersign.authority.grant import Grant
from countersign.errors import (
    ConflictError,
    CountersignError,
    EnvironmentFault,
    NotFoundError,
    RefusedError,
    UsageError,
    VerificationError,
)
from countersign.ports import Clock
from countersign.web import render
from countersign.web.agents import Agents
from countersign.web.approvals import ApprovalPages, Approvals
from countersign.web.case_pack import CasePack, Packs
from countersign.web.closed import Closed
from countersign.web.directory import Directory
from countersign.web.directory_doors import DirectoryDoors
from countersign.web.guard import Access, SecureHeaders, person_of, refused_person, refused_write
from countersign.web.joining import Joining
from countersign.web.ledger import LedgerPages
from countersign.web.pages import Pages
from countersign.web.policy_page import PolicyPage
from countersign.web.scopes import Scopes
from countersign.web.session import Person, Sessions
from countersign.web.status import CheckpointReader, Record
from countersign.web.ways import TooOften, Ways
from countersign.web.writes import Commands, Writes

_log = structlog.get_logger(__name__)
_STATUS: tuple[tuple[type[CountersignError], int], ...] = (
    (TooOften, 429),
    (RefusedError, 401),
    (NotFoundError, 404),
    (ConflictError, 409),
    (UsageError, 422),
    (EnvironmentFault, 503),
    (VerificationError, 500),
)

COMING_IN = ("/sign-in", "/enrol")
"""Where a stranger writes: the two ways in."""
LIVE = frozenset({"/queue", "/status", "/events"})
"""What open pages fetch by themselves: no sign that anybody sits there."""

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

    def case_grant(self, case: str) -> Grant:
        """The investigator's lease for drafts about one case, or why there is none."""
        ...


@dataclass(frozen=True, slots=True)
class Door:
    """One route and its rule."""

    method: str
    path: str
    access: Access
    read: Reader | None = None
    write: Writer | None = None

    def __post_init__(self) -> None:
        """A write needs more than to be let in to read: no rule of its own, no entry."""
        weak = self.write is not None and self.access in (Access.READ, Access.PUBLIC)
        if weak and not self.path.startswith(COMING_IN):
            raise ValueError(f"{self.method} {self.path} writes, and names no right that it needs")


def approval_doors(pages: ApprovalPages) -> tuple[Door, ...]:
    """Routes of what waits for people. ``approve`` takes a passkey's assertion and nothing less."""
    read, propose, answer = Access.READ, Access.PROPOSE, Access.APPROVE
    return (
        Door("GET", "/approvals", read, pages.page),
        Door("GET", "/approvals/live", read, pages.live),
        Door("GET", "/approvals/{number}", read, pages.one),
        Door("GET", "/approvals/{number}/live", read, pages.one_live),
        Door("GET", "/approvals/{number}/approve", answer, pages.approve_form),
        Door("GET", "/approvals/{number}/ceremony", answer, pages.ceremony),
        Door("POST", "/approvals/{number}/approve", answer, write=pages.approve),
        Door("GET", "/approvals/{number}/deny", answer, pages.deny_form),
        Door("POST", "/approvals/{number}/deny", answer, write=pages.deny),
        Door("GET", "/approvals/{number}/withdraw", propose, pages.withdraw_form),
        Door("POST", "/approvals/{number}/withdraw", propose, write=pages.withdraw),
        Door("GET", "/approvals/{number}/undo", propose, pages.undo_form),
        Door("POST", "/approvals/{number}/undo", propose, write=pages.undo),
        Door("GET", "/cases/{case_id}/propose", propose, pages.propose_form),
        Door("POST", "/cases/{case_id}/propose", propose, write=pages.propose),
    )


def ledger_doors(pages: LedgerPages) -> tuple[Door, ...]:
    """Routes of the record. Its proofs are for whoever audits."""
    read = Access.READ
    return (
        Door("GET", "/ledger", read, pages.page),
        Door("GET", "/ledger/go", read, pages.go),
        Door("GET", "/ledger/state/live", read, pages.state_live),
        Door("GET", "/ledger/list/live", read, pages.list_live),
        Door("GET", "/ledger/{index}", read, pages.one),
        Door("GET", "/ledger/{index}/live", read, pages.one_live),
        Door("GET", "/ledger/{index}/bytes", read, pages.bytes),
        Door("GET", "/ledger/{index}/proof", Access.AUDIT, pages.proof),
    )


def doors(pages: Pages, writes: Writes, closed: Closed, scopes: Scopes, agents: Agents) -> tuple[Door, ...]:
    """Every route of the console but for those of people (``people_doors``)."""
    read, work, steer, public = Access.READ, Access.WORK, Access.STEER, Access.PUBLIC
    return (
        Door("GET", "/", read, pages.queue),
        Door("GET", "/queue", read, pages.queue_live),
        Door("GET", "/status", read, pages.status),
        Door("GET", "/events", read, pages.events),
        Door("GET", "/cases/{case_id}", read, pages.case),
        Door("GET", "/cases/{case_id}/live", read, pages.case_live),
        Door("GET", "/cases/{case_id}/preview", read, pages.preview),
        Door("GET", "/cases/{case_id}/dispose", work, pages.dispose_form),
        Door("GET", "/cases/{case_id}/assign", work, pages.assign_form),
        Door("POST", "/cases/{case_id}/dispose", work, write=writes.dispose),
        Door("POST", "/cases/{case_id}/assign", work, write=writes.assign),
        Door("GET", "/cases/{case_id}/reopen", work, writes.reopen_form),
        Door("POST", "/cases/{case_id}/reopen", work, write=writes.reopen),
        Door("GET", "/cases/{case_id}/overturn", work, closed.overturn_form),
        Door("POST", "/cases/{case_id}/overturn", work, write=closed.overturn),
        Door("GET", "/closed", read, closed.page),
        Door("GET", "/closed/live", read, closed.live),
        Door("GET", "/closed/review", work, closed.next_review),
        Door("GET", "/closed/review/{finding_id}", work, closed.review),
        Door("GET", "/closed/review/{finding_id}/state", work, closed.review_state),
        Door("POST", "/closed/review/{finding_id}", work, write=closed.answer),
        Door("GET", "/recalls/{entry}", read, closed.recall),
        Door("GET", "/autonomy", read, scopes.page),
        Door("GET", "/autonomy/live", read, scopes.live),
        Door("GET", "/autonomy/{scope}/stop", work, scopes.form),
        Door("POST", "/autonomy/{scope}/stop", work, write=scopes.act),
        Door("GET", "/autonomy/{scope}/{act}", steer, scopes.form),
        Door("POST", "/autonomy/{scope}/{act}", steer, write=scopes.act),
        Door("GET", "/agents", read, agents.page),
        Door("GET", "/agents/live", read, agents.live),
        Door("GET", "/agents/{subject}/{act}", work, agents.form),
        Door("POST", "/agents/{subject}/{act}", work, write=agents.act),
        Door("GET", "/findings/{finding_id}/alerts", read, pages.alert_list),
        Door("GET", "/alerts/{blob}/{place}", read, pages.alert),
        Door("GET", "/sources", read, pages.sources),
        Door("POST", "/quarantine/{ident}/resubmit", steer, write=writes.resubmit),
        Door("GET", "/policy", read, PolicyPage(pages).page),
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


def people_doors(joining: Joining, directory: DirectoryDoors) -> tuple[Door, ...]:
    """The ways in, and what is everybody's own."""
    mine, public = Access.SELF, Access.PUBLIC
    return (
        Door("GET", "/sign-in/oidc", public, directory.out),
        Door("GET", "/sign-in/oidc/callback", public, directory.back),
        Door("GET", "/sign-in", public, joining.sign_in),
        Door("POST", "/sign-in/passkey/options", public, write=joining.sign_in_options),
        Door("POST", "/sign-in/passkey", public, write=joining.sign_in_answer),
        Door("GET", "/enrol", public, joining.enrol),
        Door("POST", "/enrol/options", public, write=joining.enrol_options),
        Door("POST", "/enrol", public, write=joining.enrol_answer),
        Door("GET", "/account", mine, joining.account),
        Door("POST", "/account/passkeys/options", mine, write=joining.add_options),
        Door("POST", "/account/passkeys", mine, write=joining.add_answer),
        Door("POST", "/account/passkeys/{credential}/remove", mine, write=joining.remove_passkey),
        Door("POST", "/account/sessions/{session}/end", mine, write=joining.end_session),
        Door("POST", "/account/sign-out", mine, write=joining.sign_out),
        Door("POST", "/account/sign-out-everywhere", mine, write=joining.sign_out_everywhere),
    )


def create_console(
    site: Site,
    *,
    sessions: Sessions,
    clock: Clock,
    checkpoint: CheckpointReader | None = None,
    ways: Ways | None = None,
    directory: Directory | None = None,
    approvals: Approvals | None = None,
    packs: Packs | None = None,
    record: Record | None = None,
) -> FastAPI:
    """The console. ``checkpoint()`` returns the newest signed checkpoint or None, and raises VerificationError when
    its signature does not hold; without it the header says that sealing is not known. ways: how people come in; left out:
    by the printed link, and with passkeys at ``localhost``. directory: an OpenID provider. approvals: what may be done
    about what waits for people; left out: the console only counts it. packs: makes a case's evidence pack. record: the log
    and how it stands; left out: no proofs, and nobody reads the ledger."""
    static = f"/static/{render.static_version()}"
    sessions.over(site.engine)
    ways = ways or Ways(directory=directory.name if directory else "")
    pages = Pages(site.engine, sessions, clock, checkpoint, static, site.case_grant, ways)
    pages.record = record
    writes = Writes(site.commands, pages)
    app = FastAPI(title="Countersign console", openapi_url=None, docs_url=None, redoc_url=None)
    app.add_middleware(SecureHeaders)
    if approvals is not None:
        pages.proposed, pages.proposes = approvals.of_case, True
        pages.runs, pages.asks = approvals.runs, approvals.asks
    pages.packs = packs is not None
    commands = site.commands
    everyday = doors(pages, writes, Closed(commands, pages), Scopes(commands, pages), Agents(commands, pages))
    joining = Joining(pages, sessions, ways)
    through = DirectoryDoors(joining, directory)
    joining.leave = through.leave
    answered = approval_doors(ApprovalPages(pages, approvals))
    pack = Door("GET", "/cases/{case_id}/pack", Access.AUDIT, CasePack(packs).download)
    for door in (*everyday, *ledger_doors(LedgerPages(pages)), *answered, *people_doors(joining, through), pack):
        endpoint = _endpoint(door, pages)
        app.add_route(door.path, endpoint, methods=[door.method], include_in_schema=False)
    app.mount(static, Static(directory=render.STATIC), name="static")
    app.add_exception_handler(404, _no_such_page(pages))
    return app


def _endpoint(door: Door, pages: Pages) -> Callable[[Request], Awaitable[Response]]:
    """A door with its rule in front and its errors turned into pages."""

    async def endpoint(request: Request) -> Response:
        now_ms = pages.clock.now_ms()
        person = await run_in_threadpool(person_of, request, pages.sessions, now_ms)
        if door.access is not Access.PUBLIC and person is None:
            return pages.locked(request)
        refusal = refused_write(request.method, request.headers)
        if refusal:
            return pages.problem(request, 403, "Refused", refusal)
        if person is not None and door.access is not Access.PUBLIC:
            refusal = refused_person(door.access, person)
            if refusal:
                return pages.problem(request, 403, "Not yours to do", refusal)
            if door.path not in LIVE and not door.path.endswith("/live"):
                await run_in_threadpool(pages.sessions.seen, person, now_ms)
        try:
            return await _answer(door, pages, request, person or Person("", 0))
        except CountersignError as error:
            return pages.problem(request, _status(error), *_in_words(error))
        except Exception:
            _log.exception("console.failed", path=request.url.path)
            text = "The console met an error of its own. Nothing was changed; the log names it."
            return pages.problem(request, 500, "Something broke", text)

    endpoint.access = door.access  # type: ignore[attr-defined]  # read by the test that walks the route table
    return endpoint


async def _answer(door: Door, pages: Pages, request: Request, person: Person) -> Response:
    if door.write is not None:
        form = await request.form(max_files=0, max_fields=20)
        return await run_in_threadpool(door.write, request, person, form)
    assert door.read is not None  # noqa: S101 - a door reads or writes
    if door.access is not Access.PUBLIC and door.path not in LIVE and "hx-request" not in request.headers:
        request.state.pulse = await run_in_threadpool(pages.pulse)
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
