"""``POST /intake/{source}`` against the real server: 202 means on disk, whatever happens next."""

from __future__ import annotations

import asyncio
import gzip
import json
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from countersign.bootstrap import open_site
from countersign.config import FILE
from tests import fakes
from tests.fakes import StepClock, run, wazuh
from tests.ports import free_port

BODY_MAX = 200_000
LOOKS_MAX = 50_000
"""Most times to look before giving up; a look takes about a millisecond."""


class Served:
    """A running ``countersign serve``."""

    def __init__(self, data: Path, child: subprocess.Popen[bytes], port: int) -> None:
        self.data = data
        self.child = child
        self.base = f"http://127.0.0.1:{port}"
        self.client = httpx.Client(base_url=self.base, timeout=30)

    def post(self, body: bytes, token: str, source: str = "wazuh", query: str = "", **headers: str) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        named["authorization"] = f"Bearer {token}"
        return self.client.post(f"/intake/{source}{query}", content=body, headers=named)

    def said(self, name: str) -> str:
        """What ``/metrics`` says of one measure."""
        for line in self.client.get("/metrics").text.splitlines():
            if line.startswith(f"countersign_{name} "):
                return line.split()[1]
        raise AssertionError(f"no measure {name}")

    def measure(self, name: str) -> int:
        """One number of ``/metrics``."""
        return int(self.said(name))

    def drained(self) -> None:
        """Return once nothing waits in the inbox any more."""
        self._gone("inbox_waiting")

    def sealed(self) -> None:
        """Return once nothing waits for its seal any more, which comes a little after an empty inbox."""
        self._gone("ledger_unsealed")

    def _gone(self, name: str) -> None:
        for _ in range(LOOKS_MAX):
            if self.said(name) == "0":
                return
        raise AssertionError(f"{name} does not come down to 0")

    def stop(self) -> None:
        """As an operator would."""
        self.client.close()
        self.child.send_signal(signal.SIGTERM)
        self.child.wait(30)

    def kill(self) -> None:
        """As a power cut would."""
        self.client.close()
        self.child.kill()
        self.child.wait(30)


def ready(served: Served) -> bool:
    """Whether the server came to answer."""
    for _ in range(LOOKS_MAX):
        try:
            return served.client.get("/readyz").status_code == 200
        except httpx.ConnectError:
            if served.child.poll() is not None:
                return False
    return False


@contextmanager
def serving(data: Path, *options: str) -> Iterator[Served]:
    port = free_port()
    child = subprocess.Popen(
        fakes.command("serve", "--data", data, "--port", str(port), *options),
        env=fakes.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    served = Served(data, child, port)
    try:
        assert child.stdout is not None
        assert b"Console" in child.stdout.readline()  # printed once the port is open
        assert ready(served), "the server does not answer"
        yield served
    finally:
        if child.poll() is None:
            served.stop()
        assert child.stdout is not None
        child.stdout.close()


def token_for(data: Path, source: str, clock: StepClock | None = None, days: int = 30) -> str:
    site = open_site(data, clock=clock)
    try:
        return site.commands.issue_token(source, days)
    finally:
        site.close()


@pytest.fixture
def served(data: Path) -> Iterator[tuple[Served, str]]:
    """A server with a token for Wazuh."""
    with (data / FILE).open("a", encoding="utf-8") as file:
        file.write(f"[server]\nbody_bytes_max = {BODY_MAX}\n")
    token = token_for(data, "wazuh")
    with serving(data) as running:
        yield running, token


def sound(data: Path, alerts: int) -> None:
    """After the server has gone: everything is there once, and the record holds."""
    site = open_site(data)
    try:
        site.hot_path.drain()
        assert fakes.alerts_in_findings(site.engine) == alerts
        assert fakes.count(site.engine, "inbox") == 0
        fakes.assert_rebuilds(site)
        fakes.verified(site)
    finally:
        site.close()


def test_what_a_sender_is_told(served: tuple[Served, str]) -> None:
    """One server for all of it: starting one takes longer than everything that is asked of it here."""
    server, token = served
    accepts(server, token)
    repeats(server, token)
    refuses(server, token)
    keeps_what_it_cannot_read(server, token)
    server.drained()
    server.sealed()
    shows_measures(server)
    serves_the_log(server)
    server.stop()
    assert run("verify", server.data).returncode == 0
    sound(server.data, 3 + 2 + 2)


def accepts(server: Served, token: str) -> None:
    answer = server.post(wazuh("a1"), token)
    assert answer.status_code == 202
    assert answer.headers["content-type"] == "application/json"
    told = answer.json()
    assert (told["accepted"], told["duplicate"], len(told["sha256"])) == (1, False, 1)
    assert server.post(b"[" + wazuh("a2") + b"]", token).json()["accepted"] == 1
    assert server.post(gzip.compress(wazuh("a3") + b"\n"), token).json()["accepted"] == 1


def repeats(server: Served, token: str) -> None:
    first = server.post(wazuh("b1"), token, idempotency_key="k1")
    again = server.post(wazuh("b1"), token, idempotency_key="k1")
    assert (first.json()["duplicate"], again.json()["duplicate"]) == (False, True)
    assert again.status_code == 202
    assert again.json()["sha256"] == first.json()["sha256"]
    other = server.post(wazuh("b2"), token, idempotency_key="k1")  # refusing it could lose an alert
    assert (other.status_code, other.json()["duplicate"]) == (202, False)


def refuses(server: Served, token: str) -> None:
    def said(answer: httpx.Response, status: int) -> dict[str, Any]:
        assert answer.status_code == status, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        document: dict[str, Any] = answer.json()
        assert document["status"] == status
        return document

    body = wazuh("never")
    said(server.client.post("/intake/wazuh", content=body), 401)
    said(server.post(body, "wrong"), 401)
    said(server.post(body, token + "x"), 401)
    said(server.post(body, token, source="suricata"), 401)
    said(server.client.post("/intake/wazuh", content=body, headers={"authorization": f"Basic {token}"}), 401)
    said(server.post(body, token_for(server.data, "wazuh", StepClock(1_000_000_000_000))), 401)
    assert "wazuh" in said(server.post(body, token, source="no-such"), 404)["detail"]
    assert str(BODY_MAX) in said(server.post(b" " * (BODY_MAX + 1), token), 413)["detail"]
    said(server.post(b"", token), 400)
    said(server.post(b" \n\n", token), 400)
    said(server.post(gzip.compress(wazuh("z"))[:-9], token), 400)
    generic = token_for(server.data, "generic")
    for query in ("", "?mapping=nothing", "?mapping=../countersign"):
        said(server.post(b"{}", generic, source="generic", query=query), 400)


def keeps_what_it_cannot_read(server: Served, token: str) -> None:
    """Bytes that were taken are never lost: what is no alert is accepted, quarantined and told in the console."""
    answer = server.post(b'{"torn": \n' + wazuh("c1") + b"\nnot json at all\n" + wazuh("c2"), token)
    assert (answer.status_code, answer.json()["accepted"]) == (202, 4)
    server.drained()
    assert server.measure("quarantined_total") == 2


def shows_measures(server: Served) -> None:
    text = server.client.get("/metrics").text
    assert text.endswith("# EOF\n")
    typed: dict[str, str] = {}
    for line in text.splitlines()[:-1]:
        if line.startswith("# "):
            word, name, *rest = line[2:].split()
            typed |= {name: rest[0]} if word == "TYPE" else {}
            continue
        name, _, value = line.partition(" ")
        family = name.partition("{")[0].removesuffix("_total")
        assert family in typed, line
        assert name.partition("{")[0].endswith("_total") is (typed[family] == "counter"), line
        assert int(value) >= 0
    assert server.measure("accepted_total") == 7
    assert server.measure("lines_total") == 9


def serves_the_log(server: Served) -> None:
    checkpoint = server.client.get("/tlog/checkpoint")
    assert checkpoint.headers["cache-control"] == "no-store"
    assert checkpoint.text == (server.data / "tlog" / "checkpoint").read_text()
    files = [path.relative_to(server.data) for path in (server.data / "tlog" / "tile").rglob("*") if path.is_file()]
    for file in files:
        answer = server.client.get(f"/{file}")
        assert answer.content == (server.data / file).read_bytes()
        assert "immutable" in answer.headers["cache-control"]
    for hidden in ("/tlog/.lock", "/tlog/.tmp/x", "/tlog/../keys/log.key", "/tlog/%2e%2e/keys/log.key", "/tlog/"):
        assert server.client.get(hidden).status_code in (401, 404), hidden


def test_accepted_means_on_disk(data: Path) -> None:
    """Killed the moment after 202, by a power cut as far as the process can tell: the alerts are there after a restart."""
    token = token_for(data, "wazuh")
    accepted = 0
    for round_ in range(2):
        with serving(data, *([] if round_ else ["--no-worker"])) as server:
            for number in range(5 + round_):
                answer = server.post(wazuh(f"{round_}.{number}"), token, idempotency_key=f"{round_}.{number}")
                assert answer.status_code == 202
                accepted += 1
            server.kill()
        with serving(data, "--no-worker") as server:  # the sender saw nothing and tries again
            last = server.post(wazuh(f"{round_}.{number}"), token, idempotency_key=f"{round_}.{number}")
            assert last.json()["duplicate"] is True
            server.kill()
    sound(data, accepted)


def test_two_hundred_at_once(data: Path) -> None:
    token = token_for(data, "wazuh")

    async def post_all(base: str) -> list[httpx.Response]:
        limits = httpx.Limits(max_connections=200)
        async with httpx.AsyncClient(base_url=base, limits=limits, timeout=60) as client:
            headers = {"authorization": f"Bearer {token}"}
            posts = [client.post("/intake/wazuh", content=wazuh(str(i), rule=str(i)), headers=headers) for i in range(200)]
            return await asyncio.gather(*posts)

    with serving(data) as server:
        answers = asyncio.run(post_all(server.base))
        assert [answer.status_code for answer in answers] == [202] * 200
        assert all(answer.json()["accepted"] == 1 for answer in answers)
        server.drained()
    sound(data, 200)


def test_alerts_posted_to_any_of_several_servers_are_one_queue(databases: Callable[[], str], tmp_path: Path) -> None:
    """Two doors and a worker on one database (one data directory, as on one machine)."""
    data = fakes.data_directory(tmp_path / "data", databases())
    token = token_for(data, "wazuh")
    with serving(data) as one, serving(data, "--no-worker") as other:
        for number in range(20):
            server = (one, other)[number % 2]
            assert server.post(wazuh(f"{number // 2}", rule=str(number)), token).status_code == 202
        one.drained()
    sound(data, 20)
    assert json.loads(run("verify", data, "--json").stdout)["ok"] is True
