"""What ``test_kill_sealing`` kills: a process that commits entries and seals them, again and again
(``python -m tests.crash.seal_on DATA SEED``). Every checkpoint that ``seal`` returned is told on stdout."""

from __future__ import annotations

import random
import sys
from pathlib import Path

from countersign.config import load
from countersign.store import keys, ledger
from countersign.store.engine import make_engine, reading, writing
from countersign.store.sealer import Sealer
from countersign.store.tiles import TileDir
from tests.ledger_log import entry


def main() -> None:
    """Until killed."""
    data, draw = Path(sys.argv[1]), random.Random(sys.argv[2])
    engine = make_engine(load(data, {}).database)
    key = keys.load(data / keys.KEY_FILE)
    with reading(engine) as conn:
        at = ledger.size(conn)
    while True:
        sealer = Sealer(engine, TileDir(data / "tlog"), key)
        for _ in range(draw.randrange(1, 8)):  # then as another process would: from the tiles alone
            more = draw.choice((1, draw.randrange(1, 40), draw.randrange(200, 700)))
            with writing(engine) as conn:
                ledger.append(conn, [(entry(at + n), "") for n in range(more)])
            at += more
            tell("seals")
            found = sealer.seal()
            tell(f"sealed {found.size} {found.root.hex()}")


def tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
