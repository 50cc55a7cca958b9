"""Pages that only read. Each answers a request with a view from the store and a template; none decides anything."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from threading import Lock
from typing import Any

from jinja2 import Environment
from sqlalchemy import Connection, Engine
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response, StreamingResponse

from countersign.actions import standing
from countersign.actions.suggest import DEFAULT_ASKS, Suggestion, suggest
from countersign.authority.agents import Operation
from countersign.authority.grant import Grant
from countersign.authority.grant import case as resource
from countersign.errors import NotFoundError
from countersign.investigate.summary import summarise
from countersign.model.inventory import Inventory
from countersign.model.matters import Line
from countersign.model.records import FindingRecord
from countersign.ports import Clock
from countersign.store import inventory, read, read_case, read_raw, read_review
from countersign.store.engine import reading
from countersign.store.searching import QUERY_CHARS_MAX
from countersign.web import case_view, graph, raw_view, render
from countersign.web.guard import sealed_cookie
from countersign.web.live import Watcher
from countersign.web.session import COOKIE, SESSION_MS, Person, Sessions
from countersign.web.status import CheckpointReader, Record, Status, ledger_state, status
from countersign.web.ways import Ways

_PREVIEW_FINDINGS = 24
_NUMBER_DIGITS_MAX = 18


class Pages:
    """Everything a page needs, handed in once."""

    def __init__(
        self,
        engine: Engine,
        sessions: Sessions,
        clock: Clock,
        checkpoint: CheckpointReader | None,
        static: str,
        grant: Callable[[str], Grant],
        ways: Ways | None = None,
    ) -> None:
        self.engine = engine
        self.sessions = sessions
        self.clock = clock
        self.checkpoint = checkpoint
        self.grant = grant
        self.ways = ways or Ways()
        self.env: Environment = render.environment(static)
        self.watcher = Watcher(self._look)
        self.proposed: Callable[[str], Sequence[Line]] = lambda _case: ()
        self.proposes = False
        self.packs = False
        self.record: Record | None = None
        self.runs: Sequence[str] = ()
        self.asks = DEFAULT_ASKS
        self._counted: tuple[int, read.Counts] | None = None
        self._lock = Lock()

    # --- the queue ------------------------------------------------------------------------------------------------

    def queue(self, request: Request, person: Person) -> Response:
        """The whole queue page, the first case (or the one asked for) in the preview."""
        return self.show("queue.html", request, person, **self._queue(request, whole=True))

    def queue_live(self, request: Request, person: Person) -> Response:
        """The part of the queue that changes, to be morphed into an open page."""
        values = self._queue(request, whole=False)
        response = self.show("queue_live.html", request, person, **values)
        if request.headers.get("hx-source", "").startswith(("form", "input")):
            response.headers["hx-replace-url"] = values["here"]
        return response

    def _queue(self, request: Request, *, whole: bool) -> dict[str, Any]:
        query = request.query_params.get("q", "")[:QUERY_CHARS_MAX]
        wanted = request.query_params.get("tab", "")
        tab = read.Tab(wanted) if wanted in list(read.Tab) else read.Tab.NEEDS
        cursor = request.query_params.get("after", "")
        base = request.scope.get("root_path", "")
        with reading(self.engine) as conn:
            page = read.queue(conn, tab=tab, query=query, cursor=cursor)
            counts = self._counts(conn)
            first = read_case.records(conn, page.rows[0], _PREVIEW_FINDINGS) if whole and page.rows else ()
            now_status = self.standing(conn) if whole else None
        gate = case_view.gate_ppm(first[0] if first else None)
        preview = self._preview(page.rows[0], first) if first else None
        params = render.query_string(tab=tab.value, q=query)
        return {
            "page": page,
            "counts": counts,
            "tabs": list(read.Tab),
            "gate": gate,
            "preview": preview,
            "status": now_status,
            "params": params,
            "here": f"{base}/?{params}",
            "after": cursor,
        }

    def _counts(self, conn: Any) -> read.Counts:  # noqa: ANN401 - a connection
        """Counts are kept until the ledger grows: every change of a case is an entry."""
        size = read.ledger_size(conn)
        with self._lock:
            if self._counted is None or self._counted[0] != size:
                self._counted = (size, read.counts(conn))
            return self._counted[1]

    def preview(self, request: Request, person: Person) -> Response:
        """The pane beside the queue."""
        with reading(self.engine) as conn:
            row = read_case.case_row(conn, text_of(request, "case_id"))
            found = read_case.records(conn, row, _PREVIEW_FINDINGS)
        return self.show("preview.html", request, person, preview=self._preview(row, found))

    def _preview(self, row: read.CaseRow, records: Sequence[FindingRecord]) -> dict[str, Any]:
        top = records[0] if records else None
        positive, negative = case_view.strongest(top) if top else ((), ())
        scale = max((abs(c.pico) for c in (*positive, *negative)), default=1)
        return {
            "case": row,
            "top": top,
            "for": positive,
            "against": negative,
            "scale": scale,
            "rank": case_view.rank_parts(row),
            "evidence_for": case_view.leaning(records, 1, 3),
            "evidence_against": case_view.leaning(records, -1, 3),
            "summary": self._draft(row, records, self.grant(row.id)),
            "chips": case_view.chips(row, top),
            "gate": case_view.gate_ppm(top),
        }

    @staticmethod
    def _draft(row: read.CaseRow, records: Sequence[FindingRecord], granted: Grant) -> tuple[case_view.Cited, ...]:
        """The investigator's draft; none while it has no lease, which the page then says."""
        if granted.refusals:
            return ()
        lease = granted.of(Operation.SUMMARISE, resource(row.id))
        return case_view.drawn_from(row, records, summarise(row.id, records, lease, granted.use))

    def _responses(
        self, row: read.CaseRow, records: Sequence[FindingRecord], known: Inventory, granted: Grant
    ) -> tuple[Suggestion, ...]:
        if granted.refusals:
            return ()
        lease = granted.of(Operation.PROPOSE, resource(row.id))
        return suggest(row.id, records, known, lease, granted.use, self.runs, self.asks)

    # --- a case ---------------------------------------------------------------------------------------------------

    def case(self, request: Request, person: Person) -> Response:
        """The case page."""
        return self.show("case.html", request, person, **self._case(request))

    def case_live(self, request: Request, person: Person) -> Response:
        """The part of the case page that changes; 204 while the case has not."""
        with reading(self.engine) as conn:
            row = read_case.case_row(conn, text_of(request, "case_id"))
            sealed = ledger_state(conn, self.checkpoint).sealed
        mark = _mark(row, sealed, self.proposed(row.id))
        if request.query_params.get("mark") == mark:
            return Response(status_code=204)
        return self.show("case_live.html", request, person, **self._case(request))

    def _case(self, request: Request) -> dict[str, Any]:
        with reading(self.engine) as conn:
            detail = read_case.case_detail(conn, text_of(request, "case_id"))
            lines = read_case.finding_lines(conn, detail.case.id)
            closes = read_review.of_case(conn, detail.case.id)
            known = inventory.load(conn)
            now_status = self.standing(conn)
        granted = self.grant(detail.case.id)
        sealed = now_status.ledger.sealed
        shown, other = case_view.contributions(detail.top) if detail.top else ((), None)
        moments = case_view.timeline(detail.records)
        proposed = self.proposed(detail.case.id)
        return {
            "detail": detail,
            "closes": closes,
            "case": detail.case,
            "top": detail.top,
            "lines": lines,
            "steps": case_view.steps(detail, sealed),
            "moments": moments,
            "moment_scale": max((abs(m.record.verdict.pico) for m in moments), default=1),
            "contributions": shown,
            "other": other,
            "scale": max((abs(c.pico) for c in (*shown, *((other,) if other else ()))), default=1),
            "graph": graph.build(detail.records),
            "responses": self._responses(detail.case, detail.records, known, granted),
            "undrafted": granted.refusals[0].reason if granted.refusals else "",
            "nothing_runs": standing(self.runs),
            "summary": self._draft(detail.case, detail.records, granted),
            "gate": case_view.gate_ppm(detail.top),
            "proposed": proposed,
            "proposes": self.proposes,
            "packs": self.packs,
            "mark": _mark(detail.case, sealed, proposed),
            "sealed": sealed,
            "status": now_status,
        }

    def suggested(self, case_id: str) -> tuple[Suggestion, ...]:
        """Responses that are suggested for a case as it stands. Raises NotFoundError."""
        granted = self.grant(case_id)
        with reading(self.engine) as conn:
            detail = read_case.case_detail(conn, case_id)
            return self._responses(detail.case, detail.records, inventory.load(conn), granted)

    def dispose_form(self, request: Request, person: Person) -> Response:
        """The form to dispose of a case, for a dialog or a panel."""
        with reading(self.engine) as conn:
            row = read_case.case_row(conn, text_of(request, "case_id"))
        return self.form(request, person, "dispose.html", row)

    def assign_form(self, request: Request, person: Person) -> Response:
        """The form to hand a case to a person."""
        with reading(self.engine) as conn:
            row = read_case.case_row(conn, text_of(request, "case_id"))
        return self.form(request, person, "assign.html", row)

    def form(
        self,
        request: Request,
        person: Person,
        name: str,
        row: read.CaseRow,
        *,
        status_code: int = 200,
        problem: str = "",
        typed: dict[str, str] | None = None,
    ) -> HTMLResponse:
        """A form as a fragment, or inside a page of its own where no script asked for it. What was typed stays."""
        values = {"case": row, "problem": problem, "typed": typed or {}, "form": name}
        outer = name if "hx-request" in request.headers else "form_page.html"
        return self.show(outer, request, person, code=status_code, **values)

    # --- raw matter, sources ----------------------------------------------------------------------------------------

    def alert_list(self, request: Request, person: Person) -> Response:
        """Raw alerts behind one finding."""
        ident = text_of(request, "finding_id")
        with reading(self.engine) as conn:
            record = read_case.finding_record(conn, ident)
            refs = read_case.alert_refs(conn, ident)
        return self.show("alert_list.html", request, person, record=record, refs=refs)

    def alert(self, request: Request, person: Person) -> Response:
        """One raw alert; ``?finding=`` names the finding whose tainted paths are marked."""
        ident = request.query_params.get("finding", "")
        with reading(self.engine) as conn:
            found = read_raw.raw_alert(conn, text_of(request, "blob"), number_of(request, "place"))
            record = read_case.finding_record(conn, ident) if ident else None
        tainted = record.finding.tainted if record else ()
        lines = raw_view.fields(found.data, found.header, tainted)
        return self.show("alert.html", request, person, raw=found, record=record, lines=lines)

    def sources(self, request: Request, person: Person) -> Response:
        """What came in by source, and what could not be read."""
        with reading(self.engine) as conn:
            rows, held = read.sources(conn), read.quarantined(conn)
        return self.show("sources.html", request, person, rows=rows, held=held, flash=request.query_params.get("done", ""))

    # --- always there -----------------------------------------------------------------------------------------------

    def status(self, request: Request, person: Person) -> Response:
        """The header's two facts, to be morphed into an open page."""
        return self.show("status.html", request, person)

    def events(self, _request: Request, _person: Person) -> Response:
        """Server-sent events: one when the ledger or its seal grows."""
        if self.watcher.full():
            return PlainTextResponse("too many open pages", status_code=503, headers={"retry-after": "30"})
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        return StreamingResponse(self.watcher.listen(), media_type="text/event-stream", headers=headers)

    def pulse(self) -> str:
        """What an open page would be told now. Taken before a page is read, it says which changes the page may not show; ""
        when it cannot be told."""
        with suppress(Exception):  # whatever is wrong with the database: the page is there to say so
            return self._look()
        return ""

    def _look(self) -> str:
        with reading(self.engine) as conn:
            now = ledger_state(conn, self.checkpoint)
        warned = self.warned()
        read_on = self.record.verified().mark if self.record else ""
        return f"{now.size} {now.sealed} {now.state} {warned} {read_on}"

    def warned(self) -> str:
        """Changes when the ledger is not sealed in time any more, or witnesses say something else."""
        if self.record is None:
            return ""
        with reading(self.engine) as conn:
            return f"{int(self.record.seals(conn).in_time)}.{len(self.record.heard(conn).lines)}"

    def standing(self, conn: Connection) -> Status:
        """The header's facts."""
        return status(conn, self.checkpoint, self.clock.now_ms(), self.record)

    def enter(self, request: Request, person: Person) -> Response:
        """Trade a one-time link for a session; an open session just goes on."""
        now = self.clock.now_ms()
        home = request.scope.get("root_path", "") + "/"
        token = request.query_params.get("t", "")
        self.ways.let_try(request, now)
        cookie = self.sessions.enter(token, now, request.headers.get("user-agent", "")) if token else None
        if cookie is None:
            if token and not person.name:
                self.ways.failed(request, now)
            return RedirectResponse(home, 303) if person.name else self.locked(request, used=bool(token))
        response = RedirectResponse(home, 303)
        secure = sealed_cookie(request)
        response.set_cookie(COOKIE, cookie, max_age=SESSION_MS // 1000, httponly=True, samesite="strict", secure=secure)
        return response

    def healthz(self, _request: Request, _person: Person) -> Response:
        """Is the process there? Says nothing else."""
        return PlainTextResponse("ok\n")

    def locked(self, request: Request, *, used: bool = False, code: int = 401) -> Response:
        """How to get in. Shows nothing of the site."""
        if "hx-request" in request.headers:
            return self.problem(request, 401, "Your session has ended", "Sign in again in a new tab; what you typed stays.")
        return self.bare(request, "locked.html", code, used=used, **self.ways.shown(request))

    def bare(self, request: Request, template: str, code: int, /, **values: Any) -> Response:  # noqa: ANN401
        """A page for whoever is not signed in yet."""
        return render.page(self.env, template, request, http=code, **values)

    def problem(self, request: Request, code: int, title: str, text: str) -> Response:
        """An error as a page, or as a notice above an open page that keeps everything on it."""
        if "hx-request" in request.headers:
            response = render.page(self.env, "notice.html", request, http=code, title=title, text=text)
            response.headers.update({"hx-retarget": "#notice", "hx-reswap": "innerHTML"})
            return response
        return render.page(self.env, "problem.html", request, http=code, code=code, title=title, text=text)

    def show(self, name: str, request: Request, person: Person, *, code: int = 200, **values: Any) -> HTMLResponse:  # noqa: ANN401
        """A template with what every page has: who is there, the time, the header's facts."""
        now_status: Status | None = values.pop("status", None)
        if now_status is None:
            with reading(self.engine) as conn:
                now_status = self.standing(conn)
        common = {"person": person.name, "me": person, "now": self.clock.now_ms(), "status": now_status}
        return render.page(self.env, name, request, http=code, **common, **values)


def _mark(case: read.CaseRow, sealed: int, proposed: Sequence[Line]) -> str:
    """Changes whenever the case page would."""
    waits = sum(bool(line.waits) for line in proposed)
    newest = max((line.entry for line in proposed), default=0)
    return f"{case.entry}.{int(case.entry < sealed)}.{newest}.{len(proposed)}.{waits}"


def text_of(request: Request, name: str, chars_max: int = 128) -> str:
    """A part of the address."""
    return str(request.path_params[name])[:chars_max]


def number_of(request: Request, name: str) -> int:
    """A part of the address that is a number. Raises NotFoundError."""
    text = text_of(request, name)
    if not text.isdecimal() or len(text) > _NUMBER_DIGITS_MAX:
        raise NotFoundError("there is no such page", where=text[:20], todo="follow a link from a case")
    return int(text)
