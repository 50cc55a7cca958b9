"""The one engine that decides everything which may be refused: Cedar, asked with typed requests.

Everything but ``Allow`` is deny. An evaluation error denies, whatever the decision, and is named. An entity that the request
names but does not bring along is refused before Cedar is asked: Cedar skips a ``forbid`` that cannot look it up. Policies
come in as text; they are parsed once, and answers are remembered on the exact content of the request.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Mapping
from typing import TypeAlias

import cedarpy
import msgspec

from countersign.errors import UsageError
from countersign.policy.texts import PolicyTexts, parsed_schema, title_of

REMEMBERED_MAX = 4096
Value: TypeAlias = "bool | int | str | tuple[Value, ...] | Mapping[str, Value]"
"""Integers and strings, truth, sets (tuples) and records."""


class Uid(msgspec.Struct, frozen=True):
    """An entity's name; never glued into text."""

    type: str
    id: str


class Request(msgspec.Struct, frozen=True):
    """Who wants to do what with what. entities: every entity named, with its attributes. context: what else is known; a fact
    that could not be established is left out."""

    principal: Uid
    action: str
    resource: Uid
    entities: Mapping[Uid, Mapping[str, Value]]
    context: Mapping[str, Value] = {}

    @property
    def content(self) -> bytes:
        """The exact content, as bytes to remember an answer by."""
        return _encode([self.principal, self.action, self.resource, list(self.entities.items()), self.context])


_encode = msgspec.msgpack.Encoder(order="sorted").encode


class Answer(msgspec.Struct, frozen=True):
    """allowed: only on Allow without any error. reasons: titles of the policies that decided. errors: what could not be
    evaluated, or what was wrong with the request."""

    allowed: bool
    reasons: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()

    @property
    def why(self) -> str:
        """One line."""
        if self.errors:
            return "; ".join(self.errors)
        return ", ".join(self.reasons) or ("allowed" if self.allowed else "no permit holds")


class PolicyEngine:
    """One policy set, ready to be asked. Raises ConfigError, naming file and line, when the texts are no policies."""

    def __init__(self, texts: PolicyTexts) -> None:
        self.texts = texts
        self.policies = texts.policies
        self.schema = parsed_schema(texts.schema)
        self._handle = texts.handle
        self._titles = {where: title_of(policy) for where, policy in self.policies.items()}
        self._remembered: OrderedDict[bytes, Answer] = OrderedDict()
        self.groups = _groups(texts.schema)

    @property
    def hash(self) -> str:
        """Hash of the set."""
        return self.texts.hash

    def decide(self, request: Request) -> Answer:
        """Whether the set allows it."""
        content = request.content
        known = self._remembered.get(content)
        if known is None:
            known = self._remembered[content] = self._ask(request)
            if len(self._remembered) > REMEMBERED_MAX:
                self._remembered.popitem(last=False)
        return known

    def determining(self, request: Request) -> tuple[str, ...]:
        """Where the policies stand (``file:line``) that determine the answer; none of a default deny."""
        return () if self._wrong(request) else tuple(ask(self._handle, request, self.schema).diagnostics.reasons)

    def _ask(self, request: Request) -> Answer:
        if wrong := self._wrong(request):
            return Answer(False, errors=(wrong,))
        try:
            said = ask(self._handle, request, self.schema)
        except (ValueError, TypeError, OverflowError) as error:
            return Answer(False, errors=(f"the request could not be put to the engine: {error}",))
        errors = tuple(said.diagnostics.errors)
        reasons = tuple(self._titles.get(one, one) for one in said.diagnostics.reasons)
        return Answer(said.decision is cedarpy.Decision.Allow and not errors, reasons, errors)

    def _wrong(self, request: Request) -> str:
        if request.action not in self.groups:
            return f"unknown action {request.action!r}"
        missing = [uid for uid in (request.principal, request.resource) if uid not in request.entities]
        return "; ".join(f"unknown entity {uid.type} {uid.id!r}" for uid in missing)


def _groups(schema: str) -> dict[str, frozenset[str]]:
    """Action → its own name and those of the groups that it is in, directly."""
    actions = json.loads(schema)[""]["actions"]
    return {name: frozenset([name, *(group["id"] for group in one.get("memberOf", ()))]) for name, one in actions.items()}


def ask(handle: cedarpy.PolicySet, request: Request, schema: cedarpy.Schema | None = None) -> cedarpy.AuthzResult:
    """Put a request to Cedar as it is; the schema checks request and entities first when given."""
    document: dict[str, object] = {
        "principal": _uid(request.principal),
        "action": {"type": "Action", "id": request.action},
        "resource": _uid(request.resource),
        "context": msgspec.json.encode(request.context).decode(),
    }
    entities = [{"uid": _uid(uid), "attrs": attributes, "parents": []} for uid, attributes in request.entities.items()]
    return cedarpy.is_authorized(document, handle, msgspec.json.encode(entities).decode(), schema)


def _uid(uid: Uid) -> dict[str, str]:
    return {"type": uid.type, "id": uid.id}


def require(engine: PolicyEngine, request: Request) -> Answer:
    """The answer, when it is yes. Raises UsageError that says what refused."""
    answer = engine.decide(request)
    if not answer.allowed:
        what, who = f"policy refuses {request.action}: {answer.why}", request.principal
        raise UsageError(what, where=f"{who.type} {who.id}", todo="see `countersign policy explain`")
    return answer
