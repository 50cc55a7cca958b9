"""A command's end is told once; whoever asks for it, from whichever thread, learns it."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

from tests import forking


def test_everybody_who_waits_or_kills_at_the_moment_of_its_end_is_told() -> None:
    order = forking.Order("this", (), forking.environment(), "/")
    with open(os.devnull, "rb") as nothing, open(os.devnull, "wb") as nowhere, ThreadPoolExecutor(4) as threads:
        for _ in range(10):
            process = forking.start(order, nothing, nowhere, nowhere)
            waits = [threads.submit(process.wait) for _ in range(4)]
            assert {process.wait(), *(one.result() for one in waits)} == {0}
            process.kill()
            assert process.poll() == 0
