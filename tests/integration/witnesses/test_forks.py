"""Copies of a log that go on differently, and what commands and console say of them."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from countersign.config import FILE
from countersign.store.keys import LogKey
from countersign.witness.book import Book
from tests import fakes
from tests.witnesses import Pair, command, cosign, grow, origin

pytestmark = pytest.mark.xdist_group("witnesses")  # they share two servers


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
