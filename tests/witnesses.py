"""Witnesses as processes of their own, and sites that configure them."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import httpx
from typer.testing import CliRunner

from countersign.bootstrap import Site, open_site
from countersign.cli.main import app
from countersign.config import FILE
from countersign.errors import CountersignError
from countersign.ledger.merkle import consistency_proof
from countersign.ledger.note import VerifierKey
from countersign.ledger.witness import Request
from countersign.model.entries import Kind
from countersign.store import rotation
from countersign.store.witnesses import DELAY_MAX_MS
from countersign.witness.book import Book
from countersign.witnessing import Standing, Witnesses, status
from tests import fakes
from tests.ledger_log import MemoryLog
from tests.ports import free_port


class Served:
    """``countersign witness serve`` on a free port; ``kill`` gives it no time for anything."""

    def __init__(self, data: Path, port: int = 0) -> None:
        port = port or free_port()  # it may end, and is to come back to the same
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


class Pair:
    """Two witnesses, processes that serve all tests of them, and a site (not open) that they trust."""

    def __init__(self, homes: list[Path], servers: list[Served]) -> None:
        self.homes, self.servers = homes, servers
        self.data = Path()

    def trusted(self, data: Path, quorum: int = 2) -> Pair:
        """With this site."""
        self.data = data
        site = open_site(data)
        for home in self.homes:
            Book(home, lambda: 0).trust(site.log_key.vkey)
        site.close()
        configure(data, [(f"w{n}", one.url, one.vkey) for n, one in enumerate(self.servers, 1)], quorum)
        return self

    def down(self, *which: int) -> None:
        for n in which:
            self.servers[n].kill()

    def up(self, *which: int) -> None:
        for n in which:
            if self.servers[n].process.poll() is not None:
                self.servers[n] = Served(self.homes[n], self.servers[n].port)


def more(site: Site) -> None:
    """One more entry, sealed."""
    site.commands.issue_token("wazuh")
    site.seal()


def later(site: Site, ms: int = DELAY_MAX_MS) -> None:
    site.clock.at_ms += ms  # type: ignore[attr-defined]  # tests.fakes.StepClock


def kinds(site: Site, kind: Kind) -> int:
    return len(fakes.entries(site.engine, kind))


class Liar(BaseHTTPRequestHandler):
    answer: tuple[int, str, bytes] = (200, "text/plain", b"")

    def do_POST(self) -> None:
        code, kind, body = self.answer
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(code)
        self.send_header("content-type", kind)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Keep quiet."""


@contextmanager
def lying() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Liar)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def grow(data: Path, entries: int) -> None:
    site = open_site(data)
    for _ in range(entries):
        site.commands.issue_token("wazuh")
    site.seal()
    site.close()


def cosign(data: Path) -> Standing:
    """What ``ledger cosign`` does."""
    site = open_site(data)
    try:
        Witnesses(site).ask(at_once=True)
        return status(site)
    finally:
        site.close()


def origin(data: Path) -> str:
    return (data / "log.vkey").read_text().partition("+")[0]


def command(*args: str | Path) -> tuple[int, str, str]:
    """(exit code, stdout, stderr) of a command, without a process of its own."""
    done = CliRunner().invoke(app, [*map(str, args)])
    error = done.exception
    return (
        (error.exit_code, "", str(error))
        if isinstance(error, CountersignError)
        else (done.exit_code, done.stdout, done.stderr)
    )


SAID: dict[str, tuple[tuple[int, str, bytes], str, bool]] = {
    "nothing": ((200, "text/plain", b""), "signature", False),
    "a page": ((200, "text/html", b"<p>hello</p>\n"), "signature line", False),
    "a stranger's line": ((200, "text/plain", "— x.test/w AAAAAAAA\n".encode()), "check the configured vkey", False),
    "without end": ((200, "text/plain", b"x" * 200_000), "does not end", False),
    "moved": ((302, "text/plain", b""), "answered 302", False),
    "unknown": ((404, "text/plain", b""), "does not know this log", False),
    "key": ((403, "text/plain", b""), "does not trust this log's key", False),
    "broken": ((500, "text/plain", b""), "answered 500", False),
    "size by another type": ((409, "text/plain", b"1\n"), "answered 409", False),
    "a size that is none": ((409, "text/x.tlog.size", b"-1\n"), "answered 409", False),
    "less than it cosigned": ((409, "text/x.tlog.size", b"1\n"), "has forgotten that it cosigned", False),
    "more than there is": ((409, "text/x.tlog.size", b"100000\n"), "refused (409)", True),
    "a fork": ((422, "text/plain", b""), "refused (422)", True),
}


def rotate(site: Site) -> VerifierKey:
    """Put a new key in force."""
    return rotation.rotate(site.data, site.engine, site.sealer, site.tiles, "ada", "yearly", site.clock.now_ms())
