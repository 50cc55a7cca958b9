"""``kill -9`` of a witness at random moments while two branches of a log ask it at once: no size that it ever acknowledged
is forgotten, and no two checkpoints that it cosigned contradict each other.

``COUNTERSIGN_CRASH_RUNS`` says how often (8 here; 50 before a release); the seed is printed.
"""

from __future__ import annotations

import os
import random
import secrets
import threading
from pathlib import Path

import httpx
import pytest

from countersign.ledger.merkle import Subtrees, consistency_proof, verify_consistency
from countersign.ledger.note import Checkpoint, open_checkpoint, sign_note
from countersign.ledger.tiles import HASH_BYTES
from countersign.ledger.witness import Request, origin_hash
from countersign.witness.book import Book, create
from tests.ledger_log import KEY, MemoryLog, blobs
from tests.witnesses import served

pytestmark = [pytest.mark.crash, pytest.mark.slow]

RUNS = int(os.environ.get("COUNTERSIGN_CRASH_RUNS", "8"))
SHARED, ENTRIES = 40, 3_000
LIFE_S = 0.8
"""About how long a witness lives; some hundred answers."""


class Branch:
    """A log at each of its sizes."""

    def __init__(self, name: str) -> None:
        self._whole = MemoryLog([*blobs(SHARED), *blobs(ENTRIES - SHARED, SHARED, name)])

    def tile(self, level: int, index: int, width: int) -> bytes | None:
        """From the narrowest tile of the whole log that is wide enough."""
        wider = (self._whole.tile(level, index, more) for more in range(width, 257))
        return next((found[: width * HASH_BYTES] for found in wider if found is not None), None)

    def at(self, size: int) -> Checkpoint:
        return Checkpoint(KEY.name, size, Subtrees(self, size).span(0, size))

    def request(self, old: int, size: int) -> bytes:
        proof = consistency_proof(old, size, self) if old <= size else []
        return Request(old, tuple(proof), sign_note(self.at(size).text, KEY)).body


ONE, OTHER = Branch("one"), Branch("other")


class Asking(threading.Thread):
    """Asks for one size after the other until the witness is gone, or refuses the branch. acknowledged: in order."""

    def __init__(self, url: str, branch: Branch, step: int, answered: threading.Event) -> None:
        super().__init__()
        self._url, self._branch, self._step, self._answered = url, branch, step, answered
        self.acknowledged: list[Checkpoint] = []
        self.refused = False

    def run(self) -> None:
        with httpx.Client(base_url=self._url, timeout=30) as client:
            self._ask(client)

    def _ask(self, client: httpx.Client) -> None:
        old, size = 0, 1
        while not self.refused and size <= ENTRIES:
            try:
                answer = client.post("/add-checkpoint", content=self._branch.request(old, size))
            except httpx.HTTPError:
                return
            self._answered.set()
            if answer.status_code == 200:
                self.acknowledged.append(self._branch.at(size))
                old, size = size, size + self._step
            elif answer.status_code == 409:
                old = int(answer.content)
                size = max(size, old + self._step)
            else:
                assert answer.status_code == 422, answer.text
                self.refused = True


def life(data: Path, draw: random.Random) -> list[list[Checkpoint]]:
    """What a witness acknowledged until it was killed, by who asked."""
    with served(data) as witness:
        answered = threading.Event()
        asking = [Asking(witness.url, branch, step, answered) for branch, step in ((ONE, 1), (OTHER, 2), (ONE, 3))]
        timer = threading.Timer(draw.uniform(0.0, LIFE_S), witness.process.kill)
        for one in asking:
            one.start()
        answered.wait(60)
        timer.start()
        for one in (*asking, timer):
            one.join()
    return [one.acknowledged for one in asking]


@pytest.mark.parametrize("run", range(RUNS))
def test_killed_at_any_moment_it_forgets_nothing_and_contradicts_nothing(tmp_path: Path, run: int) -> None:
    seed = os.environ.get("COUNTERSIGN_CRASH_SEED") or secrets.token_hex(4)
    draw = random.Random(f"{seed}/{run}")
    print(f"seed {seed}, run {run}")
    data = tmp_path / "w"
    create(data, "witness.test/w1")
    Book(data, lambda: 0).trust(KEY.vkey)
    acknowledged: list[Checkpoint] = []
    for _ in range(3):
        largest = max((one.size for one in acknowledged), default=0)
        lists = life(data, draw)
        for found in lists:
            assert [one.size for one in found] == sorted(one.size for one in found)
            assert all(one.size >= largest for one in found), "what was acknowledged before the kill was forgotten"
            acknowledged += found
        signed = Book(data, lambda: 0).latest(origin_hash(KEY.name))
        held = open_checkpoint(signed, [KEY.vkey]) if signed else Checkpoint(KEY.name, 0, b"")
        assert held.size >= max((one.size for one in acknowledged), default=0)
    assert acknowledged, "a witness that answers nothing shows nothing"
    assert_one_history(acknowledged, held)


def assert_one_history(acknowledged: list[Checkpoint], held: Checkpoint) -> None:
    """Every checkpoint is that of the one branch which the witness went on with."""
    branch = ONE if ONE.at(held.size) == held else OTHER
    assert branch.at(held.size) == held
    for one in acknowledged:
        proof = consistency_proof(one.size, held.size, branch)
        verify_consistency(one.size, held.size, one.root, held.root, proof)
