"""Witnesses as processes of their own, and sites that configure them."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx

from countersign.config import FILE
from countersign.ledger.merkle import consistency_proof
from countersign.ledger.witness import Request
from tests import fakes
from tests.ledger_log import MemoryLog


class Served:
    """``countersign witness serve`` on a free port; ``kill`` gives it no time for anything."""

    def __init__(self, data: Path, port: int = 0) -> None:
        command = fakes.command("witness", "serve", "--data", data, "--port", str(port))
        self.process = subprocess.Popen(
            command, env=fakes.environment(PYTHONUNBUFFERED="1"), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        assert self.process.stdout is not None
        self.vkey = self.process.stdout.readline().decode().split()[1]
        self.url = self.process.stdout.readline().decode().split()[1]

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.end()

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(30)
        assert self.process.stdout is not None
        self.process.stdout.close()


@contextmanager
def served(data: Path, port: int = 0) -> Iterator[Served]:
    one = Served(data, port)
    try:
        yield one
    finally:
        one.end()


def made(data: Path, name: str) -> Path:
    """A new witness in a directory."""
    done = fakes.run("witness", "init", name, "--data", data)
    assert done.returncode == 0, done.stderr
    return data


def configure(site: Path, witnesses: Sequence[tuple[str, str, str]], quorum: int) -> None:
    """Have a data directory name its witnesses: (name, url, vkey)."""
    lines = ["", "[ledger]", f"quorum = {quorum}"]
    for name, url, vkey in witnesses:
        lines += [
            "[[ledger.witnesses]]",
            *(f"{k} = {json.dumps(v)}" for k, v in zip(("name", "url", "vkey"), (name, url, vkey), strict=True)),
        ]
    with (site / FILE).open("a", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")


def request(log: MemoryLog, old: int, proof: Sequence[bytes] | None = None, signed: bytes | None = None) -> bytes:
    """A request about a log in memory."""
    note = signed or log.checkpoint() or b""
    size = int(note.split(b"\n")[1])
    found = proof if proof is not None else consistency_proof(old, size, log) if old <= size else []
    return Request(old, tuple(found), note).body


def post(url: str, body: bytes) -> httpx.Response:
    return httpx.post(f"{url}/add-checkpoint", content=body, timeout=30)
