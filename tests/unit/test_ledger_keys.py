"""The log's key file."""

from __future__ import annotations

from pathlib import Path

import pytest

from countersign.errors import ConfigError, CountersignError, EnvironmentFault
from countersign.ledger.note import parse_vkey
from countersign.store.keys import KEY_FILE, VKEY_FILE, load_or_create


def test_made_once_and_private(tmp_path: Path) -> None:
    made = load_or_create(tmp_path)
    assert made.name.startswith("countersign.local/")
    assert len(made.name) == len("countersign.local/") + 8
    assert (tmp_path / KEY_FILE).stat().st_mode & 0o777 == 0o600
    assert (tmp_path / KEY_FILE).parent.stat().st_mode & 0o777 == 0o700
    again = load_or_create(tmp_path)
    assert (again.name, again.public_key) == (made.name, made.public_key)
    assert [path.name for path in (tmp_path / "keys").iterdir()] == ["log.key"]


def test_the_public_half_is_published_and_nothing_else(tmp_path: Path) -> None:
    made = load_or_create(tmp_path, "soc.example/log")
    text = (tmp_path / VKEY_FILE).read_text()
    assert parse_vkey(text.strip()) == made.vkey
    secret = (tmp_path / KEY_FILE).read_text().strip().split("+", 4)[4]  # base64 may hold a plus of its own
    assert secret not in text
    assert secret not in repr(made)


def test_two_logs_have_two_keys(tmp_path: Path) -> None:
    first, second = (load_or_create(tmp_path / name) for name in "ab")
    assert first.public_key != second.public_key
    assert first.name != second.name


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o601])
def test_a_key_open_to_others_is_refused(tmp_path: Path, mode: int) -> None:
    load_or_create(tmp_path)
    (tmp_path / KEY_FILE).chmod(mode)
    with pytest.raises(ConfigError, match=r"open to others .*chmod 600"):
        load_or_create(tmp_path)


def test_the_origin_is_fixed_for_life(tmp_path: Path) -> None:
    load_or_create(tmp_path, "soc.example/log")
    assert load_or_create(tmp_path).name == "soc.example/log"
    with pytest.raises(ConfigError, match=r"named soc\.example/log, not other\.example"):
        load_or_create(tmp_path, "other.example")


@pytest.mark.parametrize("origin", ["two words", "a+b", "a\nb"])
def test_an_origin_that_cannot_name_a_key_is_refused(tmp_path: Path, origin: str) -> None:
    with pytest.raises(ConfigError, match="cannot name a log"):
        load_or_create(tmp_path, origin)
    assert not (tmp_path / KEY_FILE).exists()


def test_every_damaged_character_of_the_key_file_is_refused(tmp_path: Path) -> None:
    load_or_create(tmp_path, "soc.example/log")
    path = tmp_path / KEY_FILE
    text = path.read_text()
    for at in range(len(text) - 1):
        path.write_text(text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :])
        with pytest.raises(CountersignError):
            load_or_create(tmp_path, "soc.example/log")
    for damaged in ("", text[:-9], text + text):
        path.write_text(damaged)
        with pytest.raises(ConfigError, match="damaged"):
            load_or_create(tmp_path, "soc.example/log")


def test_a_lost_key_is_not_replaced_beside_its_log(tmp_path: Path) -> None:
    load_or_create(tmp_path)
    (tmp_path / KEY_FILE).unlink()
    (tmp_path / "tlog").mkdir()
    (tmp_path / "tlog" / "checkpoint").write_text("signed")
    with pytest.raises(EnvironmentFault, match="log key is gone"):
        load_or_create(tmp_path)


def test_a_published_key_of_another_log_is_noticed(tmp_path: Path) -> None:
    load_or_create(tmp_path, "soc.example/log")
    (tmp_path / VKEY_FILE).write_text("something else\n")
    with pytest.raises(ConfigError, match="not that of this log"):
        load_or_create(tmp_path)
