"""Who may read the API: a person's session, or a token of a person or an agent with the scope that a route names.

Everything else is refused before any route is looked up. No token reaches what a person must do in person.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Engine, select
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from countersign.api.problems import problem
from countersign.authority import roles
from countersign.authority.roles import Right
from countersign.ports import Clock
from countersign.store import tables as t
from countersign.store import tokens
from countersign.store.commands import READ_TOKEN
from countersign.store.engine import reading
from countersign.web.guard import person_of
from countersign.web.session import Sessions
from countersign.web.ways import TooOften, Ways

SAFE = frozenset({"GET", "HEAD"})
SCOPES = "countersign.scopes"
"""Where the request carries what its bearer may read."""


def needs(wanted: roles.Scope) -> Callable[[Request], None]:
    """The rule of a route. Raises HTTPException 403 when the bearer's scopes do not cover it."""

    def check(request: Request) -> None:
        if not roles.reads(request.scope[SCOPES], wanted):
            raise HTTPException(403, f"This token has no scope {wanted}")

    return check


class Gate:
    """Denies by default: no route, document or error of the application behind it is reached without a session or a
    token, and no method that could write."""

    def __init__(self, app: ASGIApp, engine: Engine, sessions: Sessions, clock: Clock, ways: Ways) -> None:
        self.app = app
        self._engine = engine
        self._sessions = sessions
        self._clock = clock
        self._ways = ways

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI application."""
        if scope["type"] != "http":
            raise RuntimeError("the API speaks HTTP only")
        request = Request(scope)
        try:
            scopes = await self._scopes(request)
        except TooOften as error:
            answer = problem(429, "Too many failed attempts", error.todo, headers={"retry-after": str(error.wait_s)})
            return await answer(scope, receive, send)
        if not scopes:
            await _unknown()(scope, receive, send)
        elif request.method not in SAFE:
            await problem(405, "The API only reads", headers={"allow": "GET, HEAD"})(scope, receive, send)
        else:
            await self.app({**scope, SCOPES: scopes}, receive, send)
        return None

    async def _scopes(self, request: Request) -> frozenset[str]:
        """What the request may read; empty: nothing."""
        now_ms = self._clock.now_ms()
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if not scheme:
            person = await run_in_threadpool(person_of, request, self._sessions, now_ms)
            return frozenset({roles.Scope.ALL}) if person is not None and person.may(Right.READ) else frozenset()
        if scheme.lower() == "bearer":
            known = await run_in_threadpool(self._known, token.strip(), now_ms)
            if known:
                return known
        self._ways.let_try(request, now_ms)  # after the look: others behind the same address go on
        self._ways.failed(request, now_ms)
        return frozenset()

    def _known(self, token: str, now_ms: int) -> frozenset[str]:
        c = t.tokens.c
        old = select(c.hash).where(c.hash == tokens.digest(token), c.source == READ_TOKEN, c.expires_ms > now_ms)
        with reading(self._engine) as conn:
            if conn.execute(old).first() is not None:
                return frozenset({roles.Scope.ALL})
            bearer = tokens.bearer(conn, token, now_ms)
        return bearer.scopes if bearer is not None and Right.READ in bearer.rights else frozenset()


def _unknown() -> Response:
    why = "Session missing, or token missing, expired or not for reading"
    return problem(401, why, "countersign tokens issue", headers={"www-authenticate": "Bearer"})
