"""What reaches a target: either nothing, or the words that were meant, each of them once (P10).

A real sshd notes down every command and script it is given. Names, addresses and parameters are drawn from text that means
something to a shell, nftables, a resolver, sshd or ssh itself.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from countersign.actions import nftables
from countersign.actions.block_domain import FORMS
from countersign.actions.refuse_ssh_user import FORM
from countersign.errors import TargetFault
from countersign.model.inventory import Asset, Identity
from countersign.model.values import is_address, is_domain
from tests.examples import examples
from tests.namespaces import Driven, Sshd, hand_of, order, sshd
from tests.ports import free_port

pytestmark = [pytest.mark.root, pytest.mark.xdist_group("network")]  # one at a time: they share this machine
COVERS = (
    *("isolate_host", "release_host", "block_address", "unblock_address"),
    *("block_domain", "unblock_domain", "refuse_ssh_user", "allow_ssh_user"),
)
HERE = "127.0.0.1"
NOTED = """#!/usr/bin/env python3
import json, os, sys
said = sys.stdin.buffer.read().decode("utf-8", "surrogateescape")
with open({path!r}, "a") as notes:
    notes.write(json.dumps([os.environ.get("SSH_ORIGINAL_COMMAND", ""), said]) + "\\n")
"""

PIECES = [
    "ws-103", "; reboot", "$(id)", "`id`", "&& nft flush ruleset", "| sh", "\n", "\r\n", "\0", "'", '"', "\\",
    "{ 0.0.0.0/0 }", "accept", "-oProxyCommand=id", "--", "../", "*", "%h", "@", "\u202e", "ﬁ", "１２７.0.0.1", "games", "#",
    "$INCLUDE /etc/passwd", "127.0.0.1", "0.0.0.0", "203.0.113.9", "::1", "2001:DB8::1", "fe80::1%eth0",
    "10.0.0.1 }; flush ruleset", "evil.example", "evil.example.", "xn--", "EVIL.example",
    "evil.example A 1.2.3.4", "*.example",
]  # fmt: skip
hostile = st.lists(st.sampled_from(PIECES) | st.text(max_size=6), max_size=3).map("".join)
FEW = settings(max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@dataclass(frozen=True)
class Target:
    """The sshd, and what it noted."""

    server: Sshd
    notes: Path

    def hand(self, name: str, **more: Any) -> Any:
        return hand_of(name, self.server.settings() | more)

    def told(self, one: Driven, step: str) -> list[tuple[list[str], str]]:
        """(words as its shell would see them, script) of every command of one step."""
        self.notes.write_text("", "utf-8")
        with suppress(TargetFault):
            getattr(one, step)()
        noted = [json.loads(line) for line in self.notes.read_text("utf-8").splitlines()]
        return [(shlex.split(command), script) for command, script in noted]


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    folder = tmp_path_factory.mktemp("noting")
    notes, program = folder / "notes", folder / "note"
    program.write_text(NOTED.format(path=str(notes)), "utf-8")
    program.chmod(0o755)
    with sshd(folder, HERE, free_port(), f"ForceCommand {program}") as server:
        yield Target(server, notes)


STEPS = st.sampled_from(["check", "do", "undo"])


@FEW
@given(name=hostile, address=hostile, step=STEPS)
@example(name="$(id)", address=HERE, step="do")
@example(name="ws-103", address="127.0.0.1/8", step="do")
def test_a_hosts_name_and_addresses(target: Target, name: str, address: str, step: str) -> None:
    """Its name reaches nobody; another address than this machine's would lead elsewhere, so it stands second."""
    asset = Asset(name, name, name, addresses=(HERE, address), aliases=(name,))
    one = Driven(target.hand("isolate_host", management=["192.0.2.7"]), order("isolate_host", asset, minutes=240))
    script = nftables.isolation(one.hand._management, HERE, target.server.port).decode()  # type: ignore[attr-defined]
    meant = {
        "check": [(list(nftables.TRY), script)],
        "do": [(list(nftables.LOAD), script)],
        "undo": [(list(nftables.LOAD), nftables.release().decode())],
    }
    assert target.told(one, step) in ([], meant[step])


@FEW
@given(name=hostile, address=hostile, step=STEPS)
@example(name="; reboot", address="203.0.113.9", step="do")
@example(name="fw", address="2001:db8::1", step="undo")
@example(name="fw", address="203.0.113.9 }; flush ruleset; #", step="do")
def test_an_address_to_block(target: Target, name: str, address: str, step: str) -> None:
    asset = Asset(name, addresses=(HERE,))
    told = target.told(Driven(target.hand("block_address"), order("block_address", asset, address=address)), step)
    if not is_address(address):
        assert told == []
        return
    script = (nftables.unblock if step == "undo" else nftables.block)(address).decode()
    assert (list(nftables.TRY if step == "check" else nftables.LOAD), script) == told[0]
    assert [words for words, _ in told[1:]] == [list(nftables.listing(address))] * (step == "check")
    assert script.count(address) == script.count(f" {address} ") == (2 if step == "undo" else 1)


@FEW
@given(name=hostile, domain=hostile, form=st.sampled_from(sorted(FORMS)), step=STEPS)
@example(name="; reboot", domain="evil.example", form="rpz", step="do")
@example(name="ns", domain="evil.example\n$INCLUDE /etc/passwd", form="rpz", step="do")
@example(name="ns", domain="evil.example 1.2.3.4", form="hosts", step="do")
def test_a_domain_to_block(target: Target, name: str, domain: str, form: str, step: str) -> None:
    file = "/etc/countersign.zone"
    hand = target.hand("block_domain", form=form, file=file, reload=["rndc", "reload"], dns_port=1)
    told = target.told(Driven(hand, order("block_domain", Asset(name, addresses=(HERE,)), domain=domain)), step)
    if not is_domain(domain):
        assert told == []
        return
    names = (domain,) if step == "do" else ()
    write = [
        (["tee", f"{file}.new"], FORMS[form].render(names, 1)),
        (["mv", "-f", f"{file}.new", file], ""),
        (["rndc", "reload"], ""),
    ]
    assert told == [(["cat", file], ""), *(write if step != "check" else [])]


@FEW
@given(name=hostile | st.from_regex(r"\A[a-z_][a-z0-9_.-]{0,8}\Z"), host=hostile, step=STEPS)
@example(name="games", host="; reboot", step="do")
@example(name="games root", host="jump", step="do")
def test_an_account_to_refuse(target: Target, name: str, host: str, step: str) -> None:
    file = "/etc/ssh/sshd_config.d/own.conf"
    hand = target.hand("refuse_ssh_user", file=file, reload=["systemctl", "reload", "ssh"])
    told = target.told(Driven(hand, order("refuse_ssh_user", Identity(name), Asset(host, addresses=(HERE,)))), step)
    names = (name,) if step == "do" else ()
    write = [
        (["tee", f"{file}.new"], FORM.render(names, 1)),
        (["mv", "-f", f"{file}.new", file], ""),
        (["systemctl", "reload", "ssh"], ""),
        (["true"], ""),
    ]
    assert told in ([], [(["cat", file], ""), *(write if step != "check" else [])])
    assert not told or (name.isascii() and name.replace("_", "a").replace(".", "a").replace("-", "a").isalnum())
