"""A site and its witnesses, each a process of its own: cosigning, forks, rollbacks, outages, and actions that wait."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from msgspec.structs import replace
from starlette.testclient import TestClient
from typer.testing import CliRunner

from countersign import witnessing
from countersign.actions import ACTIONS
from countersign.api.server import Worker, create_app
from countersign.approvals.status import Status
from countersign.bootstrap import Site, open_site
from countersign.cli.main import app
from countersign.config import FILE
from countersign.errors import ConfigError, CountersignError, VerificationError
from countersign.ledger import handover
from countersign.ledger.cosignature import WitnessKey, parse_witness_key
from countersign.ledger.note import VerifierKey, open_checkpoint, parse_vkey
from countersign.ledger.proof import format_proof, make_proof, verify_proof
from countersign.ledger.quorum import GRACE_MS, Wanted, with_quorum
from countersign.ledger.verify import verify
from countersign.model.entries import Kind
from countersign.running import Runner
from countersign.store import rotation
from countersign.store.keys import LogKey
from countersign.store.solo import alone
from countersign.store.witnesses import DELAY_MAX_MS
from countersign.telling import configured, work_off
from countersign.web.session import COOKIE, Sessions
from countersign.witness.book import Book, create
from countersign.witnessing import Standing, Witnesses, status
from tests import fakes, marking
from tests.fakes import StepClock
from tests.hearing import Web, heard
from tests.integration.test_proposals import ADA, Room
from tests.integration.test_verify_published import served as published
from tests.unit.test_cosignature import by_layout
from tests.witnesses import Served, configure, made


class Pair:
    """Two witnesses, processes that serve a module's tests, and a site (not open) that they trust."""

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


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    folder = tmp_path_factory.mktemp("witnesses")
    homes = [made(folder / name, f"witness.test/{name}") for name in ("w1", "w2")]
    found = Pair(homes, [Served(home) for home in homes])
    yield found
    for one in found.servers:
        one.end()


@pytest.fixture
def pair(both: Pair, data: Path) -> Pair:
    """The quorum is both of them."""
    both.up(0, 1)
    return both.trusted(data)


@pytest.fixture
def site(pair: Pair) -> Iterator[Site]:
    opened = open_site(pair.data, clock=StepClock())
    opened.seal()
    yield opened
    opened.close()


def more(site: Site) -> None:
    """One more entry, sealed."""
    site.commands.issue_token("wazuh")
    site.seal()


def later(site: Site, ms: int = DELAY_MAX_MS) -> None:
    site.clock.at_ms += ms  # type: ignore[attr-defined]  # tests.fakes.StepClock


def kinds(site: Site, kind: Kind) -> int:
    return len(fakes.entries(site.engine, kind))


# --- cosigning ----------------------------------------------------------------------------------------------------


def test_the_published_checkpoint_carries_every_witness_s_signature(site: Site, pair: Pair) -> None:
    asking = Witnesses(site)
    for _ in range(3):
        more(site)
        asking.ask()
        signed = site.tiles.checkpoint() or b""
        for one in pair.servers:
            key = parse_witness_key(one.vkey)
            assert by_layout(signed, key.name, key.public_key) > 0
        found = status(site)
        assert (found.sealed, found.covered, found.why) == (site.sealer.seal().size, found.sealed, "")
        assert [(one.behind, one.error, one.alarm) for one in found.witnesses] == [(0, "", "")] * 2
    assert site.tiles.checkpoint() == signed, "sealing nothing new keeps the cosignatures"
    assert open_checkpoint(signed, [site.log_key.vkey]).size == found.sealed
    assert fakes.verified(site).ok
    fakes.assert_rebuilds(site)
    proof, entry = make_proof(site.tiles, 0, [site.log_key.vkey])
    assert verify_proof(format_proof(proof), entry, [site.log_key.vkey]).size == found.sealed
    assert b"witness.test/w2" in proof.checkpoint


def test_what_is_sealed_while_witnesses_are_asked_is_no_loss(site: Site) -> None:
    def slow(url: str, body: bytes, timeout_s: float) -> Any:
        answer = witnessing.post(url, body, timeout_s)
        more(site)
        return answer

    more(site)
    asked = site.sealer.seal().size
    Witnesses(site, slow).ask()
    published = site.sealer.checkpoint()
    assert published is not None
    assert published.size > asked
    assert status(site).covered == asked, "the quorum's checkpoint is kept beside the newest"
    Witnesses(site).ask()
    assert status(site).covered == published.size


def test_an_outage_is_shown_is_retried_with_pauses_and_loses_nothing(site: Site, pair: Pair) -> None:
    Witnesses(site).ask()
    before = status(site)
    pair.down(1)
    more(site)
    asking = Witnesses(site)
    for tries in (1, 2, 3):
        asking.ask()
        asking.ask()
        found = status(site)
        one, two = found.witnesses
        assert (one.behind, one.error) == (0, "")
        assert (two.behind, two.tries) == (found.sealed - before.sealed, tries)
        assert "cannot be reached" in two.error
        assert found.covered == before.covered
        assert "1 of 2 cosignatures" in found.why
        assert two.next_ms > site.clock.now_ms()
        later(site)
    pair.up(1)
    asking.ask()
    assert (status(site).why, status(site).covered) == ("", found.sealed)


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


LINE = "— witness.test/w1 ".encode()
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


@contextmanager
def lying() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Liar)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def test_whatever_a_witness_answers_is_said_and_counts_for_nothing(
    sqlite_pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = open_site(sqlite_pair.data, clock=StepClock())
    honest = site.witnesses
    before = site.sealer.seal().size
    with lying() as url:
        for name, (answer, error, alarm) in SAID.items():
            monkeypatch.setattr(Liar, "answer", answer)
            site.witnesses = tuple(one._replace(url=url) for one in honest)
            more(site)
            Witnesses(site).ask(at_once=True)
            found = status(site)
            assert error in found.witnesses[0].error, name
            assert bool(found.witnesses[0].alarm) is alarm, name
            assert found.covered in (0, before), name
            site.witnesses = honest
            Witnesses(site).ask(at_once=True)
            assert [(one.error, one.alarm) for one in status(site).witnesses] == [("", "")] * 2, "it is over once it cosigns"
            before = status(site).covered
    assert fakes.verified(site).ok
    site.close()


def test_a_forged_cosignature_spoils_nothing(site: Site) -> None:
    def forged(url: str, body: bytes, timeout_s: float) -> Any:
        answer = witnessing.post(url, body, timeout_s)
        return answer._replace(body=answer.body[:-6] + b"AAAA==\n"[-6:])

    before = site.tiles.checkpoint()
    Witnesses(site, forged).ask()
    assert site.tiles.checkpoint() == before
    assert status(site).covered == 0


def test_a_service_asks_by_itself_and_once_more_when_it_ends(site: Site) -> None:
    working = Worker(site)
    working.start()
    more(site)
    working.stop()
    assert status(site).covered == site.sealer.seal().size


def test_while_one_process_asks_another_does_not(site: Site) -> None:
    asking = Witnesses(site)
    with alone(site.engine, site.data, "witnesses") as mine:
        assert mine
        asking.ask()
        assert status(site).covered == 0
    asking.ask()
    assert status(site).covered > 0


def test_who_asks_late_about_what_was_cosigned_since_raises_no_alarm(site: Site) -> None:
    """Another process of this site was faster: the larger size is ours."""

    def late(url: str, body: bytes, timeout_s: float) -> Any:
        more(site)
        Witnesses(site, witnessing.post)._round(site.tiles.checkpoint() or b"", at_once=True)
        return witnessing.post(url, body, timeout_s)

    Witnesses(site, late).ask()
    assert [one.alarm for one in status(site).witnesses] == ["", ""]


# --- forks and rollbacks ------------------------------------------------------------------------------------------


@pytest.fixture
def sqlite_pair(both: Pair, tmp_path: Path) -> Pair:
    """A site that can be copied with its directory."""
    both.up(0, 1)
    return both.trusted(fakes.data_directory(tmp_path / "data"))


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


@pytest.mark.parametrize(("site_by", "fork_by"), [(1, 3), (2, 2), (3, 1), (1, 0)])
def test_of_two_copies_that_go_on_differently_one_is_refused(sqlite_pair: Pair, site_by: int, fork_by: int) -> None:
    """The fork is longer, as long, shorter, or only older."""
    data, fork = sqlite_pair.data, sqlite_pair.data.with_name("fork")
    grow(data, 1)
    assert cosign(data).why == ""
    shutil.copytree(data, fork)
    grow(data, site_by)
    grow(fork, fork_by)
    assert cosign(data).why == ""
    refused = cosign(fork)
    words = "forked or rewritten" if fork_by >= site_by else "rolled back"
    assert [words in one.alarm for one in refused.witnesses] == [True, True]
    assert refused.covered == 0
    (log,) = [log for log in Book(sqlite_pair.homes[0], lambda: 0).known() if log.origin == origin(data)]
    assert bool(log.refused) == (fork_by >= site_by)
    grow(data, 1)
    assert cosign(data).why == "", "the other branch goes on"
    assert cosign(fork).covered == 0


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


def test_the_commands_say_it(sqlite_pair: Pair) -> None:
    data, old = sqlite_pair.data, sqlite_pair.data.with_name("old")
    grow(data, 1)
    code, _, said = command("ledger", "status", "--data", data)
    assert (code, "0 of 2 cosignatures" in said) == (1, True)
    shutil.copytree(data, old)
    grow(data, 1)
    assert fakes.run_json("ledger", "cosign", "--data", data)["why"] == ""
    assert json.loads(command("ledger", "status", "--json", "--data", data)[1])["covered"] > 0
    code, _, said = command("ledger", "cosign", "--data", old)
    assert (code, said.count("ALARM: ")) == (1, 2)
    grow(old, 5)
    cosign(old)
    home = sqlite_pair.homes[0]
    assert command("witness", "logs", "--data", home)[0] == 1, "it has proof of a fork"
    assert command("witness", "show", origin(data), "--data", home)[1].splitlines()[0] == origin(data)
    assert "does not extend" in command("witness", "show", origin(data), "--refused", "--data", home)[2]
    assert command("witness", "show", "log.test/none", "--data", home)[0] == 2
    assert command("witness", "key", "--data", home)[1].strip() == sqlite_pair.servers[0].vkey
    vkey = str(LogKey("log.test/added", bytes([5]) * 32).vkey)
    assert command("witness", "add-log", vkey, "--data", home)[0] == 0
    assert "log.test/added" in command("witness", "logs", "--data", home)[1]
    code, _, said = command("witness", "serve", "--data", data)
    assert (code, "data directory of a site" in said) == (2, True)


def test_the_console_says_so_and_it_ends_when_the_right_log_is_back(sqlite_pair: Pair) -> None:
    data = sqlite_pair.data
    grow(data, 1)
    shutil.copytree(data, data.with_name("old"))
    grow(data, 1)
    assert cosign(data).why == ""
    site = open_site(data.with_name("old"))
    Witnesses(site).ask()
    with pytest.raises(VerificationError, match="rolled back"):
        site.published()
    with TestClient(create_app(site, Sessions(site.session_key), worker=False)) as client:
        cookie = Sessions(site.session_key, site.engine).cookie("ada", site.clock.now_ms())
        assert "rolled back" in client.get("/", headers={"cookie": f"{COOKIE}={cookie}"}).text
    site.close()
    right = open_site(data)
    assert right.published() is not None
    right.close()


@pytest.fixture
def web() -> Iterator[Web]:
    with heard() as made:
        yield made


def told(data: Path, web: Web) -> None:
    """Have a site send its messages there."""
    (data / "hook").write_text(f"{web.url}/hook\n")
    with (data / FILE).open("a", encoding="utf-8") as file:
        file.write(f'\n[notify.webhook]\nurl = "file:{data / "hook"}"\n')


def test_people_are_told_of_an_alarm_once_and_when_it_is_over(pair: Pair, web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    told(pair.data, web)
    site = open_site(pair.data, clock=StepClock())
    size, honest = site.sealer.seal().size, site.witnesses
    monkeypatch.setattr(Liar, "answer", SAID["a fork"][0])
    with lying() as url:
        for url_2 in (honest[1].url, url, url):  # the second one joins in later
            site.witnesses = (honest[0]._replace(url=url), honest[1]._replace(url=url_2))
            Witnesses(site).ask(at_once=True)
    for _ in range(2):
        site.witnesses = honest
        Witnesses(site).ask(at_once=True)
    work_off(site, configured(site))
    site.close()
    said = [json.loads(body) for _, _, body in web.heard]
    assert [(one["event"], one["what"], one["number"], one["case"]) for one in said] == [
        ("witness_alarm", "w1", size, ""),
        ("witness_alarm", "w2", size, ""),
        ("witness_well", "w1, w2", size, ""),
    ]
    assert len({one["id"] for one in said}) == 3
    assert "refuses this log" in said[0]["text"]
    assert said[0]["link"].endswith("/ledger")


def test_a_service_over_a_restored_backup_tells_people_by_itself(sqlite_pair: Pair, web: Web) -> None:
    data, old = sqlite_pair.data, sqlite_pair.data.with_name("old")
    grow(data, 1)
    told(data, web)
    shutil.copytree(data, old)
    grow(data, 1)
    assert cosign(data).why == ""
    site = open_site(old)
    working = Worker(site)
    working.start()
    assert web.hears(1)
    working.stop()
    assert status(site).why
    site.close()
    (said,) = [json.loads(body) for _, _, body in web.heard]
    assert (said["event"], said["what"]) == ("witness_alarm", "w1, w2")


# --- configuration and verify -------------------------------------------------------------------------------------


def test_what_is_wrong_with_the_witnesses_is_said_at_the_start(tmp_path: Path, data: Path) -> None:
    site = open_site(data)
    own = site.log_key.public_key
    site.close()
    good = ("w1", "http://127.0.0.1:1", str(WitnessKey("w.test/1", bytes(32))))
    text = (data / FILE).read_text()
    for witnesses, quorum, words in (
        ([good], 2, "2 cosignatures are asked for, 1 witnesses"),
        ([good, good], 1, "twice"),
        ([("w1", good[1], str(WitnessKey("w.test/own", own)))], 1, "itself"),
        ([("w1", good[1], good[2][:-2])], 1, r"witnesses\[0\]\.vkey"),
        ([("w1", "ftp://x", good[2])], 1, r"witnesses\[0\]\.url"),
        ([("w1", "http://u:p@x", good[2])], 1, r"witnesses\[0\]\.url"),
    ):
        (data / FILE).write_text(text)
        configure(data, witnesses, quorum)
        with pytest.raises(ConfigError, match=words):
            open_site(data)


def test_verify_asks_for_the_quorum(sqlite_pair: Pair, tmp_path: Path) -> None:

    data = sqlite_pair.data
    grow(data, 1)
    missing = fakes.run("verify", "--data", data)
    assert missing.returncode == 1
    assert b"0 of 2 cosignatures" in missing.stdout
    assert cosign(data).why == ""
    assert fakes.run_json("verify", "--data", data)["checked"]["cosignatures"] == 2
    bare, log = data / "tlog", ("--key", data / "log.vkey")
    keys = [("--witness", one.vkey) for one in sqlite_pair.servers]
    other = str(create(tmp_path / "w3", "witness.test/w3"))
    for options, code in (
        ((), 0),
        (keys[0], 0),
        ((*keys[0], *keys[1]), 0),
        ((*keys[0], "--witness", other), 1),
        ((*keys[0], "--witness", other, "--quorum", "1"), 0),
        (("--witness", other), 1),
        (("--quorum", "1"), 2),
        (("--witness", "x"), 2),
    ):
        assert command("verify", bare, *log, *options)[0] == code, options
    (file := tmp_path / "w1.vkey").write_text(sqlite_pair.servers[0].vkey + "\n")
    assert command("verify", bare, *log, "--witness", file)[0] == 0


def test_a_log_a_little_ahead_of_its_quorum_is_well_and_one_far_ahead_is_not(site: Site) -> None:
    Witnesses(site).ask()
    covered = status(site).covered
    more(site)
    keys, now_ms = [site.log_key.vkey], site.clock.now_ms()
    wanted = Wanted(tuple(one.key for one in site.witnesses), 2)
    report = verify(site.tiles, keys)
    soon = with_quorum(report, site.tiles, keys, wanted, now_ms)
    assert (soon.ok, soon.checked["entries_under_the_quorum"]) == (True, covered)
    late = with_quorum(report, site.tiles, keys, wanted, now_ms + GRACE_MS + 1_000)
    assert "have waited too long" in late.problems[0].what
    kept = site.tiles.cosigned() or b""
    site.tiles.write_cosigned(kept.replace(b"\n" + str(covered).encode(), b"\n" + str(covered - 1).encode(), 1))
    assert not with_quorum(report, site.tiles, keys, wanted, now_ms).ok


# --- the log's key is rotated -------------------------------------------------------------------------------------


def rotate(site: Site) -> VerifierKey:
    return rotation.rotate(site.data, site.engine, site.sealer, site.tiles, "ada", "yearly", site.clock.now_ms())


def test_what_was_cosigned_counts_on_and_the_handover_is_cosigned_by_the_old_key(site: Site, pair: Pair) -> None:
    Witnesses(site).ask()
    before, old = status(site).covered, site.log_key.vkey
    rotate(site)
    assert status(site).covered == before > 0
    Witnesses(site).ask()
    handed_over = status(site)
    assert (handed_over.covered, handed_over.why) == (handed_over.sealed, "")
    more(site)
    Witnesses(site).ask(at_once=True)
    found = status(site)
    assert (found.covered, [one.alarm for one in found.witnesses]) == (handed_over.covered, ["", ""])
    assert found.why.count("does not trust this log's key: have it told the one in log.vkey") == 2
    for home in pair.homes:
        Book(home, lambda: 0).trust(site.log_key.vkey)
    Witnesses(site).ask(at_once=True)
    assert (status(site).covered, status(site).why) == (found.sealed, "")
    keys = handover.follow([old], rotation.published(site.tiles)).older
    wanted = Wanted(tuple(one.key for one in site.witnesses), 2)
    said = with_quorum(verify(site.tiles, keys), site.tiles, keys, wanted, site.clock.now_ms())
    assert (said.ok, said.checked["cosignatures"], said.checked["entries_under_the_quorum"]) == (True, 2, found.sealed)


def test_by_commands_a_witness_told_beforehand_leaves_no_gap(sqlite_pair: Pair, tmp_path: Path) -> None:
    data, named = sqlite_pair.data, [word for one in sqlite_pair.servers for word in ("--witness", one.vkey)]
    grow(data, 1)
    assert cosign(data).why == ""
    old, (_, printed, _) = (data / "log.vkey").read_text().strip(), command("keys", "next", "--data", data)
    coming = printed.strip()
    assert command("keys", "next", "--data", data)[1].strip() == coming != old
    for home in sqlite_pair.homes:
        assert command("witness", "add-log", coming, "--data", home)[0] == 0
    site = open_site(data)
    working = Worker(site)
    working.start()
    assert fakes.run("keys", "rotate", "--reason", "yearly", "--data", data).returncode == 0
    more(site)
    working.stop()  # a service that ran meanwhile: it signs by the new key, and asks once more when it ends
    assert str(site.log_key.vkey) == (data / "log.vkey").read_text().strip() == coming
    assert (status(site).why, status(site).covered) == ("", site.sealer.seal().size)
    site.close()
    with published(data / "tlog") as url:
        for key in (old, coming):
            for where in (("--data", data), (data / "tlog",), ("--url", url)):
                code, said, wrong = command("verify", "--json", *where, "--key", key, *named)
                assert code == 0, (where, said, wrong)
                assert json.loads(said)["checked"]["cosignatures"] == 2


def test_an_old_key_that_was_stolen_has_nothing_cosigned_once_it_is_dropped(sqlite_pair: Pair) -> None:
    data, thief = sqlite_pair.data, sqlite_pair.data.with_name("thief")
    grow(data, 1)
    shutil.copytree(data, thief)
    old = (data / "log.vkey").read_text().strip()
    site = open_site(data)
    for home in sqlite_pair.homes:
        Book(home, lambda: 0).trust(parse_vkey(command("keys", "next", "--data", data)[1].strip()))
    rotate(site)
    Witnesses(site).ask(at_once=True)
    site.close()
    for home in sqlite_pair.homes:
        assert command("witness", "drop-key", old, "--data", home)[0] == 0
        assert command("witness", "drop-key", old, "--data", home)[0] == 2
    grow(thief, 5)
    refused = cosign(thief)
    assert refused.covered == 0
    assert refused.why.count("does not trust this log's key") == 2
    grow(data, 1)
    assert cosign(data).why == ""


# --- actions ------------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, action in marking.actions().items():
        monkeypatch.setitem(ACTIONS, name, action)
    found = tmp_path / "marks"
    found.mkdir()
    return found


@pytest.fixture
def room(pair: Pair, folder: Path) -> Iterator[Room]:
    with (pair.data / FILE).open("a", encoding="utf-8") as file:
        file.write(f"\n[actions.isolate_host]\nrun = true\nfolder = {json.dumps(str(folder))}\n")
    site = open_site(pair.data, clock=StepClock())
    yield Room(site)
    site.close()


def effects(folder: Path) -> int:
    log = folder / "effects.log"
    return len(log.read_text().splitlines()) if log.exists() else 0


def approved(room: Room) -> int:
    number = room.propose()
    room.approve(number, ADA)
    return number


def test_with_the_quorum_there_an_action_runs_at_once_under_its_checkpoint(room: Room, folder: Path) -> None:
    number = approved(room)
    assert Runner(room.site).step() == 1
    assert (room.state(number), effects(folder)) == (Status.PROBED_OK.value, 1)
    assert kinds(room.site, Kind.ACTION_WAITING) == 0
    (started,) = fakes.entries(room.site.engine, Kind.ACTION_STARTED)
    assert started.body["sealed"] == status(room.site).covered
    (probed,) = fakes.entries(room.site.engine, Kind.ACTION_PROBED)
    assert "quorum" in probed.body["ms"]


def test_without_the_quorum_it_waits_says_why_and_goes_on_by_itself(room: Room, pair: Pair, folder: Path) -> None:
    pair.down(1)
    number, runner = approved(room), Runner(room.site)
    for _ in range(3):
        assert runner.step() == 0
        later(room.site)
    assert (room.state(number), effects(folder)) == (Status.SEALED.value, 0)
    assert kinds(room.site, Kind.ACTION_WAITING) == 1
    sheet = room.approving.sheet(number)
    assert "1 of 2 cosignatures that are needed (w2 cannot be reached" in sheet.note
    assert [step.what for step in sheet.steps] == ["proposed", "approved", "intent written", "waits for witnesses"]
    (line,) = room.approving.of_case(room.case)
    assert "w2 cannot be reached" in line.waits
    pair.up(1)
    assert runner.step() == 1
    assert (room.state(number), effects(folder)) == (Status.PROBED_OK.value, 1)
    assert [step.what for step in room.approving.sheet(number).steps][-3:] == ["waits for witnesses", "started", "probed"]
    assert room.approving.of_case(room.case)[0].waits == ""
    assert fakes.verified(room.site).ok
    fakes.assert_rebuilds(room.site)


def test_what_waits_for_witnesses_expires_with_its_approval(room: Room, pair: Pair, folder: Path) -> None:
    pair.down(0, 1)
    number, runner = approved(room), Runner(room.site)
    assert runner.step() == 0
    later(room.site, 3_700_000)
    pair.up(0, 1)
    assert runner.step() == 1
    assert (room.state(number), effects(folder)) == (Status.PERSON.value, 0)
    assert "expired" in room.approving.sheet(number).steps[-1].text


def test_while_a_witness_raises_the_alarm_nothing_runs_whatever_the_others_say(
    room: Room, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of two would do, and has cosigned; the other remembers more of this log than there is."""
    site = room.site
    site.config = replace_quorum(site, 1)
    first, second = site.witnesses
    monkeypatch.setattr(Liar, "answer", (409, "text/x.tlog.size", b"100000\n"))
    with lying() as url:
        site.witnesses = (first, second._replace(url=url))
        number, runner = approved(room), Runner(site)
        assert runner.step() == 0
        assert (room.state(number), effects(folder)) == (Status.SEALED.value, 0)
        assert "rolled back" in room.approving.sheet(number).note
    site.witnesses = (first, second)
    later(site)
    assert Runner(site).step() == 1
    assert effects(folder) == 1


def replace_quorum(site: Site, quorum: int) -> Any:
    return replace(site.config, ledger=replace(site.config.ledger, quorum=quorum))


# --- someone else's ------------------------------------------------------------------------------------------------


def test_a_witness_that_others_wrote_cosigns_and_refuses(sqlite_pair: Pair, tmp_path: Path) -> None:
    """``aics-witness`` from PyPI; it needs a newer Python than this product, so it runs only where it is on the PATH."""
    if (tool := shutil.which("aics-witness")) is None:
        pytest.skip("aics-witness is not on the PATH (pip install aics-witness, Python 3.12)")
    data, config = sqlite_pair.data, tmp_path / "witness.json"
    env = fakes.environment(AICS_WITNESS_CONFIG=str(config))
    del env["PYTHONPATH"]

    def theirs(*args: str) -> str:
        return subprocess.run([tool, *args], env=env, check=True, capture_output=True, text=True).stdout

    port = sqlite_pair.servers[1].port
    sqlite_pair.down(1)
    vkey = theirs("init", "--name", "witness.test/theirs").split()[0]
    log_key = (data / "log.vkey").read_text().strip()
    theirs("add-log", "--origin", log_key.partition("+")[0], "--vkey", log_key)
    serving = subprocess.Popen([tool, "serve", "--listen", f"127.0.0.1:{port}"], env=env, stderr=subprocess.PIPE, text=True)
    try:
        assert serving.stderr is not None
        while "listening" not in serving.stderr.readline():
            assert serving.poll() is None
        text = (data / FILE).read_text().replace(sqlite_pair.servers[1].vkey, vkey)
        (data / FILE).write_text(text)
        grow(data, 1)
        assert cosign(data).why == ""
        shutil.copytree(data, data.with_name("fork"))
        grow(data, 2)
        grow(data.with_name("fork"), 3)
        assert cosign(data).why == ""
        assert fakes.run("verify", "--data", data).returncode == 0
        assert "w2 has cosigned another log" in cosign(data.with_name("fork")).witnesses[1].alarm
    finally:
        serving.terminate()
        serving.communicate(timeout=30)


def test_an_action_that_waits_goes_on_across_a_rotation(room: Room, pair: Pair, folder: Path) -> None:
    pair.down(1)
    number, runner = approved(room), Runner(room.site)
    assert runner.step() == 0
    rotate(room.site)
    later(room.site)
    assert (runner.step(), effects(folder)) == (0, 0)
    pair.up(1)
    later(room.site)
    assert runner.step() == 1
    assert (room.state(number), effects(folder)) == (Status.PROBED_OK.value, 1)
