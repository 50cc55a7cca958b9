"""What ``test_kill_actions`` kills: a process that carries approved actions out (``python -m tests.crash.carry_out``)."""

from __future__ import annotations

import sys
from pathlib import Path

from countersign.actions import ACTIONS
from countersign.bootstrap import open_site
from countersign.running import Runner
from tests import marking


def main() -> None:
    """Say that it begins, then go through what is due until nothing is."""
    ACTIONS.update(marking.actions())
    site = open_site(Path(sys.argv[1]))
    runner = Runner(site)
    sys.stdout.write("begins\n")
    sys.stdout.flush()
    while runner.step():
        pass
    site.close()


if __name__ == "__main__":
    main()
