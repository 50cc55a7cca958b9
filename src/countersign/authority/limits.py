"""How often a sign-in may fail: a count for each address and each account, over a window that slides with the given time.

In memory and per process: whoever guesses must not be able to make the database write.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from threading import Lock

KEYS_MAX = 10_000
"""Least recently failing keys are forgotten beyond this."""


class Limit:
    """At most ``most`` failures of one key within ``window_ms``."""

    def __init__(self, most: int, window_ms: int) -> None:
        self._most = most
        self._window_ms = window_ms
        self._failures: OrderedDict[str, deque[int]] = OrderedDict()
        self._lock = Lock()

    def wait_ms(self, key: str, now_ms: int) -> int:
        """How long the key must wait; 0: it may try."""
        with self._lock:
            times = self._recent(key, now_ms)
            return times[0] + self._window_ms - now_ms if times is not None and len(times) >= self._most else 0

    def failed(self, key: str, now_ms: int) -> None:
        """Count one failure."""
        with self._lock:
            times = self._recent(key, now_ms)
            if times is None:
                times = self._failures[key] = deque(maxlen=self._most)
            times.append(now_ms)
            self._failures.move_to_end(key)
            if len(self._failures) > KEYS_MAX:
                self._failures.popitem(last=False)

    def passed(self, key: str) -> None:
        """Forget a key's failures: it has proved who it is."""
        with self._lock:
            self._failures.pop(key, None)

    def _recent(self, key: str, now_ms: int) -> deque[int] | None:
        times = self._failures.get(key)
        while times and times[0] + self._window_ms <= now_ms:
            times.popleft()
        return times
