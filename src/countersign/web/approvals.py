"""**Approvals**: what waits for people's signatures, one page for each from the very bytes that are signed, and its answers.

This room reaches approvals through the object that it is handed (``Approvals``) and through nothing else: it imports neither
what proposes nor what approves. An approval is a passkey's assertion over the bytes; a click alone approves nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import msgspec
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from countersign.actions.suggest import Asks
from countersign.errors import (
    ConflictError,
    CountersignError,
    EnvironmentFault,
    NotFoundError,
    UsageError,
    VerificationError,
)
from countersign.model.matters import Ceremony, Line, Pressed, Sheet
from countersign.web.pages import Pages, number_of, text_of
from countersign.web.session import Person
from countersign.web.writes import field_of

PART_CHARS_MAX = 8_192
_REFUSED = (ConflictError, UsageError, VerificationError, NotFoundError)


class Approvals(Protocol):
    """What the console may do about what waits for people."""

    @property
    def runs(self) -> Sequence[str]:
        """Actions that this site carries out."""
        ...

    @property
    def asks(self) -> Asks:
        """What this site asks of proposals."""
        ...

    def waiting(self) -> tuple[Line, ...]:
        """What can still be answered."""
        ...

    def ended(self) -> tuple[Line, ...]:
        """What was decided or ended last."""
        ...

    def of_case(self, case_id: str) -> tuple[Line, ...]:
        """Actions proposed for a case."""
        ...

    def sheet(self, number: int) -> Sheet:
        """One of them whole."""
        ...

    def troubles(self) -> tuple[str, ...]:
        """Messages that could not be delivered, in words."""
        ...

    def ceremony(self, number: int, person: str) -> Ceremony:
        """What a person's browser must have signed."""
        ...

    def approve_by_passkey(self, number: int, person: str, pressed: Pressed, reason: str) -> str:
        """Take an approval that a passkey signed."""
        ...

    def deny(self, number: int, person: str, reason: str) -> str:
        """Say no."""
        ...

    def propose_undo(self, number: int, person: str) -> int:
        """Put the undo of an action that was carried out before people."""
        ...

    def propose_draft(self, case_id: str, digest: str, person: str) -> int:
        """Put the suggested response of this draft before people."""
        ...


class ApprovalPages:
    """The doors of this page."""

    def __init__(self, pages: Pages, approvals: Approvals | None) -> None:
        self.pages = pages
        self._approvals = approvals

    @property
    def approvals(self) -> Approvals:
        """Raises EnvironmentFault where the console is served without them."""
        if self._approvals is None:
            raise EnvironmentFault("approvals are not open in this console", todo="use `countersign approvals`")
        return self._approvals

    # --- read -----------------------------------------------------------------------------------------------------

    def page(self, request: Request, person: Person) -> Response:
        """Everything that waits, and what ended last."""
        return self.pages.show("approvals.html", request, person, **self._list())

    def live(self, request: Request, person: Person) -> Response:
        """The part of it that changes; 204 while it has not."""
        values = self._list()
        if request.query_params.get("mark") == values["mark"]:
            return Response(status_code=204)
        return self.pages.show("approvals_live.html", request, person, **values)

    def _list(self) -> dict[str, Any]:
        waiting, ended, troubles = self.approvals.waiting(), self.approvals.ended(), self.approvals.troubles()
        newest = max((line.entry for line in (*waiting, *ended)), default=-1)
        mark = f"{newest}.{len(waiting)}.{sum(line.approvals for line in waiting)}.{len(troubles)}.{self.pages.warned()}"
        return {"waiting": waiting, "ended": ended, "troubles": troubles, "mark": mark}

    def one(self, request: Request, person: Person) -> Response:
        """One of them, from its canonical bytes."""
        return self.pages.show("approval.html", request, person, **self._one(request))

    def one_live(self, request: Request, person: Person) -> Response:
        """Its state; 204 while it has not changed."""
        values = self._one(request)
        if request.query_params.get("mark") == values["mark"]:
            return Response(status_code=204)
        return self.pages.show("approval_live.html", request, person, **values)

    def _one(self, request: Request) -> dict[str, Any]:
        sheet = self.approvals.sheet(number_of(request, "number"))
        mark = f"{sheet.line.state}.{len(sheet.given)}.{len(sheet.moved)}.{len(sheet.steps)}.{len(sheet.note)}"
        return {"sheet": sheet, "mark": mark}

    def approve_form(self, request: Request, person: Person) -> Response:
        """What is signed, once more, and the reason."""
        return self._form(request, person, "approve")

    def deny_form(self, request: Request, person: Person) -> Response:
        """The reason for a no."""
        return self._form(request, person, "deny")

    def withdraw_form(self, request: Request, person: Person) -> Response:
        """The reason why whoever asked takes it back."""
        self._own(request, person)
        return self._form(request, person, "withdraw")

    def undo_form(self, request: Request, person: Person) -> Response:
        """Ask before the undo is put before people."""
        return self._form(request, person, "undo")

    def undo(self, request: Request, person: Person, _form: FormData) -> Response:
        """Put the undo of an action before people; 409 when there is nothing to undo."""
        try:
            number = self.approvals.propose_undo(number_of(request, "number"), person.name)
        except _REFUSED as error:
            return self._form(request, person, "undo", problem=_sentence(error), code=409)
        return self._done(request, person, number, "waits for approval by others")

    def ceremony(self, request: Request, person: Person) -> Response:
        """What the browser hands to the authenticator, as JSON; a refusal as JSON too."""
        try:
            asked = self.approvals.ceremony(number_of(request, "number"), person.name)
        except _REFUSED as error:
            return JSONResponse({"problem": _sentence(error)}, status_code=409)
        return JSONResponse(msgspec.to_builtins(asked))

    def propose_form(self, request: Request, person: Person) -> Response:
        """One suggested response, to be put before people."""
        return self._proposal(request, person, request.query_params.get("draft", "")[:64])

    # --- write ----------------------------------------------------------------------------------------------------

    def approve(self, request: Request, person: Person, form: FormData) -> Response:
        """Take a passkey's approval; 422 without a reason, 409 when it does not count. What was typed stays."""
        reason = field_of(form, "reason")
        if not reason:
            return self._form(request, person, "approve", problem="Give a reason: it goes into the ledger.", code=422)
        pressed = Pressed(**{name: _part(form, name) for name in Pressed.__struct_fields__})
        if not pressed.signature:
            problem = "Nothing was signed: approving takes your passkey, and a browser that runs scripts."
            return self._form(request, person, "approve", typed=reason, problem=problem, code=422)
        number = number_of(request, "number")
        try:
            said = self.approvals.approve_by_passkey(number, person.name, pressed, reason)
        except _REFUSED as error:
            return self._form(request, person, "approve", typed=reason, problem=_sentence(error), code=409)
        return self._done(request, person, number, said)

    def deny(self, request: Request, person: Person, form: FormData) -> Response:
        """Say no; 422 without a reason, 409 when there is nothing to answer any more."""
        return self._deny(request, person, form, "deny")

    def _deny(self, request: Request, person: Person, form: FormData, name: str) -> Response:
        reason, number = field_of(form, "reason"), number_of(request, "number")
        if not reason:
            return self._form(request, person, name, problem="Give a reason: it goes into the ledger.", code=422)
        try:
            said = self.approvals.deny(number, person.name, reason)
        except _REFUSED as error:
            return self._form(request, person, name, typed=reason, problem=_sentence(error), code=409)
        return self._done(request, person, number, said)

    def withdraw(self, request: Request, person: Person, form: FormData) -> Response:
        """Take back what one asked for."""
        self._own(request, person)
        return self._deny(request, person, form, "withdraw")

    def _own(self, request: Request, person: Person) -> None:
        if self.approvals.sheet(number_of(request, "number")).line.asked_by_person != person.id:
            raise ConflictError("somebody else asked for this", where="approvals", todo="only they can take it back")

    def propose(self, request: Request, person: Person, form: FormData) -> Response:
        """Put a suggested response before people; 409 when it reads differently by now, or waits already."""
        draft = field_of(form, "draft")[:64]
        try:
            number = self.approvals.propose_draft(text_of(request, "case_id"), draft, person.name)
        except _REFUSED as error:
            return self._proposal(request, person, draft, problem=_sentence(error), code=409)
        return self._done(request, person, number, "waits for approval by others")

    # --- answers --------------------------------------------------------------------------------------------------

    def _form(
        self, request: Request, person: Person, name: str, *, typed: str = "", problem: str = "", code: int = 200
    ) -> Response:
        sheet = self.approvals.sheet(number_of(request, "number"))
        return self._shown(request, person, f"{name}_form.html", code=code, sheet=sheet, typed=typed, problem=problem)

    def _proposal(self, request: Request, person: Person, draft: str, *, problem: str = "", code: int = 200) -> Response:
        case_id = text_of(request, "case_id")
        found = [one for one in self.pages.suggested(case_id) if draft and one.digest == draft]
        values = {"case_id": case_id, "response": found[0] if found else None, "problem": problem}
        return self._shown(request, person, "propose_form.html", code=code, **values)

    def _shown(self, request: Request, person: Person, form: str, *, code: int, **values: Any) -> Response:  # noqa: ANN401
        outer = form if "hx-request" in request.headers else "approval_form_page.html"
        return self.pages.show(outer, request, person, code=code, form=form, **values)

    def _done(self, request: Request, person: Person, number: int, said: str) -> Response:
        if "hx-request" not in request.headers:
            return RedirectResponse(f"{request.scope.get('root_path', '')}/approvals/{number}", 303)
        response = self.pages.show("approval_done.html", request, person, number=number, said=said)
        response.headers["hx-trigger"] = '{"case:done": "answered"}'
        return response


def _part(form: FormData, name: str) -> str:
    value = form.get(name, "")
    return value[:PART_CHARS_MAX] if isinstance(value, str) else ""


def _sentence(error: CountersignError) -> str:
    text = f"{error.what[:1].upper()}{error.what[1:]}"
    return f"{text}; {error.todo}." if error.todo else f"{text}."
