"""``/api/v1``: what the screens show, for programs. It only reads; lists page by cursor; errors are problem+json.

The schemas in its OpenAPI 3.1 document are made from the very types that are encoded.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import msgspec
from fastapi import Depends, FastAPI, Path, Query
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from sqlalchemy import Connection, Engine
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from countersign import __version__
from countersign.api.access import Gate, needs
from countersign.api.problems import of_error, problem, status_of
from countersign.authority.roles import Scope
from countersign.errors import CountersignError
from countersign.model.records import FindingRecord
from countersign.ports import Clock
from countersign.store import read
from countersign.store import read_documents as documents
from countersign.store.engine import reading
from countersign.store.searching import QUERY_CHARS_MAX
from countersign.web.guard import SecureHeaders
from countersign.web.session import Sessions
from countersign.web.ways import Ways

REF = "#/components/schemas/{name}"
DOCUMENTS = (documents.Cases, documents.CaseDocument, documents.Entries, documents.Sources, FindingRecord, read.Autonomy)
"""Every document that a route answers with."""

Ident = Annotated[str, Path(max_length=128)]
Cursor = Annotated[str, Query(max_length=128, description="`cursor` of the page before; empty for the first.")]
Limit = Annotated[int, Query(ge=1, le=read.PAGE_ROWS_MAX)]
Search = Annotated[str, Query(max_length=QUERY_CHARS_MAX, description="Words that must all be there.")]


def create_api(engine: Engine, sessions: Sessions, clock: Clock, ways: Ways) -> ASGIApp:
    """The API behind its gate, to be mounted."""
    return SecureHeaders(Gate(create_routes(engine), engine, sessions, clock, ways))


def create_routes(engine: Engine) -> FastAPI:
    """The routes alone; nothing but the gate may stand before them."""
    app = FastAPI(title="Countersign", version=__version__, docs_url=None, redoc_url=None, openapi_url="/openapi.json")
    _add_routes(app, lambda question: _answer(engine, question))
    app.add_exception_handler(CountersignError, _our_error)
    app.add_exception_handler(RequestValidationError, _bad_request)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, _fault)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]  # FastAPI's documented way to extend it
    return app


Ask = Callable[[Callable[[Connection], Any]], Response]


def _add_routes(app: FastAPI, ask: Ask) -> None:
    """Plain functions: each runs in a worker thread, on a snapshot of its own."""

    def cases(tab: read.Tab = read.Tab.NEEDS, q: Search = "", cursor: Cursor = "", limit: Limit = 50) -> Response:
        """Cases of a tab of the queue, the most pressing first. `closed_by` tells a human from the agent."""
        return ask(lambda conn: documents.cases(conn, tab, q, cursor, limit))

    def case(case_id: Ident) -> Response:
        """One case with its findings and others of the same pattern."""
        return ask(lambda conn: documents.case(conn, case_id))

    def case_entries(case_id: Ident, cursor: Cursor = "", limit: Limit = 50) -> Response:
        """Ledger entries of one case, newest first."""
        return ask(lambda conn: documents.entries(conn, case_id, cursor, limit))

    def finding(finding_id: Ident) -> Response:
        """One finding with everything its decision rests on."""
        return ask(lambda conn: documents.finding(conn, finding_id))

    def ledger_entries(cursor: Cursor = "", limit: Limit = 50) -> Response:
        """Ledger entries, newest first."""
        return ask(lambda conn: documents.entries(conn, "", cursor, limit))

    def autonomy() -> Response:
        """What the agent may do alone."""
        return ask(documents.autonomy)

    def sources() -> Response:
        """What each source has brought."""
        return ask(documents.sources)

    _add(app, Scope.CASES, "/cases", cases, documents.Cases)
    _add(app, Scope.CASES, "/cases/{case_id}", case, documents.CaseDocument)
    _add(app, Scope.CASES, "/cases/{case_id}/entries", case_entries, documents.Entries)
    _add(app, Scope.CASES, "/findings/{finding_id}", finding, FindingRecord)
    _add(app, Scope.LEDGER, "/ledger/entries", ledger_entries, documents.Entries)
    _add(app, Scope.AUTONOMY, "/autonomy", autonomy, read.Autonomy)
    _add(app, Scope.SOURCES, "/sources", sources, documents.Sources)


def _add(app: FastAPI, scope: Scope, path: str, endpoint: Callable[..., Response], document: type) -> None:
    ok: dict[str, Any] = {
        "description": "OK",
        "content": {"application/json": {"schema": {"$ref": REF.format(name=document.__name__)}}},
    }
    refused: dict[str, Any] = {
        "description": "A problem (RFC 9457)",
        "content": {"application/problem+json": {"schema": {"$ref": REF.format(name="Problem")}}},
    }
    codes = (401, 403, 422, 429, *((404,) if "{" in path else ()))
    responses: dict[int | str, dict[str, Any]] = {200: ok, **dict.fromkeys(codes, refused)}
    rule = Depends(needs(scope))
    app.add_api_route(path, endpoint, methods=["GET"], response_model=None, responses=responses, dependencies=[rule])


def _answer(engine: Engine, question: Callable[[Connection], Any]) -> Response:
    with reading(engine) as conn:
        body = msgspec.json.encode(question(conn))
    return Response(body, media_type="application/json")


def _openapi(app: FastAPI) -> dict[str, Any]:
    if app.openapi_schema is None:
        document = get_openapi(title=app.title, version=app.version, openapi_version=app.openapi_version, routes=app.routes)
        _, schemas = msgspec.json.schema_components(DOCUMENTS, ref_template=REF)
        parts = document.setdefault("components", {})
        parts["schemas"] = {**schemas, "Problem": _PROBLEM}
        parts["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        document["security"] = [{"token": []}]
        document["servers"] = [{"url": "/api/v1"}]
        app.openapi_schema = document
    return app.openapi_schema


_PROBLEM = {
    "type": "object",
    "required": ["type", "title", "status"],
    "properties": {name: {"type": "string"} for name in ("type", "title", "detail", "code", "where")}
    | {"status": {"type": "integer"}},
}


def _our_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, CountersignError)  # noqa: S101 - Starlette's type of a handler is wider
    return of_error(status_of(error), error)


def _bad_request(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - as above
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"][1:])
    return problem(422, "Parameter cannot be used", str(first["msg"]), where=where)


def _http_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - as above
    return problem(error.status_code, "There is no such route" if error.status_code == 404 else error.detail)


def _fault(_request: Request, _error: Exception) -> Response:
    return problem(500, "The service met an error of its own", "nothing was changed; the log names it")
