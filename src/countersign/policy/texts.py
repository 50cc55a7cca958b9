"""Policy files as text: parsed, checked against the schema, named by one hash. Errors name file and line.

Cedar's own errors give no line, so each file is first split into its statements; a statement's first line is what an error,
a reason and a counterexample name (``close.cedar:4``).
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Iterator, Mapping
from functools import cached_property

import cedarpy
import msgspec
from cedarpy import pst

from countersign.errors import ConfigError, CountersignError

CONDITIONS = "conditions"
"""Annotation that names the ``when`` and ``unless`` clauses of a policy, in order."""
_TOKEN = re.compile(r'//[^\n]*|"(?:\\.|[^"\\])*"|;|\n|[^\s]', re.DOTALL)
_NAMES = re.compile(r"[a-z][a-z0-9_]*(?: [a-z][a-z0-9_]*)*")


@dataclasses.dataclass(frozen=True)
class PolicyTexts:
    """A policy set: file name → text, and the schema (Cedar's JSON form) that it is written for."""

    files: Mapping[str, str]
    schema: str

    @cached_property
    def hash(self) -> str:
        """SHA-256 (hex) of every file, by name, and of the schema."""
        return hashlib.sha256(msgspec.json.encode([self.schema, sorted(self.files.items())])).hexdigest()

    @cached_property
    def policies(self) -> Mapping[str, pst.Template]:
        """``file:line`` → policy. Raises ConfigError that names file and line."""
        return {where: dataclasses.replace(_parsed(text, where), id=where) for where, text in self.statements}

    @cached_property
    def statements(self) -> tuple[tuple[str, str], ...]:
        """(``file:line``, text) of each policy, each place once: a second policy on a line is ``file:line.2``."""
        found: dict[str, str] = {}
        for file in sorted(self.files):
            for line, text in statements(self.files[file]):
                where, more = f"{file}:{line}", 1
                while where in found:
                    more += 1
                    where = f"{file}:{line}.{more}"
                found[where] = text
        return tuple(found.items())

    @cached_property
    def handle(self) -> cedarpy.PolicySet:
        """Parsed for the engine; ids are ``file:line``."""
        return handle(self.policies)


def handle(policies: Mapping[str, pst.Template]) -> cedarpy.PolicySet:
    """Policies by id, ready for the engine."""
    return cedarpy.PolicySet.from_pst(pst.PolicySet(pst.FrozenMap(), pst.FrozenMap(policies), ()))


def statements(text: str) -> Iterator[tuple[int, str]]:
    """(first line, text) of each policy. What follows the last ``;`` is one, too, unless it is empty."""
    line, start, begins = 1, 0, 0
    for token in _TOKEN.finditer(text):
        found = token.group()
        if found == "\n":
            line += 1
            continue
        if found.startswith("//"):
            start = token.end() if not begins else start
            continue
        begins = begins or line
        line += found.count("\n")
        if found == ";":
            yield begins, text[start : token.end()]
            start, begins = token.end(), 0
    if begins:
        yield begins, text[start:]


def _parsed(statement: str, where: str) -> pst.Template:
    try:
        found = cedarpy.policies_to_pst(statement)
    except ValueError as error:
        raise ConfigError(f"not Cedar: {error}", where=where, todo="correct the policy that begins here") from error
    if found.templates or len(found.static_policies) != 1:
        raise ConfigError("a template, or not one policy", where=where, todo="write plain permits and forbids")
    return next(iter(found.static_policies.values()))


def names_of(policy: pst.Template) -> tuple[str, ...]:
    """Names of the policy's clauses. Raises ConfigError when they are not as many as the clauses."""
    text = policy.annotations.get(CONDITIONS, "")
    names = tuple(text.split()) or tuple(f"clause_{i}" for i in range(1, len(policy.clauses) + 1))
    if len(names) != len(policy.clauses) or len(set(names)) != len(names) or (text and not _NAMES.fullmatch(text)):
        what = f"@{CONDITIONS} names {len(names)} clauses, the policy has {len(policy.clauses)}"
        raise ConfigError(what, where=policy.id, todo="name each when clause once, lower case, in order")
    return names


def title_of(policy: pst.Template) -> str:
    """The policy's ``@id``, else where it stands."""
    return str(policy.annotations.get("id") or policy.id)


def problems(texts: PolicyTexts) -> tuple[CountersignError, ...]:
    """Everything wrong with a set: syntax, names, and what the schema's strict validation says; each names file and line."""
    found: list[CountersignError] = []
    schema = parsed_schema(texts.schema)
    for where, statement in texts.statements:
        try:
            names_of(dataclasses.replace(_parsed(statement, where), id=where))
        except CountersignError as error:
            found.append(error)
            continue
        found += [
            ConfigError(str(said.error).replace("for policy `policy0`, ", ""), where=where, todo="see the schema")
            for said in cedarpy.validate_policies(statement, schema).errors
        ]
    return tuple(found)


def parsed_schema(text: str) -> cedarpy.Schema:
    """The engine's schema. Raises ConfigError."""
    try:
        return cedarpy.Schema.from_json_str(text)
    except ValueError as error:
        raise ConfigError(f"not a Cedar schema: {error}", where="schema", todo="use the one that ships") from error
