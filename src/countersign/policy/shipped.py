"""The policy set, the schema and the invariants that ship with the product: constants of the package, read once."""

from __future__ import annotations

from functools import cache
from importlib import resources

from countersign.policy.engine import PolicyEngine
from countersign.policy.texts import PolicyTexts

ENDING = ".cedar"
SCHEMA = "countersign.cedarschema.json"
INVARIANTS = "invariants.cedar"


@cache
def default_texts() -> PolicyTexts:
    """The default set."""
    files = resources.files(__package__).joinpath("default").iterdir()
    return PolicyTexts({file.name: file.read_text("utf-8") for file in files if file.name.endswith(ENDING)}, schema())


@cache
def schema() -> str:
    """Cedar schema (JSON form)."""
    return resources.files(__package__).joinpath(SCHEMA).read_text("utf-8")


@cache
def invariants() -> PolicyTexts:
    """What no set may go beyond (P1-P3), as permits."""
    return PolicyTexts({INVARIANTS: resources.files(__package__).joinpath(INVARIANTS).read_text("utf-8")}, schema())


@cache
def default_engine() -> PolicyEngine:
    """The engine of the default set."""
    return PolicyEngine(default_texts())
