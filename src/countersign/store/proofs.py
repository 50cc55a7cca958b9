"""Proofs of policy sets as documents and files: one SMT-LIB script per environment, for anybody's solver, and the result."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import msgspec

from countersign.errors import EnvironmentFault
from countersign.policy.prove import proof as proofs
from countersign.policy.prove.proof import Proof
from countersign.policy.shipped import invariants
from countersign.policy.texts import PolicyTexts

RESULT = "result.json"


def prove(texts: PolicyTexts) -> Proof:
    """Against the invariants that ship."""
    return proofs.prove(texts, invariants())


def document(proof: Proof) -> dict[str, Any]:
    """What ``policy prove --json`` prints, but for the time it took."""
    return {
        "environments": len(proof.environments),
        "proved": proof.proved,
        "refused": len(proof.environments) - proof.proved,
        "counterexamples": [msgspec.to_builtins(one) for one in proof.counterexamples],
        "policy": proof.policy,
        "invariants": proof.invariants,
        "solvers": dict(proof.solvers),
        "results": [
            {
                "environment": one.environment,
                "said": dict(one.said),
                "script_sha256": hashlib.sha256(one.script.encode()).hexdigest(),
            }
            for one in proof.environments
        ],
    }


def summary(proof: Proof) -> dict[str, str | int]:
    """What people sign and the ledger keeps: how many environments, by whom proved, and one digest of every script."""
    scripts = hashlib.sha256(b"".join(one.script.encode() for one in proof.environments)).hexdigest()
    solvers = ", ".join(f"{name} {version}" for name, version in sorted(proof.solvers.items()))
    return {
        "environments": len(proof.environments),
        "proved": proof.proved,
        "invariants": proof.invariants,
        "scripts": scripts,
        "solvers": solvers,
    }


def write(proof: Proof, result: dict[str, Any], folder: Path) -> Path:
    """Scripts and result into a folder of the set's own; returns it. Raises EnvironmentFault."""
    target = folder / proof.policy[:16]
    try:
        target.mkdir(parents=True, exist_ok=True)
        for one in proof.environments:
            _write(target / f"{one.environment}.smt2", one.script.encode())
        _write(target / RESULT, msgspec.json.format(msgspec.json.encode(result), indent=2))
    except OSError as error:
        raise EnvironmentFault(f"the proof cannot be written ({error.strerror})", where=str(target)) from error
    return target


def _write(path: Path, data: bytes) -> None:
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(data)
    os.replace(part, path)
