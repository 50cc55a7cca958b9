"""The conditions of a policy, each asked by itself: a probe policy per clause, put to the same engine (governance, 1).

A default deny names no reason; these answers are the *why* of every decision, and for closing they are the decision's
conditions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace

import cedarpy
import msgspec
from cedarpy import pst

from countersign.policy.engine import PolicyEngine, Request, ask
from countersign.policy.texts import handle, names_of, title_of

_COMPARISONS = {"less", "less_eq", "greater", "greater_eq", "eq", "not_eq"}


@dataclass(frozen=True)
class Probe:
    """One clause as a policy of its own. facts: names of the context's attributes that it reads. source: its text in
    Cedar. clause: its tree. forbids: it stands in a forbid, and holds when it does not apply. whole: it reads the context
    or a party as a whole. cuts: for facts that are only ever compared with numbers, these numbers: between two of them the
    engine cannot tell one value from another."""

    name: str
    facts: tuple[str, ...]
    optional: tuple[str, ...]
    source: str
    clause: pst.Clause
    handle: cedarpy.PolicySet
    forbids: bool = False
    whole: bool = False
    cuts: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


class Held(msgspec.Struct, frozen=True):
    """One condition of one policy for one request. outcome: held, failed or error. have: the values that it read. need: the
    condition in Cedar."""

    policy: str
    name: str
    outcome: str
    have: str
    need: str


def probes(policy: pst.Template) -> tuple[Probe, ...]:
    """The clauses of a permit."""
    return tuple(_probe(policy, name, clause) for name, clause in zip(names_of(policy), policy.clauses, strict=True))


def forbid_probe(policy: pst.Template) -> Probe:
    """A forbid as one condition, which holds when the forbid does not apply."""
    made = replace(policy, id="probe", effect="permit", annotations=pst.FrozenMap())
    whole = pst.FrozenMap({"probe": made})
    name = title_of(policy).replace("-", "_").replace(".", "_").replace(":", "_")
    clause = pst.When(pst.Record(pst.FrozenMap({str(i): one.expr for i, one in enumerate(policy.clauses)})))
    source = str(cedarpy.PolicySet.from_pst(pst.PolicySet(pst.FrozenMap(), whole, ()))).replace("permit", "not ", 1)
    return Probe(
        name, *_read(clause), " ".join(source.split()), clause, handle({"probe": made}), True, _whole(clause), _cuts(clause)
    )


def _probe(policy: pst.Template, name: str, clause: pst.Clause) -> Probe:
    made = pst.Template("probe", "permit", pst.ScopeAny(), pst.ScopeAny(), pst.ScopeAny(), (clause,), pst.FrozenMap())
    ready = handle({"probe": made})
    text = " ".join(str(ready).split())
    return Probe(
        name, *_read(clause), text[text.index(")") + 1 :].strip(" ;"), clause, ready, False, _whole(clause), _cuts(clause)
    )


def _read(clause: pst.Clause) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(attributes of the context that are read, those of them whose presence is asked)."""
    read: dict[str, None] = {}
    asked: dict[str, None] = {}
    for node in nodes(clause.expr):
        if isinstance(node, pst.GetAttr) and node.base == pst.Var("context"):
            read[node.attr] = None
        elif isinstance(node, pst.HasAttr) and node.base == pst.Var("context"):
            read[node.attrs[0]] = asked[node.attrs[0]] = None
    return tuple(read), tuple(asked)


def _whole(clause: pst.Clause) -> bool:
    """Whether a variable stands anywhere but before a dot or a ``has``."""
    found = list(nodes(clause.expr))
    bases = sum(isinstance(one, pst.GetAttr | pst.HasAttr) and isinstance(one.base, pst.Var) for one in found)
    return sum(isinstance(one, pst.Var) for one in found) > bases


def _cuts(clause: pst.Clause) -> dict[str, tuple[int, ...]]:
    """Numbers that a fact is compared with, for facts that occur nowhere else."""
    occurs: Counter[str] = Counter()
    compared: dict[str, list[int]] = {}
    for node in nodes(clause.expr):
        if isinstance(node, pst.GetAttr) and node.base == pst.Var("context"):
            occurs[node.attr] += 1
        if isinstance(node, pst.BinaryOp) and node.op in _COMPARISONS:
            for one, other in ((node.left, node.right), (node.right, node.left)):
                if isinstance(one, pst.GetAttr) and one.base == pst.Var("context") and isinstance(other, pst.LongLit):
                    compared.setdefault(one.attr, []).append(other.value)
    return {name: tuple(sorted(set(found))) for name, found in compared.items() if len(found) == occurs[name]}


def head(policy: pst.Template) -> cedarpy.PolicySet:
    """The policy without its conditions: whom and what it speaks of."""
    return handle({"head": replace(policy, id="head", effect="permit", clauses=(), annotations=pst.FrozenMap())})


def nodes(root: object) -> Iterator[object]:
    """Every node below and with ``root``."""
    stack = [root]
    while stack:
        value = stack.pop()
        if isinstance(value, tuple):
            stack.extend(value)
        elif isinstance(value, dict):
            stack.extend(value.values())
        elif is_dataclass(value) and not isinstance(value, type):
            yield value
            stack.extend(getattr(value, field.name) for field in fields(value))


def outcome(probe: Probe, request: Request) -> str:
    """``held``, ``failed`` or ``error``, by the engine."""
    said = ask(probe.handle, request)
    if said.diagnostics.errors:
        return "error"
    return "held" if (said.decision is cedarpy.Decision.Allow) != probe.forbids else "failed"


def explain(engine: PolicyEngine, request: Request) -> tuple[Held, ...]:
    """Every condition of every permit of the request's action and principal, and of every forbid."""
    found: list[Held] = []
    for policy in engine.policies.values():
        if not concerns(policy, engine.groups.get(request.action, ()), request.principal.type):
            continue
        asked = probes(policy) if policy.effect == "permit" else (forbid_probe(policy),)
        title = title_of(policy)
        found += [Held(title, one.name, outcome(one, request), have(one, request), one.source) for one in asked]
    return tuple(found)


def concerns(policy: pst.Template, action: Collection[str], principal: str) -> bool:
    """Whether the policy's head speaks of this action (its name and those of its groups) and type of principal."""
    scope = policy.action
    if isinstance(scope, pst.ActionEq) and scope.entity.id not in action:
        return False
    if isinstance(scope, pst.ActionIn) and not any(one.id in action for one in scope.entities):
        return False
    who = policy.principal
    if isinstance(who, pst.ScopeIs | pst.ScopeIsIn):
        return str(who.entity_type) == principal
    named = who.entity if isinstance(who, pst.ScopeEq) else None
    return not isinstance(named, pst.EntityUid) or str(named.type) == principal


def have(probe: Probe, request: Request) -> str:
    """The values that a condition reads, as text."""
    roots: dict[str, object] = {
        "context": request.context,
        "principal": request.entities.get(request.principal, {}),
        "resource": request.entities.get(request.resource, {}),
    }
    paths = sorted(set(_paths(probe.clause.expr)))
    whole = [path for path in paths if not any(other[: len(path)] == path and other != path for other in paths)]
    return ", ".join(f"{'.'.join(path)} = {shown(_at(roots, path))}" for path in whole) or "nothing is read"


def _paths(root: object) -> Iterator[tuple[str, ...]]:
    """Every path of attributes that is read: ``("context", "first", "by", "id")``."""
    for node in nodes(root):
        if isinstance(node, pst.GetAttr):
            path = _path(node)
        elif isinstance(node, pst.HasAttr):
            path = (*_path(node.base), *node.attrs)
        else:
            continue
        if len(path) > 1:
            yield path


def _path(node: object) -> tuple[str, ...]:
    if isinstance(node, pst.Var):
        return (node.name,)
    if isinstance(node, pst.GetAttr) and (base := _path(node.base)):
        return (*base, node.attr)
    return ()


def _at(roots: Mapping[str, object], path: tuple[str, ...]) -> object:
    value: object = roots
    for name in path:
        value = value.get(name, "not known") if isinstance(value, Mapping) else "not known"
    return value


def shown(value: object) -> str:
    """A value as short text, the same everywhere."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
