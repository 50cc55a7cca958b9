"""How many witnesses a site asks for: in its configuration, and in what verify asks for."""

from __future__ import annotations

from pathlib import Path

import pytest

from countersign.bootstrap import Site, open_site
from countersign.config import FILE
from countersign.errors import ConfigError
from countersign.ledger.cosignature import WitnessKey
from countersign.ledger.quorum import GRACE_MS, Wanted, with_quorum
from countersign.ledger.verify import verify
from countersign.witness.book import create
from countersign.witnessing import Witnesses, status
from tests import fakes
from tests.witnesses import Pair, command, configure, cosign, grow, more

pytestmark = pytest.mark.xdist_group("witnesses")  # they share two servers


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
