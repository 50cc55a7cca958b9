"""The log's key is rotated while witnesses cosign."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from countersign.api.server import Worker
from countersign.bootstrap import Site, open_site
from countersign.ledger import handover
from countersign.ledger.note import parse_vkey
from countersign.ledger.quorum import Wanted, with_quorum
from countersign.ledger.verify import verify
from countersign.store import rotation
from countersign.witness.book import Book
from countersign.witnessing import Witnesses, status
from tests import fakes
from tests.integration.test_verify_published import served as published
from tests.witnesses import Pair, command, cosign, grow, more, rotate

pytestmark = pytest.mark.xdist_group("witnesses")  # they share two servers


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
