"""MITRE ATT&CK names and ids as tools write them: ``Defense Evasion``, ``defense-evasion``, ``Defense_Evasion``,
``TA0005``."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import wraps

from countersign.model.attack import tactic_id_from_name

_TACTIC_ID = re.compile(r"TA\d{4}", re.ASCII)
_TECHNIQUE_ID = re.compile(r"T\d{4}(?:\.\d{3})?", re.ASCII)
_MOST = 32
_CHARS_MAX = 200
_REMEMBERED_MAX = 4096
_REMEMBERED_CHARS_MAX = 1024
_Ids = Callable[[tuple[str, ...]], tuple[str, ...]]


def _remembered(find: _Ids) -> _Ids:
    """The same, with short lists remembered, as rules name the same few again and again. A long one stays out of the memory,
    which must never hold megabytes of a sender's choosing."""
    known: dict[tuple[str, ...], tuple[str, ...]] = {}

    @wraps(find)
    def ids(names: tuple[str, ...]) -> tuple[str, ...]:
        found = known.get(names)
        if found is None:
            found = find(names)
            if len(names) <= _MOST and sum(map(len, names)) <= _REMEMBERED_CHARS_MAX:
                if len(known) >= _REMEMBERED_MAX:
                    known.clear()
                known[names] = found
        return found

    return ids


@_remembered
def tactic_ids(names: tuple[str, ...]) -> tuple[str, ...]:
    """Tactic ids of names or ids, each once, in order; names that ATT&CK does not know are left out."""
    found = (_tactic(name[:_CHARS_MAX]) for name in names[:_MOST])
    return tuple(dict.fromkeys(ident for ident in found if ident))


def _tactic(name: str) -> str:
    if match := _TACTIC_ID.search(name.upper()):
        return match.group()
    return tactic_id_from_name(name)


@_remembered
def technique_ids(names: tuple[str, ...]) -> tuple[str, ...]:
    """Technique ids (``T1110.001``) found in the texts, each once, in order."""
    found = (match for name in names[:_MOST] for match in _TECHNIQUE_ID.findall(name[:_CHARS_MAX].upper()))
    return tuple(dict.fromkeys(found))
