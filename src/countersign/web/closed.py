"""**Closed by the agent**: the list, the blind review, the overturning of a close, what a recall took back.

Whoever reviews sees what came in and what lookups said, never what the agent made of it: the page is drawn from
``read_review.Blind``, which has no field for it, and its links lead to raw matter alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from countersign.errors import ConflictError, UsageError
from countersign.store import read_case, read_raw, read_review
from countersign.store.engine import reading
from countersign.store.read_review import Part
from countersign.web import raw_view, words
from countersign.web.pages import Pages, number_of, text_of
from countersign.web.session import Person
from countersign.web.writes import Commands, field_of

ALERTS_SHOWN = 3
"""Raw alerts whose fields stand on the review page; more are a link away."""
ALERTS_NAMED = 24
PARTS = {
    Part.ALL: "All",
    Part.WAITING: "Waiting for blind review",
    Part.UNREAD: "Not drawn for review",
    Part.CONFIRMED: "Confirmed",
    Part.BACK: "Taken back",
}


@dataclass(frozen=True, slots=True)
class Alert:
    """A raw alert: where it lies, its fields, its size in bytes."""

    ref: read_case.AlertRef
    lines: tuple[raw_view.Line, ...]
    size: int


class Closed:
    """The doors of this page."""

    def __init__(self, commands: Commands, pages: Pages) -> None:
        self.commands = commands
        self.pages = pages

    # --- the list -------------------------------------------------------------------------------------------------

    def page(self, request: Request, person: Person) -> Response:
        """The whole page."""
        return self.pages.show("closed.html", request, person, **self._list(request))

    def live(self, request: Request, person: Person) -> Response:
        """The part of it that changes."""
        return self.pages.show("closed_live.html", request, person, **self._list(request))

    def _list(self, request: Request) -> dict[str, Any]:
        wanted = request.query_params.get("part", "")
        part = Part(wanted) if wanted in list(Part) else Part.ALL
        cursor = request.query_params.get("after", "")
        with reading(self.pages.engine) as conn:
            page = read_review.closes(conn, part=part, cursor=cursor)
            counts = read_review.counts(conn)
        return {"page": page, "counts": counts, "parts": PARTS, "after": cursor}

    def recall(self, request: Request, person: Person) -> Response:
        """One recall: cause and extent."""
        with reading(self.pages.engine) as conn:
            found = read_review.recall(conn, number_of(request, "entry"))
        return self.pages.show("recall.html", request, person, recall=found)

    # --- blind review ---------------------------------------------------------------------------------------------

    def next_review(self, request: Request, person: Person) -> Response:
        """To the review that has waited longest, or past the one that a person leaves for later."""
        with reading(self.pages.engine) as conn:
            ident = read_review.next_waiting(conn, request.query_params.get("after", "")[:64])
        done = request.query_params.get("done", "")[:64]
        if ident:
            query = f"?done={done}" if done.isascii() and done.replace("-", "").isalnum() else ""
            return RedirectResponse(f"{self._base(request)}/closed/review/{ident}{query}", 303)
        return self.pages.show("review_none.html", request, person, **self._said(done))

    def review(self, request: Request, person: Person) -> Response:
        """The page on which a person judges a close without seeing the verdict."""
        return self._review(request, person, done=request.query_params.get("done", "")[:64])

    def review_state(self, request: Request, person: Person) -> Response:
        """How many wait, and whether this one still does: the part of the review page that changes."""
        return self.pages.show("review_state.html", request, person, **self._state(text_of(request, "finding_id")))

    def _state(self, ident: str) -> dict[str, Any]:
        with reading(self.pages.engine) as conn:
            row = read_review.close_row(conn, ident)
            counts = read_review.counts(conn)
        notice = "" if row.waits else words.not_waiting(row.state.value, drawn=row.drawn)
        return {"finding_id": ident, "notice": notice, "waiting": counts.waiting}

    def _review(
        self, request: Request, person: Person, *, done: str = "", typed: str = "", problem: str = "", code: int = 200
    ) -> Response:
        ident = text_of(request, "finding_id")
        state = self._state(ident)
        with reading(self.pages.engine) as conn:
            finding = read_review.blind(conn, ident, alerts=ALERTS_NAMED)
            raws = [(ref, read_raw.raw_alert(conn, ref.blob, ref.place)) for ref in finding.alerts[:ALERTS_SHOWN]]
        alerts = [Alert(ref, raw_view.fields(raw.data, raw.header, finding.tainted), raw.size) for ref, raw in raws]
        values = {**state, **self._said(done), "finding": finding, "alerts": alerts, "typed": typed, "problem": problem}
        return self.pages.show("review.html", request, person, code=code, **values)

    def _said(self, done: str) -> dict[str, Any]:
        """What the answer before this one led to."""
        if not done:
            return {"done": "", "recall": None}
        with reading(self.pages.engine) as conn:
            row = read_review.close_row(conn, done)
            idx = read_review.newest_recall(conn, row.case_id) if row.state.value == "threat" else None
            return {"done": done, "recall": read_review.recall(conn, idx) if idx is not None else None}

    def answer(self, request: Request, person: Person, form: FormData) -> Response:
        """A person's answer; 409 when the close was taken back meanwhile, 422 without an answer. What was typed stays."""
        ident = text_of(request, "finding_id")
        reason = field_of(form, "reason")
        try:
            self.commands.review(ident, field_of(form, "answer"), reason, person.name)
        except ConflictError:
            return self._review(request, person, typed=reason, code=409)
        except UsageError:
            return self._review(request, person, typed=reason, problem="Choose one of the two answers.", code=422)
        return RedirectResponse(f"{self._base(request)}/closed/review?done={ident}", 303)

    # --- overturning ----------------------------------------------------------------------------------------------

    def overturn_form(self, request: Request, person: Person) -> Response:
        """The form to say that a close was wrong."""
        with reading(self.pages.engine) as conn:
            row = read_case.case_row(conn, text_of(request, "case_id"))
        return self.pages.form(request, person, "overturn.html", row)

    def overturn(self, request: Request, person: Person, form: FormData) -> Response:
        """The close was wrong: everything that rests on the same reason goes to people with it."""
        case_id, reason = text_of(request, "case_id"), field_of(form, "reason")
        problem, code = "Say what makes it a threat: the reason goes into the record with the recall.", 422
        if reason:
            try:
                self.commands.overturn(case_id, reason, person.name)
                return self._overturned(request, case_id)
            except (ConflictError, UsageError) as error:
                problem, code = f"{error.what[:1].upper()}{error.what[1:]}. Your text is kept.", 409
        with reading(self.pages.engine) as conn:
            row = read_case.case_row(conn, case_id)
        return self.pages.form(
            request, person, "overturn.html", row, status_code=code, problem=problem, typed={"reason": reason}
        )

    def _overturned(self, request: Request, case_id: str) -> Response:
        """On to what it led to."""
        with reading(self.pages.engine) as conn:
            idx = read_review.newest_recall(conn, case_id)
        where = f"{self._base(request)}/recalls/{idx}" if idx is not None else f"{self._base(request)}/cases/{case_id}"
        if "hx-request" in request.headers:
            return Response(status_code=200, headers={"hx-redirect": where})
        return RedirectResponse(where, 303)

    @staticmethod
    def _base(request: Request) -> str:
        return str(request.scope.get("root_path", ""))
