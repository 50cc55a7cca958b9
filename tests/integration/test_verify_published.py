"""``countersign verify --url``, and verifying in several processes: whoever reads, the findings are the same."""

from __future__ import annotations

import gzip
import http.server
import json
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from countersign.errors import EnvironmentFault, UsageError, VerificationError
from countersign.ledger.note import Checkpoint, sign_note
from countersign.ledger.tiles import decode_bundle, encode_bundle
from countersign.ledger.verify import verify
from countersign.store import tables as t
from countersign.store import tiles_http
from countersign.store.engine import make_engine
from countersign.store.ledger_rows import LedgerRows
from countersign.store.looking import processes
from countersign.store.sealer import Sealer
from countersign.store.tiles import TileDir
from countersign.store.tiles_http import BUNDLE_BYTES_MAX, TileUrl
from tests.approval_story import Story, approved, people, told
from tests.integration.test_ledger_commands import change_row, delete_rows, run
from tests.ledger_log import KEY, add, entry, flip

SIZE = 4_700
KEYS = [KEY.vkey]


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site whose log fills more than one go of the processes, and the checkpoint of before."""
    data = tmp_path_factory.mktemp("published")
    engine = make_engine(f"sqlite:///{data / 'countersign.sqlite'}")
    t.metadata.create_all(engine)
    sealer = Sealer(engine, TileDir(data / "tlog"), KEY)
    add(engine, 4_400)
    sealer.seal()
    shutil.copy(data / "tlog" / "checkpoint", data / "old")
    add(engine, SIZE - 4_400, 4_400)
    sealer.seal()
    engine.dispose()
    (data / "log.vkey").write_text(f"{KEY.vkey}\n")
    return data


@pytest.fixture
def site(pristine: Path, tmp_path: Path) -> Path:
    return shutil.copytree(pristine, tmp_path / "site")


Answer = tuple[int, bytes, dict[str, str]]


@contextmanager
def served(folder: Path, change: Callable[[str, Answer], Answer | None] = lambda _path, answer: answer) -> Iterator[str]:
    """Address of a server of the folder's files. change: what it answers in place of (status, bytes, headers); None cuts
    the connection."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = folder / self.path.lstrip("/")
            honest: Answer = (200, path.read_bytes(), {}) if path.is_file() else (404, b"", {})
            answer = change(self.path, honest)
            if answer is None:
                self.close_connection = True
                return
            self.send_response(answer[0])
            for name, value in answer[2].items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer[1])))
            self.end_headers()
            self.wfile.write(answer[1])

        def log_message(self, *_args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


# --- published ----------------------------------------------------------------------------------------------------


def test_a_published_log_verifies_with_the_key_and_an_older_checkpoint(site: Path) -> None:
    with served(site / "tlog") as url:
        done = run("verify", "--url", url, "--key", site / "log.vkey", "--since", site / "old", "--json")
        report = json.loads(done.stdout)
        assert (done.returncode, report["size"], report["checked"]["checkpoints"]) == (0, SIZE, 2), done.stderr
        proof = run("proof", "4500", "--url", f"{url}/", "--key", site / "log.vkey")
        assert proof.stdout == run("proof", "4500", site).stdout
        newer = shutil.copy(site / "tlog" / "checkpoint", site / "newer")
        shutil.copy(site / "old", site / "tlog" / "checkpoint")
        rolled_back = run("verify", "--url", url, "--key", site / "log.vkey", "--since", newer)
        assert (rolled_back.returncode, "rolled back" in rolled_back.stdout) == (1, True)


def test_a_partial_tile_that_was_collected_is_read_from_the_full_one(site: Path) -> None:
    shutil.copy(site / "old", site / "tlog" / "checkpoint")  # a reader that began before the log grew
    assert not (site / "tlog" / "tile" / "0" / "017.p" / "48").exists()
    with served(site / "tlog") as url:
        report = verify(TileUrl(url), KEYS)
    assert (report.ok, report.size) == (True, 4_400), report.problems


def test_a_changed_byte_on_the_way_is_named(site: Path) -> None:
    def change(path: str, answer: Answer) -> Answer:
        return (200, flip(answer[1], 8 * 50), {}) if path.endswith("entries/003") else answer

    with served(site / "tlog", change) as url:
        report = verify(TileUrl(url), KEYS)
    assert any(problem.index == 768 and "entry 768 was changed" in problem.what for problem in report.problems)


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        ((403, b"", {}), EnvironmentFault, "server answers 403"),
        ((503, b"", {}), EnvironmentFault, "server answers 503"),
        ((302, b"", {"Location": "https://else.test/tlog/checkpoint"}), EnvironmentFault, "moved to https://else.test"),
        ((200, b"x" * 2_000_000, {}), VerificationError, "over the limit of 1000000 bytes"),
        (
            (200, gzip.compress(b"\0" * 50_000_000), {"Content-Encoding": "gzip"}),
            VerificationError,
            "over the limit of 1000000 bytes",
        ),
        ((200, b"no gzip", {"Content-Encoding": "gzip"}), EnvironmentFault, "cannot be read"),
        (None, EnvironmentFault, "cannot be reached"),
    ],
)
def test_a_server_that_is_no_log_is_one_clear_line(
    site: Path, monkeypatch: pytest.MonkeyPatch, answer: Answer | None, error: type[Exception], words: str
) -> None:
    monkeypatch.setattr(tiles_http, "WAITS_S", (0.0,))
    with served(site / "tlog", lambda _path, _answer: answer) as url, pytest.raises(error, match=words) as caught:
        verify(TileUrl(url), KEYS)
    assert f"{url}/checkpoint" in str(caught.value)


def test_a_server_that_stumbles_is_asked_again(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiles_http, "WAITS_S", (0.0, 0.0))
    seen: set[str] = set()

    def change(path: str, answer: Answer) -> Answer | None:
        if path in seen:
            return answer
        seen.add(path)
        return (503, b"", {}) if len(seen) % 2 else None

    with served(site / "tlog", change) as url:
        assert verify(TileUrl(url), KEYS).ok


def test_a_bundle_may_be_as_large_as_a_bundle_can_be_and_no_larger(site: Path) -> None:
    def change(path: str, answer: Answer) -> Answer:
        return (200, b"x" * (BUNDLE_BYTES_MAX + 1), {}) if "entries/000" in path else answer

    with served(site / "tlog", change) as url, pytest.raises(VerificationError, match="over the limit"):
        verify(TileUrl(url), KEYS)


@pytest.mark.parametrize("url", ["", "ftp://host/tlog", "https://", "host/tlog", "https://host/tlog?x=1", "http://[half"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="not an address of a log"):
        TileUrl(url)


def test_wrong_use_is_one_clear_line(site: Path) -> None:
    for args, words in (
        (("--url", "http://127.0.0.1:9/tlog"), "give --key"),
        ((site, "--url", "http://127.0.0.1:9/tlog", "--key", site / "log.vkey"), "not both"),
        (("--url", "nonsense", "--key", site / "log.vkey"), "not an address of a log"),
    ):
        done = run("verify", *args)
        assert (done.returncode, done.stderr.count("\n"), done.stdout) == (2, 1, "")
        assert words in done.stderr


# --- in several processes -----------------------------------------------------------------------------------------


def change_bundle(site: Path, number: int, change: Callable[[list[bytes]], list[bytes]]) -> None:
    path = site / "tlog" / "tile" / "entries" / f"{number:03}"
    path.write_bytes(encode_bundle(change(decode_bundle(path.read_bytes())[0])))


def in_database(site: Path, change: Callable[[object], None]) -> None:
    engine = make_engine(f"sqlite:///{site / 'countersign.sqlite'}")
    change(engine)
    engine.dispose()


DAMAGE: dict[str, Callable[[Path], object]] = {
    "nothing": lambda _site: None,
    "entries in both halves": lambda site: [
        change_bundle(site, n, lambda e: [*e[:9], flip(e[9], 9), *e[10:]]) for n in (1, 17)
    ],
    "an entry deleted": lambda site: change_bundle(site, 2, lambda e: e[:7] + e[8:]),
    "entries swapped": lambda site: change_bundle(site, 16, lambda e: [e[1], e[0], *e[2:]]),
    "a bundle gone": lambda site: (site / "tlog/tile/entries/005").unlink(),
    "a bundle, its tile and its rows gone": lambda site: [
        (site / "tlog/tile/entries/005").unlink(),
        (site / "tlog/tile/0/005").unlink(),
        in_database(site, lambda engine: delete_rows(engine, 1_280, 1_300)),
    ],
    "a leaf hash": lambda site: (site / "tlog/tile/0/016").write_bytes(flip((site / "tlog/tile/0/016").read_bytes(), 99)),
    "a row changed": lambda site: in_database(site, lambda engine: change_row(engine, 4_200)),
    "rows deleted": lambda site: in_database(site, lambda engine: delete_rows(engine, 100, 103)),
    "rows rolled back": lambda site: in_database(site, lambda engine: delete_rows(engine, 300, SIZE)),
    "signed over another history": lambda site: (site / "tlog/checkpoint").write_bytes(
        sign_note(Checkpoint(KEY.name, SIZE, bytes(32)).text, KEY)
    ),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_several_processes_find_the_very_same(site: Path, name: str) -> None:
    DAMAGE[name](site)
    engine = make_engine(f"sqlite:///{site / 'countersign.sqlite'}")
    tiles, since = TileDir(site / "tlog"), (site / "old").read_bytes()
    spread = processes(partial(TileDir, site / "tlog"), 2)
    for record in (None, LedgerRows(engine)):
        alone = verify(tiles, KEYS, record=record, since=since)
        assert verify(tiles, KEYS, record=record, since=since, spread=spread) == alone
        assert alone.ok == (name == "nothing" or (record is None and "row" in name and "bundle" not in name)), alone.problems
    engine.dispose()


TYPES = {
    "a row as text": ("UPDATE entries SET bytes = CAST(bytes AS TEXT) WHERE idx = 14", "entry 14 was changed"),
    "a row as a number": ("UPDATE entries SET bytes = 5 WHERE idx = 14", "entry 14 was changed"),
    "text that is none": ("UPDATE entries SET kind = CAST(x'fffe' AS TEXT) WHERE idx = 14", "database is damaged"),
    "a size that is none": ("UPDATE ledger_head SET size = 'many'", "its size is no number"),
    "no head": ("DELETE FROM ledger_head", "its row was deleted"),
    "evidence that is none": (
        "INSERT INTO evidence VALUES (x'00', 'probe', x'00', CAST(x'fffe' AS TEXT))",
        "evidence cannot be",
    ),
    "evidence of no name": ("INSERT INTO evidence VALUES (x'00', 'probe', x'00', x'00')", "does not match its commitment"),
    "no evidence": ("DROP TABLE evidence", "no such table: evidence"),
}


@pytest.mark.parametrize("name", TYPES)
def test_what_sqlite_lets_a_tamperer_put_there_is_a_problem_and_no_crash(site: Path, name: str) -> None:
    change, said = TYPES[name]
    with sqlite3.connect(site / "countersign.sqlite") as db:
        db.execute(change)
    db.close()
    done = run("verify", site, "--json")
    assert done.returncode == 1, done.stderr
    problems = json.loads(done.stdout)["problems"]
    assert any(said in one["what"] for one in problems), problems
    assert not any("is missing: it was deleted" in one["what"] for one in problems)


def test_jobs_from_the_command_line(site: Path) -> None:
    change_bundle(site, 17, lambda e: [*e[:9], entry_bytes(7), *e[10:]])
    one, two = (run("verify", site, "--jobs", jobs, "--json") for jobs in ("1", "2"))
    assert (one.returncode, one.stdout) == (two.returncode, two.stdout)
    assert one.returncode == 1
    assert [p["index"] for p in json.loads(one.stdout)["problems"]] == [4361, None]


def entry_bytes(number: int) -> bytes:
    from countersign.ledger.canonical import encode  # noqa: PLC0415

    return encode(entry(number, "forged"))


# --- approvals, from the command line -------------------------------------------------------------------------------


def published(story: Story, folder: Path) -> Path:
    for path, data in story.log().files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    return folder


def test_tiles_alone_say_what_could_not_be_checked_and_what_is_open(tmp_path: Path) -> None:
    folder = published(told(), tmp_path / "told")
    done = run("verify", folder, "--key", str(KEY.vkey))
    assert done.returncode == 0, done.stdout
    assert "UNCHECKED proposals without their bytes" in done.stdout
    assert "first person" in done.stdout
    story = approved()
    story.intended(story.at["number"], [story.at["ada"], story.at["bea"]])
    done = run("verify", published(story, tmp_path / "open"), "--key", str(KEY.vkey), "--json")
    report = json.loads(done.stdout)
    assert (done.returncode, report["ok"], len(report["open"])) == (0, True, 1)


def test_a_forged_approval_exits_1(tmp_path: Path) -> None:
    story = people()
    number = story.ask_action("person~cyn")
    story.intended(number, [])
    done = run("verify", published(story, tmp_path / "forged"), "--key", str(KEY.vkey))
    assert done.returncode == 1
    assert "rests on 0 valid approvals" in done.stdout
