"""``POST /intake/{source}``: raw bytes in, 202 with a receipt of digests once they are on disk (P9).

Requests that arrive together share one commit: the answer to each comes after it. A request repeated with the same
``Idempotency-Key`` and the same body is accepted once; the same key with another body is another delivery, because
refusing it could lose an alert.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import msgspec
from sqlalchemy import Engine, select
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from countersign.api.problems import of_error, problem
from countersign.authority.roles import INTAKE, Right
from countersign.errors import CountersignError
from countersign.model.alerts import CHUNK_ALERTS_MAX, Delivery
from countersign.ports import Clock
from countersign.store import inbox, tokens
from countersign.store import tables as t
from countersign.store.engine import reading, writing

PENDING_MAX = 4_096
"""Requests that may wait for a commit; beyond it the sender is asked to slow down."""
TOKEN_CACHE_MS = 5_000
_MAPPING_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")

Split = Callable[[bytes, str, str], list[Delivery]]
"""(body, source, mapping) → deliveries; raises CountersignError."""


@dataclass(slots=True)
class _Waiting:
    deliveries: list[Delivery]
    key: bytes | None
    done: asyncio.Future[bool]


@dataclass(slots=True)
class Intake:
    """Accepts alerts over HTTP. mappings: name → TOML text, for sources that need one. wake: called after each commit."""

    engine: Engine
    clock: Clock
    split: Split
    sources: Sequence[str]
    mapping: Callable[[str], str]
    body_bytes_max: int
    wake: Callable[[], None]
    _queue: list[_Waiting] = field(default_factory=list)
    _arrived: asyncio.Event = field(default_factory=asyncio.Event)
    _tokens: dict[str, tuple[frozenset[str], int]] = field(default_factory=dict)

    def routes(self) -> list[Route]:
        """The one route of this door."""
        return [Route("/intake/{source}", self.post, methods=["POST"])]

    async def post(self, request: Request) -> Response:
        """Accept one request."""
        source = request.path_params["source"]
        refusal = await self._refusal(request, source)
        if refusal is not None:
            return refusal
        body = await self._body(request)
        if body is None:
            return problem(413, "Body is too large", f"at most {self.body_bytes_max} bytes; send it in parts")
        try:
            deliveries = self.split(body, source, self._mapping_text(request))
        except CountersignError as error:
            return of_error(400, error)
        receipt = [hashlib.sha256(raw).hexdigest() for delivery in deliveries for raw in delivery.raws]
        if not receipt:
            return problem(400, "Body holds no alert", "send a JSON object, an array, or one JSON object a line")
        fresh = await self._accept(deliveries, _key(source, request.headers.get("idempotency-key"), body))
        document = {"accepted": len(receipt) if fresh else 0, "duplicate": not fresh, "sha256": receipt}
        return Response(msgspec.json.encode(document), 202, media_type="application/json")

    async def _refusal(self, request: Request, source: str) -> Response | None:
        if source not in self.sources:
            return problem(404, "No such source", f"sources: {', '.join(self.sources)}")
        if not await self._allowed(request, source):
            return problem(401, "Token missing, expired or not for this source", headers={"www-authenticate": "Bearer"})
        if len(self._queue) >= PENDING_MAX:
            return problem(429, "Too many requests wait for the disk", headers={"retry-after": "1"})
        return None

    async def _allowed(self, request: Request, source: str) -> bool:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            return False
        token = token.strip()
        digest = tokens.digest(token)
        now_ms = self.clock.now_ms()
        known = self._tokens.get(digest)
        if known is None or now_ms > known[1]:
            owner, expires_ms = await asyncio.to_thread(self._look_up, digest, token, now_ms)
            if expires_ms <= now_ms:
                return False
            known = self._tokens[digest] = (owner, min(expires_ms, now_ms + TOKEN_CACHE_MS))
        return source in known[0]

    def _look_up(self, digest: str, token: str, now_ms: int) -> tuple[frozenset[str], int]:
        """(sources that may be posted to, when this ends)."""
        with reading(self.engine) as conn:
            row = conn.execute(select(t.tokens).where(t.tokens.c.hash == digest)).first()
            if row is not None:
                return frozenset({row.source}), row.expires_ms
            bearer = tokens.bearer(conn, token, now_ms)
        if bearer is None or Right.INTAKE not in bearer.rights:
            return frozenset(), 0
        return frozenset(one.removeprefix(INTAKE) for one in bearer.scopes if one.startswith(INTAKE)), bearer.expires_ms

    async def _body(self, request: Request) -> bytes | None:
        parts: list[bytes] = []
        size = 0
        async for part in request.stream():
            size += len(part)
            if size > self.body_bytes_max:
                return None
            parts.append(part)
        return b"".join(parts)

    def _mapping_text(self, request: Request) -> str:
        name = request.query_params.get("mapping", "")
        return self.mapping(name) if _MAPPING_NAME.fullmatch(name) else ""

    async def _accept(self, deliveries: list[Delivery], key: bytes | None) -> bool:
        """Wait for the commit that holds these deliveries; False when they were accepted before."""
        done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._queue.append(_Waiting(deliveries, key, done))
        self._arrived.set()
        return await done

    async def commit_forever(self) -> None:
        """Commit what has arrived, again and again; run this beside the server."""
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            batch, self._queue = self._queue, []
            try:
                fresh = await asyncio.to_thread(self._commit, batch)
            except Exception as error:
                for waiting in batch:
                    if not waiting.done.done():
                        waiting.done.set_exception(error)
                continue
            for waiting, is_fresh in zip(batch, fresh, strict=True):
                if not waiting.done.done():
                    waiting.done.set_result(is_fresh)
            self.wake()

    def _commit(self, batch: Sequence[_Waiting]) -> list[bool]:
        with writing(self.engine) as conn:
            seen = inbox.known_keys(conn, [w.key for w in batch if w.key is not None])
            fresh: list[bool] = []
            for waiting in batch:
                fresh.append(waiting.key is None or waiting.key not in seen)
                if waiting.key is not None:
                    seen.add(waiting.key)
            taken = [w for w, is_fresh in zip(batch, fresh, strict=True) if is_fresh]
            deliveries = _together([d for w in taken for d in w.deliveries])
            keys = [w.key for w in taken if w.key is not None]
            inbox.accept(conn, deliveries, keys, trigger="http", now_ms=self.clock.now_ms())
        return fresh


def _together(deliveries: Sequence[Delivery]) -> list[Delivery]:
    """Small deliveries of one kind as one, so that a burst of single alerts is one blob."""
    merged: list[Delivery] = []
    for one in deliveries:
        last = merged[-1] if merged else None
        if (
            last is not None
            and (last.source, last.origin, last.header, last.mapping) == (one.source, one.origin, one.header, one.mapping)
            and len(last.raws) + len(one.raws) <= CHUNK_ALERTS_MAX
        ):
            raws, positions = last.raws + one.raws, last.positions + one.positions
            merged[-1] = msgspec.structs.replace(last, raws=raws, positions=positions)
        else:
            merged.append(one)
    return merged


def _key(source: str, idempotency_key: str | None, body: bytes) -> bytes | None:
    if not idempotency_key:
        return None
    return inbox.request_key(source, f"{idempotency_key}\x00{hashlib.sha256(body).hexdigest()}")
