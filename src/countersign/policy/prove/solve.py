"""Two solvers by different people, asked the same script. Only two times ``unsat`` is a proof."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from typing import Any

from countersign.errors import EnvironmentFault, VerificationError
from countersign.policy.prove.world import Seen

TIMEOUT_MS = 20_000


def versions() -> dict[str, str]:
    """Version of each. Raises EnvironmentFault without the extra."""
    return {"z3": _load("z3").get_version_string(), "cvc5": str(_load("cvc5").__version__)}


def z3_answer(script: str, seen: Iterable[Seen]) -> tuple[str, dict[str, int | bool]]:
    """(``sat``, ``unsat`` or ``unknown``; the model's values of what is seen, by name)."""
    z3 = _load("z3")
    solver = z3.Solver()
    solver.set("timeout", TIMEOUT_MS)
    solver.from_string(script)
    said = str(solver.check())
    if said != "sat":
        return said, {}
    model = solver.model()
    values = {str(one): model[one] for one in model.decls() if one.arity() == 0}
    found: dict[str, int | bool] = {}
    for one in seen:
        for name in (one.name, f"{one.name}_of"):
            if name in values:
                found[name] = values[name].as_long() if z3.is_int_value(values[name]) else bool(z3.is_true(values[name]))
    return said, found


def cvc5_answer(script: str) -> str:
    """``sat``, ``unsat`` or ``unknown``."""
    cvc5 = _load("cvc5")
    manager = cvc5.TermManager()
    solver = cvc5.Solver(manager)
    solver.setOption("tlimit-per", str(TIMEOUT_MS))
    symbols = cvc5.SymbolManager(manager)
    parser = cvc5.InputParser(solver, symbols)
    parser.setStringInput(cvc5.InputLanguage.SMT_LIB_2_6, script, "policy")
    said = "unknown"
    while True:
        command = parser.nextCommand()
        if command.isNull():
            return said
        answer = command.invoke(solver, symbols).strip()
        if answer in ("sat", "unsat", "unknown"):
            said = answer
        elif answer:
            raise VerificationError(f"cvc5 refuses the script: {answer}", where="policy prove")


def _load(name: str) -> Any:  # noqa: ANN401 - a module without types
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise EnvironmentFault(
            f"{name} is not installed", where="policy prove", todo="install countersign[prove]"
        ) from error
