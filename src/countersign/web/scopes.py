"""**Autonomy**: what each scope may do alone, what that rests on, what is missing, and the ways down.

There is no way up here: a stage is raised by an approver's signature, on the approvals page or in the shell.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from countersign.autonomy.scopes import DEFAULT_SCOPES
from countersign.errors import ConflictError, NotFoundError, UsageError
from countersign.store import read_autonomy
from countersign.store.engine import reading
from countersign.web import charts, scope_words
from countersign.web.pages import Pages, text_of
from countersign.web.session import Person
from countersign.web.writes import Commands, field_of

EVERY = "all"
"""How the address names all scopes, which the kill switch calls ``*``."""


@dataclass(frozen=True, slots=True)
class Act:
    """One thing that a person may do to a scope: what the form says and what it does."""

    title: str
    says: str
    button: str
    done: str
    grave: bool = False


ACTS = {
    "stop": Act(
        "Stop",
        "The agent closes nothing here from the next batch on, nor after a restart. A scope that closes steps back to "
        "advise; lifting the switch does not raise it again.",
        "Stop",
        "is stopped",
        grave=True,
    ),
    "resume": Act(
        "Lift the kill switch for", "No stage changes: the agent may again do what its stage allows.", "Lift", "goes on"
    ),
    "acknowledge": Act(
        "Acknowledge the alarm of",
        "You have seen that the misses went above the limit. The stage stays where it fell; evidence has begun anew.",
        "Acknowledge",
        "is acknowledged",
    ),
}


class Scopes:
    """The doors of this page."""

    def __init__(self, commands: Commands, pages: Pages) -> None:
        self.pages = pages
        self._do: dict[str, Callable[[str, str, str], None]] = {
            "stop": commands.stop,
            "resume": commands.resume,
            "acknowledge": commands.acknowledge,
        }

    def page(self, request: Request, person: Person) -> Response:
        """The whole page."""
        return self.pages.show("autonomy.html", request, person, **self._scopes())

    def live(self, request: Request, person: Person) -> Response:
        """The part of it that changes; 204 while it has not."""
        with reading(self.pages.engine) as conn:
            mark = read_autonomy.mark(conn)
        if request.query_params.get("mark") == mark:
            return Response(status_code=204)
        return self.pages.show("autonomy_live.html", request, person, **self._scopes())

    def _scopes(self) -> dict[str, Any]:
        with reading(self.pages.engine) as conn:
            views = read_autonomy.scopes(conn, self.pages.clock.now_ms())
            predictions = read_autonomy.predictions(conn)
            mark = read_autonomy.mark(conn)
        return {
            "scopes": views,
            "bins": charts.bins(predictions),
            "answers": len(predictions),
            "mark": mark,
            "charts": charts,
            "scope_words": scope_words,
        }

    def form(self, request: Request, person: Person) -> Response:
        """The form of one act."""
        return self._form(request, person, *self._named(request))

    def act(self, request: Request, person: Person, form: FormData) -> Response:
        """Do it; 422 without a reason, 409 when there is nothing to do any more. What was typed stays."""
        name, scope = self._named(request)
        reason, problem, code = field_of(form, "reason"), "Give a reason: it goes into the ledger.", 422
        if reason:
            try:
                self._do[name]("*" if scope == EVERY else scope, reason, person.name)
                return self._done(request, person, name, scope)
            except (ConflictError, UsageError) as error:
                problem, code = f"{error.what[:1].upper()}{error.what[1:]}.", 409
        return self._form(request, person, name, scope, typed=reason, problem=problem, code=code)

    @staticmethod
    def _named(request: Request) -> tuple[str, str]:
        name, scope = str(request.path_params.get("act", "stop")), text_of(request, "scope")
        known = scope in DEFAULT_SCOPES or (scope == EVERY and name != "acknowledge")
        if name not in ACTS or not known:
            raise NotFoundError("there is no such scope", where=scope[:20], todo="follow a link from the autonomy page")
        return name, scope

    def _form(
        self, request: Request, person: Person, name: str, scope: str, *, typed: str = "", problem: str = "", code: int = 200
    ) -> Response:
        values = {"act": ACTS[name], "step": name, "scope": scope, "typed": typed, "problem": problem}
        outer = "scope_form.html" if "hx-request" in request.headers else "scope_form_page.html"
        return self.pages.show(outer, request, person, code=code, **values)

    def _done(self, request: Request, person: Person, name: str, scope: str) -> Response:
        if "hx-request" not in request.headers:
            return RedirectResponse(f"{request.scope.get('root_path', '')}/autonomy", 303)
        response = self.pages.show("scope_done.html", request, person, act=ACTS[name], scope=scope)
        response.headers["hx-trigger"] = '{"case:done": "' + name + '"}'
        return response
