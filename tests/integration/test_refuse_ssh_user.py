"""Refusing an account over ssh at a real sshd, which is asked from outside whether it would take a key."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from countersign.actions import refuse_ssh_user
from countersign.errors import ConfigError, TargetFault
from countersign.model.inventory import Asset, Identity
from countersign.model.responses import Effect
from tests.namespaces import Driven, Sshd, fault, hand_of, order, sh, sshd
from tests.ports import deaf_port, free_port

pytestmark = [pytest.mark.root, pytest.mark.xdist_group("network")]  # one at a time: they share this machine
HOST = Asset("jump-01", "bastion", addresses=("127.0.0.1",))
GAMES, NEWS = Identity("games"), Identity("news")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """It takes the probe's key from everybody; nobody has the private half of that."""
    folder = tmp_path_factory.mktemp("sshd")
    sh("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / "probe"))
    (folder / "probe").unlink()
    with TemporaryDirectory(prefix="countersign-keys-") as open_to_all:  # sshd reads it as the account that knocks
        Path(open_to_all).chmod(0o755)
        key = shutil.copy(folder / "probe.pub", open_to_all)
        with (
            sshd(folder, "127.0.0.1", free_port(), f"AuthorizedKeysFile {folder / 'keys'} {key}") as made,
            pytest.MonkeyPatch.context() as patch,
        ):
            patch.setattr(refuse_ssh_user, "RETRY_S", (*refuse_ssh_user.RETRY_S, 3.2, 6.4))  # it reloads slowly when busy
            yield made


@pytest.fixture(autouse=True)
def _clean(server: Sshd) -> Iterator[None]:
    yield
    server.drop_in.write_text("", "utf-8")


def refuse(server: Sshd, who: Identity = GAMES, name: str = "refuse_ssh_user", **more: Any) -> Driven:
    told = ("kill", "-HUP", str(server.pid))
    own = {"file": str(server.drop_in), "reload": told, "probe_key": f"file:{server.folder / 'probe.pub'}"}
    return Driven(hand_of(name, server.settings() | own | more), order(name, who, HOST))


def test_there_and_back(server: Sshd) -> None:
    one, other = refuse(server), refuse(server, NEWS)
    assert one.check().effect is Effect.ABSENT
    one.do()
    one.do()
    assert server.drop_in.read_text("utf-8").count("DenyUsers games\n") == 1
    assert (one.probe().effect, other.probe().effect) == (Effect.HOLDS, Effect.ABSENT)
    other.do()
    assert (one.probe().effect, other.probe().effect) == (Effect.HOLDS, Effect.HOLDS)
    one.undo()
    one.undo()
    assert (one.probe().effect, other.probe().effect) == (Effect.ABSENT, Effect.HOLDS)
    other.undo()
    assert other.probe().effect is Effect.ABSENT


def test_allowed_as_an_action_of_its_own(server: Sshd) -> None:
    refuse(server).do()
    back = refuse(server, name="allow_ssh_user")
    back.do()
    assert back.probe().effect is Effect.HOLDS


def test_a_key_that_nobody_may_use_says_nothing(server: Sshd) -> None:
    one = refuse(server, probe_key=f"file:{server.folder / 'stranger.pub'}")
    one.do()
    assert one.probe().effect is Effect.UNKNOWN
    one.undo()


def test_without_a_probe_key_nobody_knows(server: Sshd) -> None:
    assert refuse(server, probe_key="").probe().effect is Effect.UNKNOWN


@pytest.mark.parametrize("step", ["check", "do", "probe", "undo"])
def test_our_own_way_in_is_never_refused(server: Sshd, step: str) -> None:
    assert fault(refuse(server, Identity("root")), step).kind == TargetFault.REFUSED
    assert server.drop_in.read_text("utf-8") == ""


NAMES = ["*", "games root", "games@*", "!root", "-oProxyCommand=x", "games\nPermitRootLogin yes", ""]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("step", ["check", "do", "probe", "undo"])
def test_a_name_that_sshd_could_read_as_more_is_refused(server: Sshd, name: str, step: str) -> None:
    assert fault(refuse(server, Identity(name)), step).kind == TargetFault.REFUSED
    assert server.drop_in.read_text("utf-8") == ""


def test_a_server_that_is_away_is_unreachable(server: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refuse_ssh_user, "RETRY_S", (0.1, 0.2))
    with deaf_port() as away:
        assert fault(refuse(server, port=away), "probe").kind == TargetFault.UNREACHABLE
    empty = tmp_path / "known_hosts"
    empty.touch()
    assert fault(refuse(server, known_hosts=str(empty)), "probe").kind == TargetFault.CREDENTIALS


def test_another_host_cannot_be_the_vantage(server: Sshd) -> None:
    with pytest.raises(ConfigError, match=r"actions\.refuse_ssh_user\.vantage"):
        refuse(server, vantage="ssh:192.0.2.1")
