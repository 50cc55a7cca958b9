"""**Agents**: who works here, what each may do at most, what it did lately, and the ways to stop it.

There is no way up here: adding an agent and lifting a kill switch take an approver's signature.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from countersign.errors import ConflictError, NotFoundError, UsageError
from countersign.store import read_agents
from countersign.store.engine import reading
from countersign.store.read_agents import Deed
from countersign.web.pages import Pages, text_of
from countersign.web.session import Person
from countersign.web.writes import Commands, field_of


@dataclass(frozen=True, slots=True)
class Act:
    """One thing that a person may do to an agent or a lease: what the form says and what it does."""

    title: str
    says: str
    button: str
    done: str


CONSEQUENCES = {
    "triage": "Alerts are taken in and wait: nothing is scored, linked or decided until it is resumed.",
    "correlator": "Alerts are taken in and wait: nothing is linked, and so nothing is decided, until it is resumed.",
    "enricher": "Every lookup counts as unavailable: nothing is closed by the agent, everything new goes to people.",
    "investigator": "Cases get no drafted summary and no suggested responses.",
    "responder": "No approved action is run.",
}
"""What a person should know before stopping one of the product's agents."""
ACTS = {
    "stop": Act(
        "Stop agent",
        "Its leases fail from the next check on, and after a restart too. To lift it takes an approver's signature.",
        "Stop",
        "is stopped",
    ),
    "retire": Act("Retire agent", "It gets no lease any more. Its name is not given again.", "Retire", "is retired"),
    "revoke": Act(
        "Revoke lease",
        "No use of it, nor of what was handed on from it, passes any more. The agent goes on with its other leases.",
        "Revoke",
        "is revoked",
    ),
}
_TOLD = {
    "agent.registered": "Registered",
    "agent.stopped": "Stopped",
    "agent.resumed": "Resumed",
    "agent.retired": "Retired",
    "lease.refused": "Refused",
}
_VERBS = {
    "evidence.lookup": "asks lookups",
    "case.link": "links findings into cases",
    "finding.decide": "records verdicts and decisions",
    "case.summarise": "drafts summaries",
    "action.propose": "suggests responses",
    "action.run": "runs approved actions",
}


def may(operations: str) -> list[tuple[str, str]]:
    """(operation, in words) of each that an agent may be allowed."""
    return [(one, _VERBS.get(one, "something that this version does not know")) for one in operations.split(" ")]


def said(deed: Deed) -> tuple[str, str]:
    """What happened and a detail, in words."""
    body = deed.body
    if deed.kind:
        by = f" by {deed.who}" if deed.who else ""
        detail = body.get("reason", "") if deed.kind != "agent.registered" else body.get("key", "")
        where = f"{detail}: {body['operation']} on {body['resource']}" if deed.kind == "lease.refused" else str(detail)
        return _TOLD[deed.kind] + by, where
    if body["since"]:
        return f"Helped {body['since']}", str(body["task"])
    alerts = body.get("alerts")
    return "Took on a task", f"{body['task']}, {alerts:,} to decide" if isinstance(alerts, int) else str(body["task"])


class Agents:
    """The doors of this page."""

    def __init__(self, commands: Commands, pages: Pages) -> None:
        self.pages = pages
        self._do: dict[str, Callable[[str, str, str], object]] = {
            "stop": commands.stop_agent,
            "retire": commands.retire_agent,
            "revoke": commands.revoke_lease,
        }

    def page(self, request: Request, person: Person) -> Response:
        """The whole page."""
        return self.pages.show("agents.html", request, person, **self._agents())

    def live(self, request: Request, person: Person) -> Response:
        """The part of it that changes; 204 while it has not."""
        with reading(self.pages.engine) as conn:
            mark = read_agents.mark(conn)
        if request.query_params.get("mark") == mark:
            return Response(status_code=204)
        return self.pages.show("agents_live.html", request, person, **self._agents())

    def _agents(self) -> dict[str, Any]:
        with reading(self.pages.engine) as conn:
            found = read_agents.views(conn, self.pages.clock.now_ms())
            mark = read_agents.mark(conn)
        return {"agents": found, "mark": mark, "may": may, "said": said, "consequences": CONSEQUENCES}

    def form(self, request: Request, person: Person) -> Response:
        """The form of one act."""
        return self._form(request, person, *self._named(request))

    def act(self, request: Request, person: Person, form: FormData) -> Response:
        """Do it; 422 without a reason, 409 when there is nothing to do any more. What was typed stays."""
        name, subject = self._named(request)
        reason, problem, code = field_of(form, "reason"), "Give a reason: it goes into the ledger.", 422
        if reason:
            try:
                self._do[name](subject, reason, person.name)
                return self._done(request, person, name, subject)
            except (ConflictError, UsageError) as error:
                problem, code = f"{error.what[:1].upper()}{error.what[1:]}.", 409
        return self._form(request, person, name, subject, typed=reason, problem=problem, code=code)

    @staticmethod
    def _named(request: Request) -> tuple[str, str]:
        name, subject = text_of(request, "act"), text_of(request, "subject")
        if name not in ACTS:
            raise NotFoundError("there is no such page", where=name[:20], todo="follow a link from the agents page")
        return name, subject

    def _form(
        self,
        request: Request,
        person: Person,
        name: str,
        about: str,
        *,
        typed: str = "",
        problem: str = "",
        code: int = 200,
    ) -> Response:
        says = ACTS[name].says
        if name == "stop" and about in CONSEQUENCES:
            says = f"{CONSEQUENCES[about]} {says}"
        values = {"act": ACTS[name], "says": says, "step": name, "subject": about, "typed": typed, "problem": problem}
        outer = "agent_form.html" if "hx-request" in request.headers else "agent_form_page.html"
        return self.pages.show(outer, request, person, code=code, **values)

    def _done(self, request: Request, person: Person, name: str, subject: str) -> Response:
        if "hx-request" not in request.headers:
            return RedirectResponse(f"{request.scope.get('root_path', '')}/agents", 303)
        response = self.pages.show("agent_done.html", request, person, act=ACTS[name], subject=subject)
        response.headers["hx-trigger"] = '{"case:done": "' + name + '"}'
        return response
