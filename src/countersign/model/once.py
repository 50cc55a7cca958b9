"""Encode once what comes again: many findings share one decision, and many decisions one list of conditions."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

REMEMBERED_MAX = 4_096


class Once:
    """An encoder that remembers, by identity, what it encoded. For values that never change; those that it remembers stay
    alive, so that no other can take their place in memory."""

    def __init__(self, encode: Callable[[object], bytes]) -> None:
        self._encode = encode
        self._known: dict[int, tuple[object, msgspec.Raw]] = {}

    def __call__(self, value: object) -> msgspec.Raw:
        """The value as the encoder writes it. Raises what the encoder raises."""
        found = self._known.get(id(value))
        if found is not None:
            return found[1]
        made = msgspec.Raw(self._encode(value))
        if len(self._known) >= REMEMBERED_MAX:
            self._known = {}
        self._known[id(value)] = (value, made)
        return made
