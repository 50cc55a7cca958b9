"""A thread beside a service that does a round every so often: what is slow there holds up neither alerts nor people."""

from __future__ import annotations

import threading

import structlog

from countersign.errors import CountersignError

log = structlog.get_logger()


class Rounds(threading.Thread):
    """Until stopped. name: how it is called in the log. every_s: seconds from the end of a round to the next."""

    def __init__(self, name: str, every_s: float) -> None:
        super().__init__(name=name, daemon=True)
        self._every_s = every_s
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._told = ""

    def once(self) -> None:
        """One round."""
        raise NotImplementedError

    def wake(self) -> None:
        """Have the next round begin at once."""
        self._wake.set()

    def stop(self) -> None:
        """End after the round in hand."""
        self._stopping.set()
        self._wake.set()
        self.join()

    def run(self) -> None:
        """Loop."""
        while not self._stopping.is_set():
            self.attempt()
            self._wake.wait(self._every_s)
            self._wake.clear()

    def attempt(self) -> None:
        """A round whose error is logged and tried again with the next: one bad moment does not end the thread. What lasts is
        logged once, not with every round."""
        try:
            self.once()
        except CountersignError as error:
            if self._is_news(str(error)):
                log.error(self.name, error=str(error))
        except Exception as error:
            if self._is_news(repr(error)):
                log.exception(self.name)
        else:
            self._told = ""

    def _is_news(self, error: str) -> bool:
        before, self._told = self._told, error
        return error != before
