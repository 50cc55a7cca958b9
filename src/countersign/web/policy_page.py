"""**Policy**: what decides, who put it there, what proved it. Read only: another policy takes two people's signatures."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from countersign.store import read_policies
from countersign.store.engine import reading
from countersign.web.pages import Pages
from countersign.web.session import Person


@dataclass(frozen=True, slots=True)
class PolicyPage:
    """The door of this page."""

    pages: Pages

    def page(self, request: Request, person: Person) -> Response:
        """The set in force, policy by policy."""
        with reading(self.pages.engine) as conn:
            found = read_policies.in_force(conn)
        return self.pages.show("policy.html", request, person, policy=found)
