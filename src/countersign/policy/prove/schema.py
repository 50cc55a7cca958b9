"""The schema as the proof needs it: types of attributes, and every request environment. Anything unknown raises."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from countersign.errors import VerificationError


class UnsupportedError(VerificationError):
    """A construct that the proof does not understand: nothing is proved by accident."""

    code = "policy.unsupported"


def unsupported(what: str, where: str = "") -> UnsupportedError:
    """To be raised."""
    return UnsupportedError(f"the proof does not understand {what}", where=where, todo="write it another way")


@dataclass(frozen=True)
class Type:
    """kind: bool, long, str, set, record or entity. of: element of a set. attributes: name → (type, required). name: of an
    entity type."""

    kind: str
    of: Type | None = None
    attributes: Mapping[str, tuple[Type, bool]] = field(default_factory=dict)
    name: str = ""


_SIMPLE = {"String": Type("str"), "Long": Type("long"), "Boolean": Type("bool"), "Bool": Type("bool")}


@dataclass(frozen=True)
class Environment:
    """One kind of request: action, type of principal, type of resource, shape of the context."""

    action: str
    principal: str
    resource: str
    context: Type

    @property
    def name(self) -> str:
        """As artefacts and reports name it."""
        return f"{self.action}-{self.principal}-{self.resource}"


class Schema:
    """Cedar's JSON schema with one unnamed namespace, read. Raises UnsupportedError for what the proof does not know."""

    def __init__(self, text: str) -> None:
        spaces = json.loads(text)
        if set(spaces) != {""}:
            raise unsupported("named namespaces", "schema")
        self._space = spaces[""]
        self.entities = {name: self._shape(name, one) for name, one in self._space["entityTypes"].items()}
        self.groups = {name: self._groups(name) for name in self._space["actions"]}

    def environments(self) -> Iterator[Environment]:
        """Every one, in the order of the schema."""
        for action, one in self._space["actions"].items():
            applies = one.get("appliesTo")
            if applies is None:
                continue
            context = self._type(applies.get("context", {"type": "Record", "attributes": {}}))
            for principal in applies["principalTypes"]:
                for resource in applies["resourceTypes"]:
                    yield Environment(action, principal, resource, context)

    def _shape(self, name: str, one: Mapping[str, Any]) -> Type:
        if one.get("memberOfTypes") or one.get("tags"):
            raise unsupported("hierarchies and tags of entities", f"schema: {name}")
        shape = self._type(one["shape"]) if "shape" in one else Type("record")
        return Type("entity", attributes=shape.attributes, name=name)

    def _groups(self, name: str) -> frozenset[str]:
        """The action and every group that it is in."""
        found, left = {name}, [name]
        while left:
            for group in self._space["actions"][left.pop()].get("memberOf", ()):
                if group["id"] not in found:
                    found.add(group["id"])
                    left.append(group["id"])
        return frozenset(found)

    def _type(self, one: Mapping[str, Any]) -> Type:
        kind = one["type"]
        if kind in _SIMPLE:
            return _SIMPLE[kind]
        if kind == "Set":
            return Type("set", of=self._type(one["element"]))
        if kind == "Record":
            attributes = one.get("attributes", {}).items()
            return Type("record", attributes={n: (self._type(a), a.get("required", True)) for n, a in attributes})
        named = one.get("name", kind)
        if named in self._space.get("commonTypes", {}):
            return self._type(self._space["commonTypes"][named])
        raise unsupported(f"type {named}", "schema")
