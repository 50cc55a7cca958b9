"""Configuration: whatever stands in the file, the answer is a configuration or one clear line."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from countersign.config import FILE, Config, Geo, Ledger, Server, load
from countersign.errors import ConfigError
from tests.examples import examples

NAMES = st.sampled_from(
    ["database", "utc_offset_minutes", "server", "geo", "ledger", "port", "host", "origin", "wrong", "x.y"]
)
VALUES = st.one_of(
    st.integers(),
    st.booleans(),
    st.floats(allow_nan=False),
    st.text(max_size=8),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(NAMES, st.one_of(st.integers(), st.text(max_size=8)), max_size=2),
)
TEXTS = st.one_of(
    st.text(max_size=60),
    st.dictionaries(NAMES, VALUES, max_size=4).map(
        lambda keys: "\n".join(f"{json.dumps(key)} = {toml(value)}" for key, value in keys.items())
    ),
)
QUIET = settings(max_examples=examples(150), suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def toml(value: object) -> str:
    """A value as TOML."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(k)} = {toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, float):
        return repr(value) if any(c in repr(value) for c in ".en") else f"{value}.0"
    return json.dumps(value)


@QUIET
@given(TEXTS)
def test_any_text_is_a_configuration_or_one_clear_line(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_bytes(text.encode("utf-8", "replace"))
    found: Config | str
    try:
        found = load(tmp_path, {})
    except ConfigError as error:
        found = str(error)
    assert isinstance(found, Config) or (found.startswith(str(tmp_path / FILE)) and "\n" not in found)


CONFIGS = st.builds(
    Config,
    database=st.text('abc:/@ é"\\', max_size=20),
    utc_offset_minutes=st.integers(-840, 840),
    server=st.builds(Server, port=st.integers(0, 65_535), host=st.sampled_from(["::1", "localhost"])),
    geo=st.builds(Geo, country=st.text("/abc.", max_size=9)),
    ledger=st.builds(Ledger, seal_ms=st.integers(1, 9_999)),
)


@QUIET
@given(CONFIGS)
def test_what_is_written_is_read(tmp_path: Path, wanted: Config) -> None:
    lines = [f"database = {json.dumps(wanted.database)}", f"utc_offset_minutes = {wanted.utc_offset_minutes}"]
    lines += ["[server]", f"port = {wanted.server.port}", f"host = {json.dumps(wanted.server.host)}"]
    lines += ["[geo]", f"country = {json.dumps(wanted.geo.country)}", "[ledger]", f"seal_ms = {wanted.ledger.seal_ms}"]
    (tmp_path / FILE).write_text("\n".join(lines), "utf-8")
    assert load(tmp_path, {}) == wanted


@QUIET
@given(st.integers(0, 12), st.sampled_from(["prot", "hosts", "Port"]))
def test_an_unknown_key_is_named_with_its_line(tmp_path: Path, blank: int, key: str) -> None:
    (tmp_path / FILE).write_text("\n" * blank + f"[server]\nhost = 'a'\n{key} = 1\n", "utf-8")
    with pytest.raises(ConfigError, match=rf"{re.escape(FILE)}:{blank + 3}: server\.{key}: unknown key"):
        load(tmp_path, {})
