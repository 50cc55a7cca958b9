"""What entries say of each other, beyond each being in form: judged in the order of the log, by whoever knows the rules.

A judge names the kinds that it must see whole. Of everything else that an agent wrote it is told who wrote how much under
which lease, so that a log of any length is judged in little time and memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

import msgspec

from countersign.ledger.findings import Problem
from countersign.model.entries import Entry


class Told(msgspec.Struct, frozen=True, gc=False):
    """An entry of a log. count: how many in a row say the same of kind, actor and time; when more than one may be meant
    (``whole`` is 0), subjects are left out, and of bodies all but ``asked``: the sources that decisions asked."""

    index: int
    entry: Entry
    count: int = 1
    whole: int = 1


class Opinion(msgspec.Struct, frozen=True):
    """What a judge has to say at the end. checked, unchecked: counts, by name. open: what was begun and has not ended yet,
    which is no problem. keys: whose signatures the log rests on, and on whose word they count."""

    checked: Mapping[str, int] = {}
    unchecked: Mapping[str, int] = {}
    open: tuple[Problem, ...] = ()
    keys: tuple[Key, ...] = ()


class Key(msgspec.Struct, frozen=True, gc=False):
    """A person's key that signed at least once. entry: its enrolment. by: on whose word it counts. signed: how often."""

    person: str
    fingerprint: str
    entry: int
    by: str
    signed: int


class Judge(Protocol):
    """Sees entries in their order, once."""

    kinds: frozenset[str]

    def problems(self, told: Told) -> Iterable[str]:
        """What is wrong with it."""
        ...

    def finish(self) -> Opinion:
        """What is left to say when all have been seen."""
        ...
