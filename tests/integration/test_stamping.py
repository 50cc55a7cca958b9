"""Checkpoints stamped by a real authority (``openssl ts``), checked by ``verify`` and by ``openssl ts -verify``."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from countersign.bootstrap import open_site
from countersign.cli.main import app
from tests.integration.test_verify_published import served
from tests.timestamping import Authority, authority

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
RUN = CliRunner()


@pytest.fixture
def tsa(tmp_path: Path) -> Iterator[Authority]:
    with authority(tmp_path / "tsa") as made:
        yield made


@pytest.fixture
def data(tmp_path: Path, tsa: Authority) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "countersign.toml").write_text(f'[ledger.timestamps]\nurl = "{tsa.url}"\nca = "{tsa.ca}"\n')
    return folder


def grow(data: Path) -> None:
    site = open_site(data)
    site.commands.stop("*", "test")
    site.commands.resume("*", "test")
    site.seal()
    site.close()


def run(*words: str | Path) -> tuple[int, str]:
    result = RUN.invoke(app, [str(word) for word in words])
    return result.exit_code, str(result.exception or "") if result.exit_code else result.stdout


def verified(data: Path, ca: Path | None) -> tuple[bool, dict[str, int], list[str]]:
    words = ["verify", "--json", "--data", str(data), *(["--ca", str(ca)] if ca else [])]
    said = json.loads(RUN.invoke(app, words).stdout)
    return said["ok"], said["checked"], [problem["what"] for problem in said["problems"]]


def test_stamps_are_taken_kept_and_checked_by_us_and_by_openssl(data: Path, tsa: Authority) -> None:
    for number in (1, 2):
        grow(data)
        assert run("stamp", "--data", data)[0] == 0
        assert run("stamp", "--data", data)[0] == 0
        assert tsa.asked == number
    ok, checked, _ = verified(data, tsa.ca)
    assert ok
    assert checked["stamps"] == 2
    assert verified(data, None)[1]["stamps_without_ca"] == 2
    for note in (data / "tlog" / "stamps").glob("*.note"):
        words = ["openssl", "ts", "-verify", "-data", note, "-in", note.with_suffix(".tsr"), "-CAfile", tsa.ca]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        assert "Verification: OK" in done.stdout + done.stderr


def test_a_changed_stamp_a_foreign_root_and_another_history_are_named(data: Path, tsa: Authority, tmp_path: Path) -> None:
    grow(data)
    assert run("stamp", "--data", data)[0] == 0
    (token,) = (data / "tlog" / "stamps").glob("*.tsr")
    right = token.read_bytes()
    with authority(tmp_path / "other") as other:
        ok, _, problems = verified(data, other.ca)
        assert not ok
        assert "timestamp does not hold" in problems[0]
    for changed in (b"", right[:-1], right[:-20] + bytes([right[-20] ^ 1]) + right[-19:]):
        token.write_bytes(changed)
        assert not verified(data, tsa.ca)[0]
    token.write_bytes(right)
    assert verified(data, tsa.ca)[0]
    stamps = data / "tlog" / "stamps"
    rolled = tmp_path / "rolled"
    rolled.mkdir()
    (rolled / "countersign.toml").write_text((data / "countersign.toml").read_text())
    shutil.copytree(data / "keys", rolled / "keys")
    grow(rolled)
    shutil.copytree(stamps, rolled / "tlog" / "stamps")
    ok, _, problems = verified(rolled, None)
    assert not ok
    assert "are not those that were stamped" in problems[0] or "rolled back" in problems[0]


def test_an_answer_that_does_not_hold_is_not_kept(data: Path, tsa: Authority) -> None:
    grow(data)
    assert run("stamp", "--data", data)[0] == 0
    (token,) = (data / "tlog" / "stamps").glob("*.tsr")
    grow(data)
    for wrong in (token.read_bytes(), b"nothing of the kind", b"x" * 300_000):  # an older answer, noise, too much
        tsa.broken.append(wrong)
        assert run("stamp", "--data", data)[0] != 0
    assert len(list((data / "tlog" / "stamps").iterdir())) == 2
    assert run("stamp", "--data", data)[0] == 0
    assert verified(data, tsa.ca)[0]


def published(url: str, data: Path, *more: str | Path) -> tuple[bool, dict[str, int], list[str]]:
    """What a stranger finds who has the address, the key and the authority's root."""
    words = ["verify", "--json", "--url", url, "--key", data / "log.vkey", *more]
    said = json.loads(RUN.invoke(app, [str(word) for word in words]).stdout)
    return said["ok"], said["checked"], [problem["what"] for problem in said["problems"]]


def test_a_stranger_finds_and_checks_the_stamps_over_http(data: Path, tsa: Authority, tmp_path: Path) -> None:
    with served(data / "tlog") as url:
        grow(data)
        assert "stamps" not in published(url, data, "--ca", tsa.ca)[1]
        for _ in range(2):
            assert run("stamp", "--data", data)[0] == 0
            grow(data)
        sizes = json.loads((data / "tlog" / "stamps.json").read_text())
        ok, checked, _ = published(url, data, "--ca", tsa.ca)
        assert (ok, checked["stamps"], checked["entries_under_a_stamp"]) == (True, 2, max(sizes))
        assert published(url, data)[1]["stamps_without_ca"] == 2
        with authority(tmp_path / "other") as other:
            problems = published(url, data, "--ca", other.ca)[2]
        assert [what.partition(":")[0] for what in problems] == [f"stamp {size}" for size in sizes]


def test_what_is_wrong_with_published_stamps_is_named(data: Path, tsa: Authority) -> None:
    grow(data)
    assert run("stamp", "--data", data)[0] == 0
    (size,) = json.loads((data / "tlog" / "stamps.json").read_text())
    folder, answer = data / "tlog" / "stamps", f"/stamps/{size}.tsr"
    for listed, words in ((b"[1", "cannot be read"), (b"[-1]", "cannot be read"), (b"[%d, 99]" % size, "is not there")):
        (data / "tlog" / "stamps.json").write_bytes(listed)
        with served(data / "tlog") as url:
            ok, _, problems = published(url, data, "--ca", tsa.ca)
        assert not ok
        assert words in problems[0]
    with served(data / "tlog", lambda path, honest: (200, b"x" * 40_000_000, {}) if path == answer else honest) as url:
        assert "over the limit" in published(url, data)[2][0]
    (data / "tlog" / "stamps.json").write_bytes(b"[%d]" % size)
    (folder / f"{size}.note").rename(folder / f"{size - 1}.note")
    (folder / f"{size}.tsr").rename(folder / f"{size - 1}.tsr")
    problems = verified(data, tsa.ca)[2]
    assert f"is over a checkpoint of {size} entries" in problems[0]
    assert "is not there" in problems[1], "it stands in the list"


def test_a_site_that_has_stamps_already_lists_them_with_the_next_round(data: Path, tsa: Authority) -> None:
    grow(data)
    assert run("stamp", "--data", data)[0] == 0
    (data / "tlog" / "stamps.json").unlink()
    assert verified(data, tsa.ca)[1]["stamps"] == 1
    assert run("stamp", "--data", data)[0] == 0
    assert len(json.loads((data / "tlog" / "stamps.json").read_text())) == tsa.asked == 1


def test_an_authority_that_is_not_there_or_not_configured_is_said_so(data: Path, tmp_path: Path) -> None:
    grow(data)
    text = (data / "countersign.toml").read_text()
    (data / "countersign.toml").write_text(text.replace("127.0.0.1:", "127.0.0.1:1"))
    code, said = run("stamp", "--data", data)
    assert code != 0
    assert "cannot be reached" in said
    (data / "countersign.toml").write_text("")
    assert "no timestamping authority is configured" in run("stamp", "--data", data)[1]
