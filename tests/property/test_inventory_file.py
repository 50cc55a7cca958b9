"""Reading an inventory: what is right comes out the same from all three formats, what is wrong is named with its place."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from countersign.enrich.inventory_file import read_inventory
from countersign.errors import ConfigError
from countersign.model.inventory import Asset, Criticality, Identity, Inventory
from tests.examples import examples

quick = settings(max_examples=examples(120), suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def read(folder: Path, name: str, content: str | bytes) -> Inventory:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_inventory(path)


def complaint(folder: Path, name: str, content: str | bytes) -> str:
    with pytest.raises(ConfigError) as caught:
        read(folder, name, content)
    text = str(caught.value)
    assert "\n" not in text
    return text


def refusal(folder: Path, name: str, content: str | bytes) -> str:
    """The complaint, "" when there is none."""
    try:
        read(folder, name, content)
    except ConfigError as error:
        return str(error)
    return ""


CSV = """kind,name,role,owner,criticality,addresses,aliases
asset,DC-1,domain-controller,m.heron,critical,10.1.0.5;10.1.1.0/24,dc-1.site.example
identity,M.Heron,admin,,high,,m.heron@site.example;site\\m.heron
"""
TOML = r"""
[[asset]]
name = "DC-1"
role = "domain-controller"
owner = "m.heron"
criticality = "critical"
addresses = ["10.1.0.5", "10.1.1.0/24"]
aliases = ["dc-1.site.example"]

[[identity]]
name = "M.Heron"
role = "admin"
criticality = 3
aliases = ["m.heron@site.example", 'site\m.heron']
"""
JSON = r"""{"assets": [{"name": "DC-1", "role": "domain-controller", "owner": "m.heron", "criticality": 4,
  "addresses": ["10.1.0.5", "10.1.1.0/24"], "aliases": ["dc-1.site.example"]}],
 "identities": [{"name": "M.Heron", "role": "admin", "criticality": "HIGH",
  "aliases": ["m.heron@site.example", "site\\m.heron"]}]}"""
WANTED = Inventory(
    (
        Asset(
            "dc-1", "domain-controller", "m.heron", Criticality.CRITICAL, ("10.1.0.5", "10.1.1.0/24"), ("dc-1.site.example",)
        ),
    ),
    (Identity("m.heron", "admin", "", Criticality.HIGH, ("m.heron@site.example", "site\\m.heron")),),
)


@pytest.mark.parametrize(("name", "content"), [("a.csv", CSV), ("a.toml", TOML), ("a.json", JSON)])
def test_the_three_formats_say_the_same(tmp_path: Path, name: str, content: str) -> None:
    assert read(tmp_path, name, content) == WANTED


def test_a_json_array_with_kinds_and_a_byte_order_mark(tmp_path: Path) -> None:
    content = '\ufeff[{"kind": "asset", "name": "a"}, {"kind": "Identity", "name": "b"}]'
    assert read(tmp_path, "a.json", content) == Inventory((Asset("a"),), (Identity("b"),))


def test_windows_line_ends_blank_lines_and_quotes(tmp_path: Path) -> None:
    content = 'kind,name,role\r\n\r\nasset,a,"mail, web"\r\n,,\r\nasset,b,\r\n'
    assert read(tmp_path, "a.csv", content) == Inventory((Asset("a", "mail, web"), Asset("b")))


HEAD = "kind,name,criticality,addresses,aliases\n"
BAD_CSV = {
    "unknown criticality": (HEAD + "asset,a,,,\nasset,b,urgent,,\n", "a.csv:3: criticality"),
    "bad network": (HEAD + "asset,a,low,10.0.0.5/24,\n", "a.csv:2: addresses"),
    "bad address": (HEAD + "asset,a,low,10.0.0.300,\n", "a.csv:2: addresses"),
    "name twice": (HEAD + "asset,a,,,\nasset,A,,,\n", "a.csv:3: name"),
    "alias is a name": (HEAD + "asset,a,,,\nasset,b,,,a\n", "a.csv:3: aliases"),
    "address twice": (HEAD + "asset,a,,10.0.0.1,\nasset,b,,10.0.0.1,\n", "a.csv:3: addresses"),
    "no name": (HEAD + "asset,,low,,\n", "a.csv:2: name"),
    "unknown kind": (HEAD + "server,a,low,,\n", "a.csv:2: kind"),
    "unknown column": ("kind,name,colour\nasset,a,red\n", "a.csv:1"),
    "column twice": ("kind,name,name\nasset,a,b\n", "a.csv:1"),
    "no kind column": ("name\na\n", "a.csv:1"),
    "too many cells": (HEAD + "asset,a,low,,,,\n", "a.csv:2"),
    "address of a person": (HEAD + "identity,a,low,10.0.0.1,\n", "a.csv:2: addresses"),
    "control character": (HEAD + "asset,a\x00b,low,,\n", "a.csv:2: name"),
    "bidi override": (HEAD + "asset,a\u202eb,low,,\n", "a.csv:2: name"),
    "open quote": (HEAD + 'asset,"a,low,,\n', "a.csv:2"),
    "empty": ("", "a.csv:1"),
    "very long": (HEAD + f"asset,{'a' * 300},low,,\n", "a.csv:2: name"),
    "huge number": (HEAD + f"asset,a,{'9' * 5000},,\n", "a.csv:2: criticality"),
}


@pytest.mark.parametrize("name", BAD_CSV)
def test_what_is_wrong_in_csv_is_named_with_its_line_and_field(tmp_path: Path, name: str) -> None:
    content, place = BAD_CSV[name]
    assert complaint(tmp_path, "a.csv", content).startswith(f"{place}: ")


@pytest.mark.parametrize(
    ("file", "content", "place"),
    [
        ("a.toml", '[[asset]]\nname = "a"\n\n[[asset]]\nname = "b"\ncriticality = "x"\n', "a.toml:4: criticality"),
        ("a.toml", '[[asset]]\nname = "a"\nname = "b"\n', "a.toml:3"),
        ("a.toml", '[[host]]\nname = "a"\n', "a.toml"),
        ("a.toml", "asset = 1\n", "a.toml: asset"),
        ("a.toml", 'asset = [{name = "a"}, {name = 1}]\n', "a.toml: asset[1]: name"),
        ("a.json", '{"assets": [\n {"name": "a"},\n {"name": "b", "criticality": 9}]}', "a.json:3: criticality"),
        ("a.json", '{"assets": [{"name": "a{\\n"},\n{"name": []}]}', "a.json:2: name"),
        ("a.json", '[\n{"kind": "asset",\n"name": "a"},\n{"kind": "x"}]', "a.json:4: kind"),
        ("a.json", '{"assets": [\n{"name": "a",}]}', "a.json:2"),
        ("a.json", '{"assets": [{"name": "a", "name": "b"}]}', "a.json"),
        ("a.json", '{"assets": ["a"]}', "a.json: assets[0]"),
        ("a.json", "7", "a.json"),
        ("a.json", "[" * 100_000, "a.json"),
        ("a.json", b'{"assets": [\n"\xff"]}', "a.json:2"),
        ("a.json", '{"assets": [{"name": "a", "addresses": "10.0.0.1"}]}', "a.json:1: addresses"),
        ("a.json", '{"assets": [{"name": "a", "criticality": true}]}', "a.json:1: criticality"),
        ("a.json", '{"assets": [{"name": "a", "adresses": []}]}', "a.json:1: adresses"),
    ],
)
def test_what_is_wrong_elsewhere_is_named_too(tmp_path: Path, file: str, content: str | bytes, place: str) -> None:
    assert complaint(tmp_path, file, content).startswith(f"{place}: ")


def test_a_missing_file_and_an_unknown_ending(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read_inventory(tmp_path / "none.csv")
    with pytest.raises(ConfigError, match="unknown ending"):
        read_inventory(tmp_path / "a.xlsx")


@quick
@given(
    content=st.binary(max_size=400) | st.text(max_size=300).map(str.encode),
    ending=st.sampled_from([".csv", ".toml", ".json"]),
)
def test_noise_is_refused_or_read_but_never_crashes(tmp_path: Path, content: bytes, ending: str) -> None:
    assert re.match(rf"$|a\{ending}", refusal(tmp_path, f"a{ending}", content))


scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=12)
values = scalars | st.lists(scalars, max_size=3) | st.dictionaries(st.text(max_size=4), scalars, max_size=2)
keys = st.sampled_from(["kind", "name", "role", "owner", "criticality", "addresses", "aliases", "other"])


@quick
@given(records=st.lists(st.dictionaries(keys, values), max_size=5))
def test_json_of_any_shape_is_refused_with_a_line_or_read(tmp_path: Path, records: list[dict[str, object]]) -> None:
    content = json.dumps([{"kind": "asset"} | record for record in records], indent=1)
    assert re.match(r"$|a\.json:\d+", refusal(tmp_path, "a.json", content))


names = st.from_regex(r"[a-z][a-z0-9-]{0,12}", fullmatch=True)
words = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20).map(str.strip)
networks = st.ip_addresses().map(str) | st.builds(
    lambda n, bits: f"{n >> (32 - bits) << (32 - bits) >> 24 & 255}.0.0.0/{bits}",
    st.integers(0, 2**32 - 1),
    st.integers(1, 8),
)


@quick
@given(
    st.dictionaries(
        names,
        st.tuples(words, words, st.sampled_from(Criticality), st.lists(networks, max_size=2, unique=True)),
        max_size=6,
    )
)
def test_what_is_written_comes_back(tmp_path: Path, hosts: dict[str, tuple[str, str, Criticality, list[str]]]) -> None:
    claimed: set[str] = set()
    assets = []
    for name, (role, owner, level, addresses) in sorted(hosts.items()):
        free = [a for a in addresses if a not in claimed]
        claimed.update(free)
        assets.append(Asset(name, role, owner, level, tuple(free)))
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["name", "kind", "role", "owner", "criticality", "addresses"])
    for a in assets:
        writer.writerow([a.name, "asset", a.role, a.owner, a.criticality.name, ";".join(a.addresses)])
    assert read(tmp_path, "a.csv", out.getvalue()).assets == tuple(assets)
