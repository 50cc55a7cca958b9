"""A small log is checked whole by a shell and by Go, and neither takes it with any byte of it changed."""

from __future__ import annotations

import random
import shutil
from base64 import b64encode
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests import fakes
from tests.external.checkers import Go, Shell, checker
from tests.external.conftest import Log
from tests.external.test_large_log import flipped, rewrite

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("external")]
FLIPS = 24


@pytest.fixture(scope="module")
def shell() -> Shell:
    return Shell()


@pytest.fixture(scope="module")
def go(request: pytest.FixtureRequest) -> Go:
    return Go(request.config.cache.mkdir("go"))  # type: ignore[union-attr]


def whole(shell: Shell, log: Log) -> list[int]:
    return [shell(what, log.vkey, log.tlog).returncode for what in ("tree", "entries")]


def covered(log: Log) -> list[Path]:
    """Files of the tiles that the checkpoint covers: not the partial ones of earlier checkpoints."""
    found = [file for file in (log.tlog / "tile").rglob("*") if file.is_file()]
    widths = {log.size % 256, (log.size // 256) % 256}
    return sorted(file for file in found if not file.parent.name.endswith(".p") or int(file.name) in widths)


def test_the_shell_checks_every_entry_and_tile(small: Log, shell: Shell) -> None:
    for what in ("checkpoint", "tree", "entries"):
        done = shell(what, small.vkey, small.tlog / "checkpoint" if what == "checkpoint" else small.tlog)
        assert (done.returncode, done.stdout[:9]) == (0, "verified:"), done.stderr


@pytest.mark.parametrize("seed", range(FLIPS))
def test_no_byte_of_a_tile_or_bundle_can_be_changed(small: Log, shell: Shell, go: Go, tmp_path: Path, seed: int) -> None:
    draw = random.Random(seed)
    copy = small.copy(tmp_path / "copy")
    files = covered(copy)
    file = files[seed % len(files)]
    at = draw.randrange(file.stat().st_size)
    rewrite(file, lambda data: flipped(data, at))
    assert go.log(copy).returncode == 1, f"{file} at {at}"
    assert 1 in whole(shell, copy), f"{file} at {at}"


def test_no_byte_of_the_checkpoint_can_be_changed(small: Log, shell: Shell, go: Go, tmp_path: Path) -> None:
    signed = (small.tlog / "checkpoint").read_bytes()
    copy = small.copy(tmp_path / "copy")
    taken = []
    for at in sorted({*range(0, len(signed), 4), len(signed) - 1}):
        rewrite(copy.tlog / "checkpoint", lambda _, at=at: flipped(signed, at))  # type: ignore[misc]
        by_shell = shell("checkpoint", small.vkey, copy.tlog / "checkpoint").returncode
        if not by_shell or not go.log(copy).returncode:
            taken.append((at, flipped(signed, at)[max(0, at - 3) : at + 3]))
    assert taken == []


def test_nothing_can_be_missing(small: Log, shell: Shell, go: Go, tmp_path: Path) -> None:
    for number, name in enumerate(covered(small)):
        copy = small.copy(tmp_path / f"copy{number}")
        (copy.tlog / name.relative_to(small.tlog)).unlink()
        assert go.log(copy).returncode == 1
        assert 1 in whole(shell, copy)


def test_the_shell_knows_an_older_checkpoint_of_another_history(small: Log, shell: Shell, tmp_path: Path) -> None:
    for older in small.older:
        assert shell("since", small.vkey, small.tlog, older).returncode == 0
    data = fakes.data_directory(tmp_path / "data")
    (data / "keys").mkdir(mode=0o700)
    shutil.copy(small.data / "keys" / "log.key", data / "keys" / "log.key")
    file = tmp_path / "alerts.json"
    file.write_bytes(b"\n".join(fakes.wazuh(str(number), host=f"h{number}") for number in range(40)))
    assert fakes.run("ingest", file, "--source", "wazuh", "--data", data).returncode == 0
    done = shell("since", small.vkey, small.tlog, data / "tlog" / "checkpoint")
    assert (done.returncode, "does not extend" in done.stderr) == (1, True)
    done = shell("since", small.vkey, data / "tlog", small.older[0])
    assert (done.returncode, "only" in done.stderr) == (1, True)


def test_an_entry_is_printed_once_its_bundle_was_checked(small: Log, shell: Shell) -> None:
    for index in (256, small.size - 1):
        wanted = fakes.run_json("proof", str(index), "--data", small.data)["entry"]
        assert shell("entry", small.vkey, small.tlog, str(index)).stdout == wanted
    assert shell("entry", small.vkey, small.tlog, str(small.size)).returncode == 1


@pytest.mark.parametrize("name", ["go", "node", "python", "shell"])
def test_a_checkpoint_that_witnesses_signed_too_is_accepted(
    small: Log, name: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Cosignatures (C2SP tlog-cosignature, Ed25519) stand below the log's own, by keys that the checker need not know."""
    copy = small.copy(tmp_path / "copy")
    rewrite(copy.tlog / "checkpoint", lambda signed: signed + cosignature(signed, "witness.test/w1", b"1" * 32))
    done = checker(name, request).entries(copy, [17], tmp_path / "files")
    assert done.returncode == 0, done.stderr


def cosignature(signed: bytes, name: str, seed: bytes) -> bytes:
    key, text = Ed25519PrivateKey.from_private_bytes(seed), signed.partition(b"\n\n")[0] + b"\n"
    key_id = sha256(f"{name}\n\x04".encode() + key.public_key().public_bytes_raw()).digest()[:4]
    raw = key_id + (1_790_000_000).to_bytes(8, "big") + key.sign(b"cosignature/v1\ntime 1790000000\n" + text)
    return f"— {name} {b64encode(raw).decode()}\n".encode()
