"""What ``test_action_running`` lets be killed (``python -m tests.contract.carry_out DATA FOLDER``): it forks a process that
carries out what is due, and another one for as long as they are killed. Says how many were."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from msgspec.structs import replace

from countersign.actions import ACTIONS
from countersign.bootstrap import open_site
from countersign.running import Runner
from tests import acting
from tests.fakes import NOON_MS, StepClock


def work(data: Path, folder: Path, killed: int) -> None:
    """In a process of its own, up to its end. Its clock goes on where those that were killed left off."""
    ACTIONS.update(acting.stand_ins(dict(ACTIONS), folder, acting.Deadly(folder)))
    site = open_site(data, clock=StepClock(NOON_MS + (killed + 1) * 10_000))
    site.config = replace(site.config, actions=acting.tables(ACTIONS))
    runner = Runner(site)
    while runner.step():
        pass
    site.close()


def main() -> None:
    """Until one ends by itself."""
    killed = 0
    while True:
        child = os.fork()
        if not child:
            work(Path(sys.argv[1]), Path(sys.argv[2]), killed)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if not (os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL):
            break
        killed += 1
    sys.stdout.write(f"{killed}\n")
    sys.exit(os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main()
