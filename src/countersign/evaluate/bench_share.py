"""What part of the hot path's CPU the ledger takes: the same run as ``bench hot-path``, with a clock at the ledger's doors.

Counted is everything that would fall away without a ledger: building the bodies of entries, pseudonyms, canonical bytes,
their rows, leases' signatures, and sealing. Told apart are the evidence beside it, which the screens need as well, and the
commit, of which the entries are one part.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from countersign.evaluate import bench
from countersign.ledger import bodies, decisions
from countersign.model.alerts import Delivery
from countersign.store import evidence, ledger
from countersign.store.leases import Leases
from countersign.store.sealer import Sealer

DOORS: dict[str, tuple[tuple[Any, str], ...]] = {
    "bodies": ((bodies, "alert_received"), (bodies, "alert_quarantined"), (bodies, "decision"), (decisions, "entry")),
    "pseudonyms": ((bodies, "personal_keys"), (ledger, "pseudonyms")),
    "append": ((ledger, "append"),),
    "leases": ((Leases, "issued"),),
    "seal": ((Sealer, "seal"),),
}
BESIDE: dict[str, tuple[tuple[Any, str], ...]] = {"evidence": ((evidence, "pack"), (evidence, "put"))}


class _Clock:
    """CPU seconds inside some functions; one inside another counts once."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._inside = False

    def over(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, timed."""

        def timed(*args: Any, **named: Any) -> Any:  # noqa: ANN401 - whatever the function takes
            if self._inside:
                return function(*args, **named)
            self._inside = True
            start = time.process_time()
            try:
                return function(*args, **named)
            finally:
                self.seconds += time.process_time() - start
                self._inside = False

        return timed


def hot_path(folder: Path, source: Iterator[Delivery]) -> dict[str, Any]:
    """Figures of one run in a new site under ``folder``."""
    clocks = {name: _Clock() for name in (*DOORS, *BESIDE)}
    with ExitStack() as stack:
        for name, places in (DOORS | BESIDE).items():
            for holder, attribute in places:
                stack.enter_context(_swapped(holder, attribute, clocks[name]))
        figures = bench.hot_path(folder, source, begin=lambda: _begin(clocks.values()))
    cpu = figures["cpu_seconds"]
    ledger_s = sum(clocks[name].seconds for name in DOORS)
    beside_s = sum(clocks[name].seconds for name in BESIDE) + figures["stages"]["commit"]["cpu_seconds"]
    return {
        "hot_path_alerts": figures["alerts"],
        "hot_path_cpu_seconds": cpu,
        **{f"hot_path_{name}_cpu_seconds": round(clock.seconds, 3) for name, clock in clocks.items()},
        "ledger_share_of_hot_path": round(ledger_s / cpu, 4),
        "with_evidence_and_commit": round((ledger_s + beside_s) / cpu, 4),
    }


def _begin(clocks: Iterable[_Clock]) -> None:
    for clock in clocks:
        clock.seconds = 0.0


@contextmanager
def _swapped(holder: Any, attribute: str, clock: _Clock) -> Iterator[None]:  # noqa: ANN401 - a module or class
    kept = getattr(holder, attribute)
    setattr(holder, attribute, clock.over(kept))
    try:
        yield
    finally:
        setattr(holder, attribute, kept)
