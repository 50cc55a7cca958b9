"""The proof of a policy set: for every request environment, whatever the set allows is allowed by the invariants as well.

A model that a solver finds is put to the real engine before it is reported: both sets are asked, and only if the engine
allows what the invariants do not is it a counterexample. If the engine disagrees, the encoding is wrong, and that is
said, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import cedarpy
import msgspec

from countersign.errors import VerificationError
from countersign.policy import conditions
from countersign.policy.engine import Request, Uid, Value, ask
from countersign.policy.prove import solve
from countersign.policy.prove.encode import Encoder
from countersign.policy.prove.schema import Environment, Schema
from countersign.policy.prove.values import conj, neg
from countersign.policy.prove.world import Seen, World
from countersign.policy.texts import PolicyTexts, parsed_schema, title_of


class Counterexample(msgspec.Struct, frozen=True):
    """A request that the set allows and the invariants do not. allowed_by: file:line of the permits. violates: conditions of
    the invariants that do not hold, as ``invariant: condition``. confirmed: the real engine says the same (always, or the
    proof raises)."""

    environment: str
    allowed_by: tuple[str, ...]
    violates: tuple[str, ...]
    request: Mapping[str, Any]
    confirmed: bool


class Proved(msgspec.Struct, frozen=True):
    """One environment. said: each solver's answer. script: what both were asked."""

    environment: str
    said: Mapping[str, str]
    script: str
    counterexample: Counterexample | None = None

    @property
    def holds(self) -> bool:
        """Both solvers found nothing."""
        return set(self.said.values()) == {"unsat"}


class Proof(msgspec.Struct, frozen=True):
    """All of them, for the set of this hash against the invariants of that one."""

    policy: str
    invariants: str
    solvers: Mapping[str, str]
    environments: tuple[Proved, ...]

    @property
    def proved(self) -> int:
        """How many environments hold."""
        return sum(one.holds for one in self.environments)

    @property
    def holds(self) -> bool:
        """All do, and there are some."""
        return 0 < self.proved == len(self.environments)

    @property
    def counterexamples(self) -> tuple[Counterexample, ...]:
        """Of those that do not."""
        return tuple(one.counterexample for one in self.environments if one.counterexample is not None)


def prove(texts: PolicyTexts, invariants: PolicyTexts, tick: Callable[[str], None] | None = None) -> Proof:
    """Raises VerificationError for a construct that the proof does not understand, for solvers that disagree, and for a
    model that the engine does not confirm; ConfigError for policies that cannot be parsed."""
    schema = Schema(texts.schema)
    versions = solve.versions()
    found = []
    for environment in schema.environments():
        found.append(_environment(schema, environment, texts, invariants))
        if tick is not None:
            tick(environment.name)
    return Proof(texts.hash, invariants.hash, versions, tuple(found))


def goal(world: World, texts: PolicyTexts, invariants: PolicyTexts) -> str:
    """Allowed by the set and not by the invariants."""
    encoder = Encoder(world)
    return conj(encoder.allows(texts.policies), neg(encoder.allows(invariants.policies)))


def _environment(schema: Schema, environment: Environment, texts: PolicyTexts, invariants: PolicyTexts) -> Proved:
    world = World(schema, environment)
    wanted = goal(world, texts, invariants)
    about = f"Environment {environment.name}: is there a request that policy {texts.hash} allows and the invariants do not?"
    script = world.script(wanted, about)
    seen = world.seen()
    first, model = solve.z3_answer(script, seen)
    said = {"z3": first, "cvc5": solve.cvc5_answer(script)}
    if "unknown" in said.values() or len(set(said.values())) > 1:
        raise VerificationError(f"the solvers do not agree: {said}", where=environment.name, todo="simplify the policies")
    if first == "unsat":
        return Proved(environment.name, said, script)
    request = read_request(world, model)
    return Proved(environment.name, said, script, _confirmed(environment, request, texts, invariants))


def _confirmed(environment: Environment, request: Request, texts: PolicyTexts, invariants: PolicyTexts) -> Counterexample:
    """Ask the real engine, request and entities checked against the schema."""
    schema = parsed_schema(texts.schema)
    by_set, by_invariants = (ask(one.handle, request, schema) for one in (texts, invariants))
    allowed = by_set.decision is cedarpy.Decision.Allow
    bound = by_invariants.decision is cedarpy.Decision.Allow
    if not allowed or bound:
        shown = msgspec.json.encode(document(request)).decode()
        what = f"a model is no counterexample for the engine ({by_set.decision.value}, {by_set.diagnostics.errors}): {shown}"
        raise VerificationError(what, where=environment.name, todo="report this: the encoding is wrong")
    reasons = tuple(sorted(by_set.diagnostics.reasons))
    return Counterexample(environment.name, reasons, _violated(environment, request, invariants), document(request), True)


def _violated(environment: Environment, request: Request, invariants: PolicyTexts) -> tuple[str, ...]:
    """Which conditions of the invariants do not hold, where any speaks of the action at all."""
    found: list[str] = []
    for policy in invariants.policies.values():
        if conditions.concerns(policy, Schema(invariants.schema).groups[environment.action], environment.principal):
            found += [
                f"{title_of(policy)}: {one.source}"
                for one in conditions.probes(policy)
                if conditions.outcome(one, request) != "held"
            ]
    return tuple(found) or (f"nothing allows {environment.action} to {environment.principal}",)


def read_request(world: World, model: Mapping[str, int | bool]) -> Request:
    """The request that a model describes."""
    names = {number: text for text, number in world.strings.items()}
    tree = _tree(world.seen(), model, lambda number: names.get(number, f"other {number}"))
    parties = {role: Uid(getattr(world, role).kind, str(tree[role]["id"])) for role in ("principal", "resource")}
    entities: dict[Uid, Mapping[str, Value]] = {}
    for (kind, text), node in _literals(world, tree).items():
        if node["exists"]:
            entities[Uid(kind, text)] = node.get("attrs", {})
    for role, uid in parties.items():
        if tree[role]["exists"]:
            entities[uid] = tree[role].get("attrs", {})
    return Request(parties["principal"], world.environment.action, parties["resource"], entities, tree.get("context", {}))


def _literals(world: World, tree: Mapping[str, Any]) -> dict[tuple[str, str], Mapping[str, Any]]:
    known = tree.get("literal", {})
    return {(kind, text): known[kind][world.string(text)] for kind, text in world.literals}


def _tree(seen: Iterable[Seen], model: Mapping[str, int | bool], text: Callable[[int], str]) -> dict[str, Any]:
    """Values by path: absent attributes left out, sets as tuples."""
    absent = {one.path for one in seen if one.kind == "present" and not model[one.name] and one.path[-1] != "exists"}
    root: dict[str, Any] = {}
    for one in seen:
        if any(one.path[: len(gone)] == gone for gone in absent):
            continue
        node = root
        for name in one.path[:-1]:
            node = node.setdefault(name, {})
        last, value = one.path[-1], model[one.name]
        if one.kind == "present":
            if last == "exists":
                node[last] = bool(value)
        elif one.kind == "set":
            node.setdefault(last, ())
        elif one.kind == "member":
            element = text(int(model[f"{one.name}_of"]))
            node[last] = (
                (*node.get(last, ()), element) if value and element not in node.get(last, ()) else node.get(last, ())
            )
        else:
            node[last] = text(int(value)) if one.kind == "str" else value
    return root


def document(request: Request) -> dict[str, Any]:
    """A request as JSON, in the form that ``policy explain --request`` reads."""
    entities = [{"uid": uid, "attrs": attributes} for uid, attributes in request.entities.items()]
    whole = {
        "principal": request.principal,
        "action": request.action,
        "resource": request.resource,
        "entities": entities,
        "context": request.context,
    }
    found: dict[str, Any] = msgspec.to_builtins(whole)
    return found
