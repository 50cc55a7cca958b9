"""The unknowns of one request environment: principal, resource, context, and what is in the entity store."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from countersign.policy.prove.schema import Environment, Schema, Type, unsupported
from countersign.policy.prove.values import (
    LONG_MAX,
    LONG_MIN,
    TRUE,
    Fields,
    Scalar,
    SetOf,
    Value,
    conj,
    disj,
    imp,
    neg,
    number,
)

_SORTS = {"bool": "Bool"}


@dataclass(frozen=True)
class Seen:
    """Something that a counterexample is read from. path: where it stands. kind: ``present``, ``bool``, ``long``, ``str`` or
    ``member`` (of the set at the path); element: the term asked about."""

    name: str
    path: tuple[str, ...]
    kind: str
    term: str
    element: str = ""


class World:
    """Declares what is unknown, once each, and collects what the formula must assume."""

    def __init__(self, schema: Schema, environment: Environment) -> None:
        self.schema, self.environment = schema, environment
        self.strings: dict[str, int] = {}
        self.declared: dict[str, str] = {}
        self.assumed: dict[str, None] = {}
        self._named: dict[str, dict[str, None]] = {}
        self._asked: list[tuple[str, str, SetOf, SetOf]] = []
        self._sets: list[tuple[tuple[str, ...], SetOf]] = []
        self._seen: dict[tuple[tuple[str, ...], str], str] = {}
        self.literals: dict[tuple[str, str], None] = {}
        self.principal = Scalar(environment.principal, self._constant("principal", "Int"))
        self.resource = Scalar(environment.resource, self._constant("resource", "Int"))
        self.context = self._unknown(environment.context, "context", "", ("context",))
        for party, role in ((self.principal, "principal"), (self.resource, "resource")):
            self._seen[(role, "id"), "str"] = party.term
            self.attributes(party)

    # -- strings and entities

    def string(self, text: str) -> str:
        """The number of a text."""
        return str(self.strings.setdefault(text, len(self.strings)))

    def literal(self, kind: str, ident: str) -> Scalar:
        """An entity that a policy names."""
        if kind not in self.schema.entities:
            raise unsupported(f"entity type {kind}")
        one = Scalar(kind, self.string(ident))
        if (kind, ident) not in self.literals:
            self.literals[kind, ident] = None
            self.attributes(one)
        return one

    def exists(self, entity: Scalar) -> str:
        """Whether the entity is in the store."""
        name = f"in_store_{entity.kind}"
        self.declared.setdefault(name, f"(declare-fun {name} (Int) Bool)")
        return f"({name} {entity.term})"

    def attributes(self, entity: Scalar) -> Fields:
        """What the store knows of an entity; presence stands apart (``exists``)."""
        role = self._role(entity)
        self._seen[(*role, "exists"), "present"] = self.exists(entity)
        shape = Type("record", attributes=self.schema.entities[entity.kind].attributes)
        found = self._unknown(shape, f"of_{entity.kind}", entity.term, (*role, "attrs"))
        return found if isinstance(found, Fields) else Fields()

    def _role(self, entity: Scalar) -> tuple[str, ...]:
        known = {self.principal.term: "principal"} if hasattr(self, "principal") else {}
        known |= {self.resource.term: "resource"} if hasattr(self, "resource") else {}
        return (known[entity.term],) if entity.term in known else ("literal", entity.kind, entity.term)

    # -- unknowns

    def _constant(self, name: str, sort: str) -> str:
        self.declared.setdefault(name, f"(declare-fun {name} () {sort})")
        return name

    def _apply(self, name: str, sort: str, of: str) -> str:
        """A constant, or a function of an entity."""
        name = re.sub(r"[^A-Za-z0-9_]", "_", name)
        if not of:
            return self._constant(name, sort)
        self.declared.setdefault(name, f"(declare-fun {name} (Int) {sort})")
        return f"({name} {of})"

    def _unknown(self, kind: Type, name: str, of: str, path: tuple[str, ...]) -> Value:
        if kind.kind == "record":
            return Fields(
                {n: self._field(t, needed, f"{name}_{n}", of, (*path, n)) for n, (t, needed) in kind.attributes.items()}
            )
        if kind.kind == "set":
            return self._set(kind, name, of, path)
        if kind.kind not in ("bool", "long", "str"):
            raise unsupported(f"an attribute of type {kind.name or kind.kind}", ".".join(path))
        term = self._apply(name, _SORTS.get(kind.kind, "Int"), of)
        if kind.kind == "long":
            self.assumed[f"(and (<= {number(LONG_MIN)} {term}) (<= {term} {number(LONG_MAX)}))"] = None
        self._seen[path, kind.kind] = term
        return Scalar(kind.kind, term)

    def _field(self, kind: Type, needed: bool, name: str, of: str, path: tuple[str, ...]) -> tuple[str, Value]:
        present = TRUE if needed else self._apply(f"{name}__present", "Bool", of)
        self._seen[path, "present"] = present
        return present, self._unknown(kind, name, of, path)

    def _set(self, kind: Type, name: str, of: str, path: tuple[str, ...]) -> SetOf:
        if kind.of is None or kind.of.kind not in ("str", "long"):
            raise unsupported("a set of anything but strings or integers", ".".join(path))
        name = re.sub(r"[^A-Za-z0-9_]", "_", name)
        self.declared.setdefault(name, f"(declare-fun {name} ({'Int ' if of else ''}Int) Bool)")
        before = f"{name} {of}" if of else name
        found = SetOf(kind.of.kind, lambda element: f"({before} {element})")
        self._sets.append((path, found))
        self._seen[path, "set"] = TRUE
        return found

    # -- questions about whole sets

    def name_element(self, kind: str, term: str) -> None:
        """An element that the formula names."""
        self._named.setdefault(kind, {})[term] = None

    def ask(self, question: str, left: SetOf, right: SetOf) -> str:
        """``subset``, ``meets`` or ``same``, answered over the universe once it is known."""
        name = f"asked_{len(self._asked)}"
        self._asked.append((name, question, left, right))
        witness = self._constant(f"witness_{len(self._asked)}", "Int")
        self.name_element(left.kind, witness)
        return name

    def _defined(self) -> Iterable[str]:
        for name, question, left, right in self._asked:
            pairs = [(left.has(e), right.has(e)) for e in self._named.get(left.kind, {})]
            body = {
                "subset": conj(*(imp(a, b) for a, b in pairs)),
                "meets": disj(*(conj(a, b) for a, b in pairs)),
                "same": conj(*(conj(imp(a, b), imp(b, a)) for a, b in pairs)),
            }[question]
            yield f"(define-fun {name} () Bool {body})"

    # -- out

    def seen(self) -> list[Seen]:
        """All that a counterexample consists of."""
        found = [(path, kind, term, "") for (path, kind), term in self._seen.items()]
        found += [
            (path, "member", one.has(element), element)
            for path, one in self._sets
            for element in self._named.get(one.kind, {})
        ]
        return [Seen(f"seen_{i}", path, kind, term, element) for i, (path, kind, term, element) in enumerate(found)]

    def script(self, goal: str, comment: str) -> str:
        """SMT-LIB: satisfiable exactly when the goal can be met."""
        lines = [f"; {line}" for line in comment.splitlines()]
        lines += [f"; {number_} is {text!r}" for text, number_ in self.strings.items()]
        lines += ["(set-option :produce-models true)", "(set-logic QF_UFLIA)", *self.declared.values()]
        lines += [f"(assert {one})" for one in self.assumed]
        lines += self._defined()
        for one in self.seen():
            for suffix, term, sort in ((one.name, one.term, None), (f"{one.name}_of", one.element, "Int")):
                if term:
                    kind = sort or ("Int" if one.kind in ("long", "str") else "Bool")
                    lines += [f"(declare-fun {suffix} () {kind})", f"(assert (= {suffix} {term}))"]
        lines += [f"(assert {goal})", "(check-sat)"]
        return "\n".join(lines) + "\n"


__all__ = ["Seen", "World", "neg"]
