"""The proof: the shipped set holds, holed sets do not, and the encoding agrees with the engine on anything."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterator

import cedarpy
import pytest

from countersign.errors import VerificationError
from countersign.policy.conditions import explain
from countersign.policy.engine import PolicyEngine, Request, Uid, ask
from countersign.policy.prove import solve
from countersign.policy.prove.encode import Encoder
from countersign.policy.prove.proof import goal, prove, read_request
from countersign.policy.prove.schema import Schema
from countersign.policy.prove.world import World
from countersign.policy.shipped import default_texts, invariants
from countersign.policy.texts import PolicyTexts, handle, parsed_schema
from tests.examples import examples

DEFAULT = default_texts()


def changed(file: str, *pairs: tuple[str, str]) -> PolicyTexts:
    text = DEFAULT.files[file]
    for old, new in pairs:
        assert old in text, old
        text = text.replace(old, new)
    return PolicyTexts({**DEFAULT.files, file: text}, DEFAULT.schema)


def added(text: str) -> PolicyTexts:
    return PolicyTexts({**DEFAULT.files, "extra.cedar": text}, DEFAULT.schema)


FIRST_IS_ANOTHER = (
    'when { context has first && context.first.by.type == "human" && context.first.by.id != context.requester.id }\n'
)
RUN = 'permit (principal is Agent, action == Action::"run", resource is Target)'
HOLES: dict[str, tuple[PolicyTexts, str]] = {
    "missing guard": (added(f"{RUN} when {{ !principal.killed && context.lease.task == context.task }};"), "run"),
    "guard only in a forbid": (
        added(f'{RUN};\nforbid (principal, action == Action::"run", resource) unless {{ context.first.verified }};'),
        "run",
    ),
    "unknown entity": (
        added(
            'permit (principal is Agent, action == Action::"read", resource is Source)'
            "when { context.lease.task == context.task };"
            'forbid (principal is Agent, action == Action::"read", resource) when { principal.killed };'
        ),
        "read",
    ),
    "optional attribute": (
        changed(
            "run.cedar",
            (
                "when { context has first && context.first.verified }",
                "when { !(context has first) || context.first.verified }",
            ),
            ("when { context has first }\n", ""),
            (
                FIRST_IS_ANOTHER,
                "",
            ),
            ("when { context has first && context.first.digest == context.digest }\n", ""),
            ("when { context has first && context.now_ms < context.first.expires_ms }\n", ""),
            ("when { context has first && !context.first.used }\n", ""),
        ),
        "run",
    ),
    "expired approval": (
        changed("run.cedar", ("when { context has first && context.now_ms < context.first.expires_ms }\n", "")),
        "run",
    ),
    "self-approval": (
        changed("approve.cedar", ("when { principal.id != resource.requester.id }\n", ""), ("requester ", "")),
        "approve",
    ),
    "one approver on a critical target": (
        changed("run.cedar", ("resource.criticality <= 3", "resource.criticality <= 4")),
        "run",
    ),
    "agent as approver": (changed("run.cedar", ('context.first.by.type == "human" && ', "")), "run"),
    "wrong digest": (
        changed("change.cedar", ("context.first.digest == resource.digest", "context.first.verified")),
        "change",
    ),
    "kill switch ignored": (changed("close.cedar", ("!context.stopped && ", "")), "close"),
}


def test_the_shipped_set_keeps_every_promise_in_every_environment() -> None:
    proof = prove(DEFAULT, invariants())
    assert proof.holds
    assert proof.proved == len(list(Schema(DEFAULT.schema).environments())) == 17
    assert all(one.said == {"z3": "unsat", "cvc5": "unsat"} for one in proof.environments)


@pytest.mark.parametrize("hole", HOLES)
def test_a_holed_set_is_refused_with_a_request_that_the_engine_lets_through(hole: str) -> None:
    texts, action = HOLES[hole]
    proof = prove(texts, invariants())
    assert not proof.holds
    assert proof.counterexamples
    for found in proof.counterexamples:
        assert found.environment.startswith(action)
        assert found.violates
        assert lets_through(texts, found.request)
        assert not lets_through(invariants(), found.request)


def lets_through(texts: PolicyTexts, document: object) -> bool:
    """Asked anew, of the library alone."""
    assert isinstance(document, dict)
    said = cedarpy.is_authorized(
        {
            "principal": document["principal"],
            "action": {"type": "Action", "id": document["action"]},
            "resource": document["resource"],
            "context": document["context"],
        },
        "\n".join(texts.files.values()),
        [one | {"parents": []} for one in document["entities"]],
        cedarpy.Schema.from_json_str(texts.schema),
    )
    return said.decision is cedarpy.Decision.Allow


def mutants() -> Iterator[tuple[str, PolicyTexts]]:
    """Every shipped permit without one of its clauses."""
    for where, policy in DEFAULT.policies.items():
        for i in range(len(policy.clauses) if policy.effect == "permit" else 0):
            kept = (*policy.clauses[:i], *policy.clauses[i + 1 :])
            less = dataclasses.replace(policy, clauses=kept, annotations=type(policy.annotations)())
            text = str(handle({**DEFAULT.policies, where: less}))
            yield f"{where} without clause {i + 1}", PolicyTexts({"all.cedar": text}, DEFAULT.schema)


HARMLESS = {
    *(f"close.cedar:3 without clause {i}" for i in (12, 13, 14)),
    "propose.cedar:3 without clause 2",
    "propose.cedar:3 without clause 4",
    "propose.cedar:13 without clause 1",
    "run.cedar:12 without clause 4",
    "change.cedar:2 without clause 1",
    "change.cedar:25 without clause 1",
}
"""Guards beyond the promises: a site may loosen these (its closes stay bounded by the evidence), and ones said twice."""


@pytest.mark.slow
@pytest.mark.parametrize(("name", "texts"), list(mutants()), ids=lambda one: one if isinstance(one, str) else "")
def test_every_guard_that_a_promise_rests_on_is_missed(name: str, texts: PolicyTexts) -> None:
    assert prove(texts, invariants()).holds == (name in HARMLESS)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ('permit (principal, action, resource) when { resource in Target::"x" || principal.hasTag("a") };', "has_tag"),
        ('permit (principal is Agent, action == Action::"read", resource) when { context.task like "a*" };', "like"),
        ('permit (principal, action, resource) when { ip("10.0.0.1").isLoopback() };', "is_loopback|the function ip"),
    ],
)
def test_what_the_proof_does_not_understand_raises(text: str, what: str) -> None:
    with pytest.raises(VerificationError, match=what):
        prove(added(text), invariants())


class Writer:
    """Random conditions over what the schema knows, right and wrong types alike."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)

    def truth(self, depth: int) -> str:
        d = self.draw
        if depth <= 0:
            return d.choice(
                [
                    "true",
                    "false",
                    "principal.killed",
                    "context.impactful",
                    "context has first",
                    "context has second",
                    "context.first.used",
                    "context has first.by",
                    "principal has killed",
                    "context.second.verified",
                    "context.zz",
                    'principal == Agent::"a"',
                    'Agent::"b".killed',
                    "resource is Target",
                    "principal is Person",
                    "principal.operations.isEmpty()",
                    'action in Action::"change"',
                    "context.first == context.second",
                    'context.requester == {type: "human", id: "p"}',
                    'resource in [Target::"t", Target::"u"]',
                ]
            )
        kind = d.randrange(8)
        if kind == 0:
            return f"!({self.truth(depth - 1)})"
        if kind in (1, 2):
            return f"(({self.truth(depth - 1)}) {d.choice(['&&', '||'])} ({self.truth(depth - 1)}))"
        if kind == 3:
            return f"(if {self.truth(depth - 1)} then {self.truth(depth - 1)} else {self.truth(depth - 1)})"
        if kind == 4:
            return f"(({self.long(depth)}) {d.choice(['<', '<=', '>', '>=', '==', '!='])} ({self.long(depth)}))"
        if kind == 5:
            return f"(({self.text()}) {d.choice(['==', '!='])} ({self.text()}))"
        if kind == 6:
            return f"{self.set()}.{d.choice(['containsAll', 'containsAny'])}({self.set()})"
        return f"{self.set()}.contains({self.text()})"

    def long(self, depth: int) -> str:
        d = self.draw
        if depth <= 0 or d.random() < 0.5:
            return d.choice(
                [
                    "0",
                    "3",
                    "-1",
                    "9223372036854775807",
                    "resource.criticality",
                    "context.now_ms",
                    "context.first.expires_ms",
                    "context.lease.expires_ms",
                ]
            )
        return f"({self.long(depth - 1)} {d.choice(['+', '-'])} {self.long(depth - 1)})"

    def text(self) -> str:
        return self.draw.choice(
            ['"a"', '"human"', "context.task", "context.first.by.id", "context.requester.id", "resource.name"]
        )

    def set(self) -> str:
        return self.draw.choice(["principal.operations", '["a", "human"]', '["a", context.task]', 'Agent::"b".operations'])


def policies_of(seed: int) -> PolicyTexts:
    write = Writer(seed)
    heads = [f'{effect} (principal, action == Action::"run", resource)' for effect in ("permit", "permit", "forbid")]
    text = "\n".join(f"{head} {write.draw.choice(['when', 'unless'])} {{ {write.truth(3)} }};" for head in heads)
    return PolicyTexts({"random.cedar": text}, DEFAULT.schema)


NOTHING = PolicyTexts({"none.cedar": "forbid (principal, action, resource);"}, DEFAULT.schema)
EVERYTHING = PolicyTexts({"all.cedar": "permit (principal, action, resource);"}, DEFAULT.schema)


@pytest.mark.parametrize("seed", range(examples(60)))
def test_a_model_of_a_random_set_is_what_the_engine_says(seed: int) -> None:
    """Both ways: a request that is allowed, and one that is not, as the solver sees it; each put to the engine."""
    schema = Schema(DEFAULT.schema)
    environment = next(one for one in schema.environments() if one.action == "run")
    texts = policies_of(seed)
    found = 0
    for wanted, first, second in ((True, texts, NOTHING), (False, EVERYTHING, texts)):
        world = World(schema, environment)
        script = world.script(goal(world, first, second), "random")
        said, model = solve.z3_answer(script, world.seen())
        assert said == solve.cvc5_answer(script) != "unknown"
        if said == "sat":
            decision = ask(texts.handle, read_request(world, model), parsed_schema(DEFAULT.schema)).decision
            assert (decision is cedarpy.Decision.Allow) == wanted
            found += 1
    assert found  # some request is allowed or not


@pytest.mark.parametrize("seed", range(examples(60)))
def test_random_requests_are_answered_by_the_encoding_as_by_the_engine(seed: int) -> None:
    """A request is pinned down in the script; the encoding must say what the engine says."""
    schema = Schema(DEFAULT.schema)
    environment = next(one for one in schema.environments() if one.action == "run")
    texts, draw = policies_of(seed), random.Random(seed + 1000)
    for _ in range(5):
        request = random_request(draw)
        allowed = ask(texts.handle, request, parsed_schema(DEFAULT.schema)).decision is cedarpy.Decision.Allow
        world = World(schema, environment)
        allows = Encoder(world).allows(texts.policies)
        for word in WORDS:  # every element that a set of the request may hold is named
            world.name_element("str", world.string(word))
        script = world.script(allows, "pinned").replace("(check-sat)", "\n".join([*pinned(world, request), "(check-sat)"]))
        assert solve.z3_answer(script, ())[0] == ("sat" if allowed else "unsat")


WORDS = ["a", "human", "p", "q"]


def random_request(draw: random.Random) -> Request:
    text = lambda: draw.choice(WORDS)  # noqa: E731
    long = lambda: draw.choice([-1, 0, 1, 3, 4, 2**63 - 1])  # noqa: E731
    truth = lambda: draw.random() < 0.5  # noqa: E731
    actor = lambda: {"type": text(), "id": text()}  # noqa: E731
    approval = lambda: {  # noqa: E731
        "by": actor(),
        "digest": text(),
        "expires_ms": long(),
        "used": truth(),
        "verified": truth(),
    }
    some = lambda: tuple(sorted({text() for _ in range(draw.randrange(3))}))  # noqa: E731
    agent, target = Uid("Agent", draw.choice("ab")), Uid("Target", draw.choice("tv"))
    store = {
        agent: {"id": text(), "killed": truth(), "operations": some()},
        target: {"name": text(), "kind": text(), "criticality": long()},
    }
    if truth():
        store[Uid("Agent", "b")] = {"id": text(), "killed": truth(), "operations": some()}
    for uid in (agent, target):
        if draw.random() < 0.2:
            del store[uid]
    context = {
        "impactful": truth(),
        "now_ms": long(),
        "task": text(),
        "digest": text(),
        "requester": actor(),
        "lease": {"task": text(), "operation": text(), "resource": text(), "expires_ms": long()},
    }
    context |= {name: approval() for name in ("first", "second") if truth()}
    return Request(agent, "run", target, store, context)


def pinned(world: World, request: Request) -> Iterator[str]:
    """Assertions that leave the solver nothing to choose."""
    parties = {"principal": request.principal, "resource": request.resource}
    for one in world.seen():
        root, *rest = one.path
        uid = parties.get(root)
        if root == "literal":
            kind, number, *rest = rest
            names = {str(n): text for text, n in world.strings.items()}
            uid = Uid(kind, names[number])
        if rest == ["id"] and uid is not None:
            yield f"(assert (= {one.term} {world.string(uid.id)}))"
            continue
        if uid is not None and rest == ["exists"]:
            yield f"(assert (= {one.term} {str(uid in request.entities).lower()}))"
            continue
        value: object = request.context if uid is None else request.entities.get(uid)
        for name in rest if uid is None else rest[1:]:
            value = value.get(name) if isinstance(value, dict) else None
        if one.kind == "present" and one.term == "true":  # required: there whenever what it belongs to is
            continue
        if one.kind == "present":
            yield f"(assert (= {one.term} {str(value is not None).lower()}))"
        elif value is None or one.kind == "set":
            continue
        elif one.kind == "member":
            assert isinstance(value, tuple)
            inside = " ".join(f"(= {one.element} {world.string(item)})" for item in value)
            yield f"(assert (= {one.term} (or false {inside})))"
        else:
            told = (
                world.string(str(value)) if one.kind == "str" else str(value).lower() if isinstance(value, bool) else value
            )
            yield f"(assert (= {one.term} {told if not str(told).startswith('-') else f'(- {str(told)[1:]})'}))"


def test_explain_says_what_a_counterexample_gets_away_with() -> None:
    texts, _ = HOLES["expired approval"]
    found = prove(texts, invariants()).counterexamples[0].request
    entities = {Uid(**one["uid"]): one["attrs"] for one in found["entities"]}
    request = Request(Uid(**found["principal"]), "run", Uid(**found["resource"]), entities, found["context"])
    failed = {
        one.name
        for one in explain(PolicyEngine(DEFAULT), request)
        if one.policy == "run-impactful" and one.outcome != "held"
    }
    assert failed == {"in_time"}
