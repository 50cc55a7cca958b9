"""What the header always says: what the agent may do alone, which agents are stopped, and how the ledger stands."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec
from sqlalchemy import Connection

from countersign.errors import CountersignError
from countersign.ledger.note import Checkpoint, VerifierKey
from countersign.ledger.record import LogReader
from countersign.model.standing import Standing, Verified
from countersign.store import agents, inbox, read, read_waiting
from countersign.store.sealing import SealState
from countersign.store.witnesses import Heard

CheckpointReader = Callable[[], Checkpoint | None]


@dataclass(frozen=True, slots=True)
class Record:
    """The log as the console shows it. keys: that sign now. seals: whether entries are sealed in time. heard: what people
    must hear of the witnesses. verified: what the reading in the background has found."""

    log: LogReader
    keys: Callable[[], Sequence[VerifierKey]]
    seals: Callable[[Connection], SealState]
    heard: Callable[[Connection], Heard]
    verified: Callable[[], Verified]


class LedgerState(msgspec.Struct, frozen=True):
    """state: "sealed", "sealing" (behind), "unsealed" (no checkpoint), "broken" (does not verify), "unknown"."""

    state: str
    size: int
    sealed: int
    root: str
    note: str
    problem: str


class Status(msgspec.Struct, frozen=True):
    """The header's facts, and what may not go unseen. late: the ledger is not sealed in time, and nothing is closed or
    started. heard: of the witnesses. approvals: actions and changes that wait for people. stopped: agents that are; held:
    alerts that wait because of it."""

    autonomy: read.Autonomy
    ledger: LedgerState
    approvals: int = 0
    stopped: tuple[str, ...] = ()
    held: int = 0
    late: SealState | None = None
    heard: Heard = Heard()
    verified: Verified = Verified()

    @property
    def broken(self) -> bool:
        """The ledger does not verify, by its checkpoint or by what was read. A witness's alarm is another thing."""
        return self.ledger.state == "broken" or self.verified.state is Standing.BROKEN


BEHIND_MAX = 2_000
"""More unsealed entries than one second's work leaves behind: the header says that sealing lags."""


def status(conn: Connection, checkpoint: CheckpointReader | None, now_ms: int, record: Record | None = None) -> Status:
    """Read all of them. The checkpoint's failure is a state to show, not an error of the page."""
    stopped = agents.stopped(conn)
    seal = record.seals(conn) if record else None
    return Status(
        autonomy=read.autonomy(conn),
        ledger=ledger_state(conn, checkpoint),
        approvals=read_waiting.waiting(conn, now_ms),
        stopped=stopped,
        held=inbox.waiting(conn) if stopped else 0,
        late=seal if seal and not seal.in_time else None,
        heard=record.heard(conn) if record else Heard(),
        verified=record.verified() if record else Verified(),
    )


def ledger_state(conn: Connection, checkpoint: CheckpointReader | None) -> LedgerState:
    """How the ledger stands, which every open page asks for twice a second."""
    return _ledger(read.ledger_size(conn), checkpoint)


def _ledger(size: int, checkpoint: CheckpointReader | None) -> LedgerState:
    if checkpoint is None:
        return LedgerState("unknown", size, 0, "", "", "")
    try:
        head = checkpoint()
    except CountersignError as error:
        return LedgerState("broken", size, 0, "", "", str(error))
    if head is None:
        return LedgerState("unsealed" if size else "sealed", size, 0, "", "", "")
    root = b64encode(head.root).decode()
    if head.size > size:
        problem = f"the checkpoint covers {head.size:,} entries, the database holds {size:,}"
        return LedgerState("broken", size, head.size, root, head.text, problem)
    state = "sealing" if size - head.size > BEHIND_MAX else "sealed"
    return LedgerState(state, size, head.size, root, head.text, "")
