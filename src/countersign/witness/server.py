"""The witness over HTTP: ``POST /add-checkpoint``, and the last checkpoint cosigned of each log for whoever compares.

Nobody is asked who they are: a request counts by the log's signature in it, and is answered only after the book is on disk.
"""

from __future__ import annotations

import asyncio

import structlog
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from countersign.errors import EnvironmentFault
from countersign.ledger.witness import SIZE_TYPE, WitnessRefusal
from countersign.witness.book import Book

log = structlog.get_logger()
BODY_BYTES_MAX = 128 * 1024


def create_app(book: Book) -> Starlette:
    """The service of one witness."""

    async def add_checkpoint(request: Request) -> Response:
        body = await _body(request)
        if body is None:
            return PlainTextResponse(f"at most {BODY_BYTES_MAX} bytes\n", 413)
        return await asyncio.to_thread(answer, book, body)

    async def checkpoint(request: Request) -> Response:
        try:
            found = await asyncio.to_thread(book.latest, str(request.path_params["hash"]))
        except EnvironmentFault as error:
            return _fault(error)
        if found is None:
            return PlainTextResponse("no checkpoint of this log was cosigned\n", 404)
        return Response(found, media_type="text/plain; charset=utf-8", headers={"cache-control": "no-store"})

    async def healthz(_request: Request) -> Response:
        return PlainTextResponse("ok\n")

    return Starlette(
        routes=[
            Route("/add-checkpoint", add_checkpoint, methods=["POST"]),
            Route("/healthz", healthz),
            Route("/{hash:str}/checkpoint", checkpoint),
        ]
    )


def answer(book: Book, body: bytes) -> Response:
    """What one request is answered with."""
    try:
        line = book.add_checkpoint(body)
    except WitnessRefusal as refusal:
        log.warning("refused", status=refusal.status, why=refusal.what)
        if refusal.size is not None:
            return Response(f"{refusal.size}\n", refusal.status, headers={"content-type": SIZE_TYPE})
        return PlainTextResponse(f"{refusal.what}\n", refusal.status)
    except EnvironmentFault as error:
        return _fault(error)
    return Response(line, media_type="text/plain; charset=utf-8")


def _fault(error: EnvironmentFault) -> Response:
    log.error("witness", error=str(error))
    return PlainTextResponse("the witness cannot answer now\n", 503, headers={"retry-after": "10"})


async def _body(request: Request) -> bytes | None:
    """The whole body, None when it is too large."""
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > BODY_BYTES_MAX:
            return None
        parts.append(part)
    return b"".join(parts)
