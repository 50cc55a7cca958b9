"""Who may read the API: a console session, or a read token. Everything else is refused before any route is looked up."""

from __future__ import annotations

import hashlib

from sqlalchemy import Engine, select
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from countersign.api.problems import problem
from countersign.ports import Clock
from countersign.store import tables as t
from countersign.store.commands import READ_TOKEN
from countersign.store.engine import reading
from countersign.web.guard import person_of
from countersign.web.session import Sessions

SAFE = frozenset({"GET", "HEAD"})


class Gate:
    """Denies by default: no route, document or error of the application behind it is reached without a session or a
    token, and no method that could write."""

    def __init__(self, app: ASGIApp, engine: Engine, sessions: Sessions, clock: Clock) -> None:
        self.app = app
        self._engine = engine
        self._sessions = sessions
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI application."""
        if scope["type"] != "http":
            raise RuntimeError("the API speaks HTTP only")
        request = Request(scope)
        if not await self._may_read(request):
            why = "Session missing, or token missing, expired or not for reading"
            answer = problem(401, why, "countersign token api:read", headers={"www-authenticate": "Bearer"})
            await answer(scope, receive, send)
        elif request.method not in SAFE:
            await problem(405, "The API only reads", headers={"allow": "GET, HEAD"})(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _may_read(self, request: Request) -> bool:
        now_ms = self._clock.now_ms()
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme:
            return scheme.lower() == "bearer" and await run_in_threadpool(self._known, token.strip(), now_ms)
        return person_of(request, self._sessions, now_ms) is not None

    def _known(self, token: str, now_ms: int) -> bool:
        digest = hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()
        c = t.tokens.c
        statement = select(c.hash).where(c.hash == digest, c.source == READ_TOKEN, c.expires_ms > now_ms)
        with reading(self._engine) as conn:
            return conn.execute(statement).first() is not None
