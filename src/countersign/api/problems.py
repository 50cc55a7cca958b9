"""Errors as problem+json (RFC 9457)."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.responses import Response

from countersign.errors import (
    ConflictError,
    CountersignError,
    EnvironmentFault,
    NotFoundError,
    RefusedError,
    UsageError,
    VerificationError,
)

_STATUS: tuple[tuple[type[CountersignError], int], ...] = (
    (RefusedError, 401),
    (NotFoundError, 404),
    (ConflictError, 409),
    (UsageError, 422),
    (EnvironmentFault, 503),
    (VerificationError, 500),
)


def problem(status: int, title: str, detail: str = "", *, headers: dict[str, str] | None = None, **extra: Any) -> Response:  # noqa: ANN401
    """A problem document; ``extra`` are its extension members."""
    document = {"type": "about:blank", "title": title, "status": status} | ({"detail": detail} if detail else {}) | extra
    return Response(msgspec.json.encode(document), status, headers, "application/problem+json")


def of_error(status: int, error: CountersignError) -> Response:
    """One of our errors as a problem."""
    extra: dict[str, Any] = {"where": error.where} if error.where else {}
    return problem(status, error.what, error.todo, code=error.code, **extra)


def status_of(error: CountersignError) -> int:
    """HTTP status of one of our errors."""
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 500)
