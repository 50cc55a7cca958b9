"""Forms that change something: parsed here, decided elsewhere. A conflict keeps what was typed and says what changed."""

from __future__ import annotations

from typing import Protocol

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from countersign.errors import ConflictError, UsageError
from countersign.model.cases import Disposition
from countersign.store import read_case
from countersign.store.engine import reading
from countersign.web import words
from countersign.web.pages import Pages, number_of
from countersign.web.session import Person

REASON_CHARS_MAX = 2_000
OWNER_CHARS_MAX = 120


class Commands(Protocol):
    """What the console may ask of the site; each raises ConflictError, NotFoundError or UsageError."""

    def dispose(self, case_id: str, disposition: str, reason: str, actor: str, version: int) -> None:
        """Close a case as a person found it. ``version``: the case's last entry as the person saw it."""
        ...

    def assign(self, case_id: str, owner: str, actor: str) -> None:
        """Hand a case to a person; "" takes it from everybody."""
        ...

    def reopen(self, case_id: str, reason: str, actor: str) -> None:
        """Take a closed case up again."""
        ...

    def resubmit(self, quarantine_id: int, actor: str) -> object:
        """Send an alert from quarantine in again."""
        ...

    def overturn(self, case_id: str, reason: str, actor: str) -> object:
        """A case that the agent closed is a threat: it opens, and so does what rests on the same reason."""
        ...

    def review(self, finding: str, answer: str, reason: str, actor: str) -> object:
        """A blind answer on a drawn close: ``benign`` or ``threat``."""
        ...

    def acknowledge(self, scope: str, reason: str, actor: str) -> None:
        """Take note of a scope's alarm or change."""
        ...

    def stop(self, scope: str, reason: str, actor: str) -> None:
        """Kill switch of a scope; ``*``: of every scope."""
        ...

    def resume(self, scope: str, reason: str, actor: str) -> None:
        """Lift a kill switch."""
        ...

    def stop_agent(self, name: str, reason: str, actor: str) -> None:
        """Kill switch of an agent."""
        ...

    def retire_agent(self, name: str, reason: str, actor: str) -> None:
        """Take an agent of the site's own out for good."""
        ...

    def revoke_lease(self, ident: str, reason: str, actor: str) -> object:
        """No use of a lease passes any more."""
        ...


class Writes:
    """The console's forms."""

    def __init__(self, commands: Commands, pages: Pages) -> None:
        self.commands = commands
        self.pages = pages

    def dispose(self, request: Request, person: Person, form: FormData) -> Response:
        """Close a case; 409 when it changed since the form was drawn, 422 when a field is missing."""
        case_id = str(request.path_params["case_id"])
        typed = {name: field_of(form, name) for name in ("disposition", "reason", "version")}
        problem = _wrong(typed)
        if not problem:
            try:
                self.commands.dispose(case_id, typed["disposition"], typed["reason"], person.name, int(typed["version"]))
            except ConflictError:
                return self._again(request, person, "dispose.html", case_id, typed, 409, "")
            except UsageError as error:
                problem = str(error)
        if problem:
            return self._again(request, person, "dispose.html", case_id, typed, 422, problem)
        return self._done(request, person, case_id, "disposed")

    def assign(self, request: Request, person: Person, form: FormData) -> Response:
        """Hand a case to somebody, or to nobody."""
        case_id = str(request.path_params["case_id"])
        owner = " ".join(field_of(form, "owner").split())[:OWNER_CHARS_MAX]
        if not owner and not field_of(form, "nobody"):
            problem = "Say who should take it."
            return self._again(request, person, "assign.html", case_id, {"owner": owner}, 422, problem)
        try:
            self.commands.assign(case_id, owner, person.name)
        except (ConflictError, UsageError) as error:
            return self._again(request, person, "assign.html", case_id, {"owner": owner}, 409, str(error))
        return self._done(request, person, case_id, "assigned")

    def reopen_form(self, request: Request, person: Person) -> Response:
        """The form to take a closed case up again."""
        with reading(self.pages.engine) as conn:
            row = read_case.case_row(conn, str(request.path_params["case_id"])[:64])
        return self.pages.form(request, person, "reopen.html", row)

    def reopen(self, request: Request, person: Person, form: FormData) -> Response:
        """Take a closed case up again; 422 without a reason, 409 when it is not closed any more."""
        case_id, reason = str(request.path_params["case_id"]), field_of(form, "reason")
        typed = {"reason": reason}
        if not reason:
            problem = "Say why: the reason goes into the record."
            return self._again(request, person, "reopen.html", case_id, typed, 422, problem)
        try:
            self.commands.reopen(case_id, reason, person.name)
        except (ConflictError, UsageError) as error:
            return self._again(request, person, "reopen.html", case_id, typed, 409, f"{error}. Your text is kept.")
        return self._done(request, person, case_id, "reopened")

    def resubmit(self, request: Request, person: Person, form: FormData) -> Response:
        """Send a quarantined alert in again."""
        ident = number_of(request, "ident")
        self.commands.resubmit(ident, person.name)
        return RedirectResponse(f"{request.scope.get('root_path', '')}/sources?done={ident}", 303)

    def _again(
        self, request: Request, person: Person, form: str, case_id: str, typed: dict[str, str], code: int, problem: str
    ) -> Response:
        """The form again with everything that was typed, and why."""
        with reading(self.pages.engine) as conn:
            row = read_case.case_row(conn, case_id)
        text = problem or _what_changed(row.owner, words.STATUSES[row.status], row.disposed_by)
        return self.pages.form(request, person, form, row, status_code=code, problem=text, typed=typed)

    def _done(self, request: Request, person: Person, case_id: str, what: str) -> Response:
        if "hx-request" not in request.headers:
            return RedirectResponse(f"{request.scope.get('root_path', '')}/cases/{case_id}", 303)
        with reading(self.pages.engine) as conn:
            row = read_case.case_row(conn, case_id)
        response = self.pages.form(request, person, "done.html", row, typed={"what": what})
        response.headers["hx-trigger"] = '{"case:done": "' + what + '"}'
        return response


def field_of(form: FormData, name: str) -> str:
    """A field's text, trimmed and bounded; "" when it is missing."""
    value = form.get(name, "")
    return value.strip()[:REASON_CHARS_MAX] if isinstance(value, str) else ""


def _wrong(typed: dict[str, str]) -> str:
    """The first thing missing, in words; "" when the form can be sent on."""
    if typed["disposition"] not in list(Disposition):
        return "Choose what you found."
    if not typed["reason"]:
        return "Give a reason: it goes into the record, and the next person learns from it."
    if not typed["version"].isdecimal() or len(typed["version"]) > 18:
        return "The form was not complete; open the case again."
    return ""


def _what_changed(owner: str, status: str, disposed_by: str) -> str:
    who = f" by {disposed_by}" if disposed_by else ""
    held = f", owned by {owner}" if owner else ""
    return (
        f"The case changed while you were writing: it is now {status}{who}{held}. Your text is kept; look, then send again."
    )
