"""Configuration from file and environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from countersign.config import FILE, TEMPLATE, Config, data_dir, load, secret
from countersign.errors import ConfigError


def test_without_a_file_the_defaults_hold(tmp_path: Path) -> None:
    assert load(tmp_path, {}) == Config()
    assert load(tmp_path / "not-there", {}) == Config()


def test_the_template_says_what_the_defaults_are(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(TEMPLATE, "utf-8")
    assert load(tmp_path, {}) == Config()


def test_the_environment_overrides_the_file(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("[server]\nport = 1\nhost = 'a'\n", "utf-8")
    environment = {"COUNTERSIGN_SERVER_PORT": "2", "COUNTERSIGN_DATABASE": "sqlite://", "COUNTERSIGN_LEDGER_ORIGIN": "me"}
    found = load(tmp_path, environment)
    assert (found.server.port, found.server.host, found.database, found.ledger.origin) == (2, "a", "sqlite://", "me")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("port = 1", "1: port: unknown key"),
        ("[server]\nport = 'x'", "2: server.port: Expected `int`"),
        ("[server]\n\n  port = true", "3: server.port: Expected `int`"),
        ("server = 3", "1: server: Expected `object`"),
        ("[server]\nport = 1\nport = 2", "Cannot overwrite a value"),
        ("database = ", "Invalid value"),
        ("[[server]]\nport = 1", "server"),
        ("\N{ZERO WIDTH SPACE}", "Invalid statement"),
    ],
)
def test_a_mistake_names_file_line_and_key(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / FILE).write_text(text, "utf-8")
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, {})
    assert str(tmp_path / FILE) in str(caught.value)
    assert words in str(caught.value)
    assert caught.value.exit_code == 2


def test_a_file_that_is_not_text_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"database = '\xff'")
    with pytest.raises(ConfigError, match="UTF-8"):
        load(tmp_path, {})


def test_a_bad_environment_variable_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"COUNTERSIGN_SERVER_PORT: Expected `int`"):
        load(tmp_path, {"COUNTERSIGN_SERVER_PORT": "many"})


def test_the_data_directory_is_chosen_then_environment_then_platform(tmp_path: Path) -> None:
    assert data_dir(tmp_path, {"COUNTERSIGN_DATA_DIR": "/elsewhere"}) == tmp_path
    assert data_dir(None, {"COUNTERSIGN_DATA_DIR": "/elsewhere"}) == Path("/elsewhere")
    assert data_dir(None, {}).name == "countersign"


def test_a_secret_in_place_of_a_reference_is_refused_and_not_quoted() -> None:
    with pytest.raises(ConfigError, match="is no reference") as caught:
        secret("hunter2:swordfish", "actions.x.password")
    assert "swordfish" not in str(caught.value)
    assert "hunter2" not in str(caught.value)
