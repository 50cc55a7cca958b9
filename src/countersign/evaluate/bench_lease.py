"""What leases cost: minting, narrowing for a delegate, verifying a use, and all of it for one micro-batch. CPU time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from countersign.authority import grant
from countersign.authority import lease as leases
from countersign.authority.agents import AGENTS, Operation
from countersign.authority.terms import Lease, Revocations, Use
from countersign.enrich import LOOKUPS

NOW_MS = 1_700_000_000_000
TARGET_US = 1_000
"""No single step may cost more."""


def bench_lease(rounds: int) -> dict[str, Any]:
    """Median CPU microseconds of each step, over ``rounds``, with the resources that a micro-batch names."""
    root = leases.new_root_key()
    known = grant.Authority(root, leases.public_key(root), AGENTS, Revocations(frozenset(), NOW_MS))
    use = Use("batch-1", NOW_MS)
    names = tuple(grant.lookup(name) for name in LOOKUPS)
    parts = [
        grant.Part("enricher", Operation.LOOKUP, names),
        grant.Part("correlator", Operation.LINK, (grant.CASES,)),
        grant.Part("triage", Operation.DECIDE, (grant.FINDINGS,)),
    ]
    held = grant.take(known, use, "triage", parts)
    assert held.lease is not None  # noqa: S101 - minted under a key of our own
    whole, narrowed = held.lease, held.handed[0]

    def mint() -> Lease:
        operations = {part.operation for part in parts}
        resources = [*names, grant.CASES, grant.FINDINGS]
        terms = {"agent": "triage", "task": use.task, "operations": operations, "resources": resources}
        return leases.mint(root, now_ms=NOW_MS, expires_ms=NOW_MS + grant.LEASE_MS, **terms)  # type: ignore[arg-type]

    def attenuate() -> Lease:
        return leases.attenuate(whole, known.public, to="enricher", operations=[Operation.LOOKUP], resources=names)

    def verify() -> object:
        part = grant.Part("enricher", Operation.LOOKUP, names[:1])
        return grant.prove(known, narrowed, part, use)

    figures = {"mint": _us(mint, rounds), "attenuate": _us(attenuate, rounds), "verify": _us(verify, rounds)}
    worst = max(figures.values())
    return {
        **{f"{name}_cpu_us": value for name, value in figures.items()},
        "micro_batch_cpu_us": _us(lambda: grant.take(known, use, "triage", parts), rounds),
        "rounds": rounds,
        "target_us": TARGET_US,
        "met": "yes" if worst <= TARGET_US else "no",
    }


def _us(step: Callable[[], object], rounds: int) -> int:
    """Median CPU microseconds of one step."""
    took = []
    for _ in range(rounds):
        start = time.process_time_ns()
        step()
        took.append(time.process_time_ns() - start)
    return sorted(took)[rounds // 2] // 1_000
