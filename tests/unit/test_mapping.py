"""Mappings: every mistake is told with file, line and key; what a mapping says is what is read."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countersign.errors import ConfigError, SourceError
from countersign.model.alerts import Alert, Ignored
from countersign.sources.generic import GenericSource, csv_record
from countersign.sources.mapping import load_mapping, locate, parse_mapping, steps
from countersign.sources.paths import compile_path, many

MAPPINGS = sorted((Path(__file__).resolve().parents[2] / "docs" / "mappings").glob("*.toml"))
SMALL = """format = "json"

[time]
field = "t"
format = "epoch_s"

[rule]
field = "r"

[product]
constant = "P"
"""


def parse(mapping: str, body: dict[str, Any]) -> Alert | Ignored:
    return GenericSource(mapping=mapping).parse(json.dumps({"t": 1_700_000_000, "r": "R1"} | body).encode())


def alert(mapping: str, **body: object) -> Alert:
    found = parse(mapping, body)
    assert isinstance(found, Alert)
    return found


@pytest.mark.parametrize("path", MAPPINGS, ids=lambda path: path.stem)
def test_shipped_mappings_are_sound(path: Path) -> None:
    text = load_mapping(path)
    assert parse_mapping(text).rule
    known = set(json.dumps(tomllib.loads(text)))
    assert known
    for trusted in parse_mapping(text).trusted:
        assert f'"{trusted}"' in text


@pytest.mark.parametrize(
    ("change", "place", "what"),
    [
        (("[rule]", "[rule"), "7", "not valid TOML"),
        (('format = "json"', 'format = "xml"'), "1: format", "xml"),
        (('field = "r"', 'feild = "r"'), "8: rule.feild", "unknown field"),
        (('field = "r"', "field = 7"), "8: rule.field", "Expected"),
        (('field = "r"', ""), "7: rule", "needs a field or a constant"),
        (('field = "r"', 'field = "a..b"'), "8: rule.field", "not a field path"),
        (('"epoch_s"', '"seconds"'), "5: time.format", "epoch_s"),
        (('"epoch_s"', '"epoch_s"\nzone = "Mars/Base"'), "6: time.zone", "Mars/Base"),
        (("[time]", "[zeit]"), "3: zeit", "unknown field"),
        (('constant = "P"', 'constant = "P"\npattern = "("'), "12: product.pattern", "regular expression"),
        (('constant = "P"', 'constant = "P"\n[severity]\nconstant = "awful"'), "13: severity.constant", "awful"),
        (
            ('constant = "P"', 'constant = "P"\n[severity]\nfield = "s"\ntable = { a = "bad" }'),
            "14: severity.table.a",
            "bad",
        ),
        (
            (
                'constant = "P"',
                'constant = "P"\n[[entity]]\ntype = "ip"\nfield = "a"\n[[entity]]\ntype = "ipv4"\nfield = "b"',
            ),
            "16: entity",
            "ipv4",
        ),
        (('constant = "P"', 'constant = "P"\n[[ignore]]\nfield = "x"\nreason = "y"'), "12: ignore[0]", "exactly one"),
    ],
)
def test_mistakes_are_told_with_file_line_and_key(change: tuple[str, str], place: str, what: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_mapping(SMALL.replace(*change), "my.toml")
    line = str(caught.value)
    assert line.startswith(f"my.toml:{place}"), line
    assert what in line


def test_missing_file_and_empty_mapping(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read mapping"):
        load_mapping(tmp_path / "absent.toml")
    with pytest.raises(ConfigError, match="needs a mapping"):
        GenericSource()


@given(st.text(max_size=80))
def test_any_text_as_mapping(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_mapping(text, "x.toml")


@given(st.text(max_size=40))
def test_any_text_as_path(text: str) -> None:
    try:
        parsed = steps(text)
    except ValueError:
        return
    assert parsed
    assert isinstance(compile_path(text)({"a": [{"b": 1}]}), (str, tuple))


@pytest.mark.parametrize(
    ("path", "values"),
    [
        ("a.b", ("1",)),
        ("a.c", ()),
        ('a."x.y"', ("2",)),
        ("list[].n", ("3", "4")),
        ("list[1].n", ("4",)),
        ("list[9].n", ()),
        ("list[kind=k].n", ("4",)),
        ("texts", ("p", "q")),
        ("texts[0]", ("p",)),
        ("inner.@json[].z", ("5", "6")),
        ("flag", ("true",)),
        ("nothing", ()),
        ("a.b.c", ()),
        ("bad.@json.x", ()),
    ],
)
def test_paths(path: str, values: tuple[str, ...]) -> None:
    body: dict[str, Any] = {
        "a": {"b": 1, "x.y": 2},
        "list": [{"n": 3}, {"n": 4, "kind": "k"}],
        "texts": ["p", "q"],
        "inner": '[{"z":5},{"z":6}]',
        "flag": True,
        "nothing": None,
        "bad": "{",
    }
    assert tuple(value for value in many(compile_path(path)(body)) if value) == values


@pytest.mark.parametrize(
    ("form", "value", "expected"),
    [
        ("epoch_s", 1_700_000_000, 1_700_000_000_000),
        ("epoch_s", "1700000000", 1_700_000_000_000),
        ("epoch_s", 1_700_000_000.123, 1_700_000_000_123),
        ("epoch_ms", 1_700_000_000_123, 1_700_000_000_123),
        ("iso", "2023-11-14T22:13:20Z", 1_700_000_000_000),
        ("iso", "2023-11-14 22:13:20.123456789", 1_700_000_000_123),
        ("%d/%b/%Y:%H:%M:%S %z", "14/Nov/2023:23:13:20 +0100", 1_700_000_000_000),
        ("%Y-%m-%d %H:%M:%S (UTC)", "2023-11-14 22:13:20 (UTC)", 1_700_000_000_000),
    ],
)
def test_times(form: str, value: object, expected: int) -> None:
    assert alert(SMALL.replace("epoch_s", form), t=value).time_ms == expected


def test_zone_of_times_without_one() -> None:
    mapping = SMALL.replace('"epoch_s"', '"iso"\nzone = "Europe/Vienna"')
    assert alert(mapping, t="2023-11-14T23:13:20").time_ms == 1_700_000_000_000
    assert alert(mapping, t="2023-11-14T22:13:20+00:00").time_ms == 1_700_000_000_000


@pytest.mark.parametrize("value", [None, "", "soon", 0, -1, 1e300, "1e999", "nan", 5_000_000_000, "9" * 5000, [], {}])
def test_times_that_are_none(value: object) -> None:
    with pytest.raises(SourceError) as caught:
        alert(SMALL, t=value)
    assert caught.value.where == "t"


def test_product_prefix_table_and_default() -> None:
    mapping = SMALL.replace(
        'constant = "P"', 'field = "name"\npattern = \'^(\\w+):\'\ndefault = "other"\ntable = { Wz = "Wazuh" }'
    )
    assert alert(mapping, name="Wz: thing").product == "Wazuh"
    assert alert(mapping, name="Suricata: thing").product == "other"
    assert alert(mapping, name="no tool").product == "other"


def test_severity_by_name_table_and_number() -> None:
    named = SMALL + '[severity]\nfield = "s"\ntable = { bad = "high" }\n'
    assert [alert(named, s=s).severity.name for s in ("bad", "CRITICAL", "what", None)] == [
        "HIGH",
        "CRITICAL",
        "UNKNOWN",
        "UNKNOWN",
    ]
    scored = SMALL + '[severity]\nfield = "s"\nat_least = { high = 70, low = 10 }\ndefault = "informational"\n'
    assert [alert(scored, s=s).severity.name for s in (99, "70", 69.9, 3, "x")] == [
        "HIGH",
        "HIGH",
        "LOW",
        "INFORMATIONAL",
        "INFORMATIONAL",
    ]


def test_attack_by_field_list_and_table() -> None:
    mapping = SMALL + '[tactics]\nfield = "ta"\n[techniques]\nfield = "r"\ntable = { R1 = ["T1110"] }\n'
    found = alert(mapping, ta="Execution, Lateral Movement")
    assert (found.tactics, found.techniques) == (("TA0002", "TA0008"), ("T1110",))
    assert alert(mapping, ta=["execution", "TA0001"]).tactics == ("TA0002", "TA0001")


def test_entities_with_clean_up() -> None:
    mapping = (
        SMALL
        + """
[[entity]]
type = "host"
role = "target"
field = "h"
replace = { "_" = "-" }
short = true

[[entity]]
type = "user"
field = "u"
pattern = 'user=(\\w+)'
"""
    )
    found = alert(mapping, h=["WEB_1.example.org", "10.0.0.1"], u="login user=Eve ok")
    assert [entity.key for entity in found.entities] == ["host:web-1", "host:10.0.0.1", "user:eve"]


def test_everything_not_trusted_is_tainted() -> None:
    mapping = (
        SMALL.replace('"json"\n', '"json"\ntrusted = ["r"]\nmessage = ["m[]"]\n')
        + '[facets]\nf = "x.y"\n[[entity]]\ntype = "url"\nfield = "u"\n'
    )
    assert alert(mapping, u="http://a.example/", m=["hello"], x={"y": "z"}).tainted == ("x.y", "u", "m")
    assert alert(mapping, u="", m=[]).tainted == ()


def test_ignore_rules() -> None:
    mapping = (
        SMALL
        + """
[[ignore]]
field = "k"
equals = ["flow"]
reason = "flow"

[[ignore]]
field = "v"
missing = true
reason = "no verdict"

[[ignore]]
field = "v"
unless = ["bad"]
reason = "not bad"
"""
    )
    assert parse(mapping, {"k": "flow", "v": "bad"}) == Ignored("flow")
    assert parse(mapping, {"k": "x"}) == Ignored("no verdict")
    assert parse(mapping, {"v": "good"}) == Ignored("not bad")
    assert isinstance(parse(mapping, {"v": "bad"}), Alert)


def test_rule_is_required() -> None:
    with pytest.raises(SourceError) as caught:
        alert(SMALL, r="")
    assert caught.value.where == "r"


def test_label_table_can_say_none() -> None:
    mapping = SMALL + '[label]\nfield = "l"\ntable = { "-" = "" }\n'
    assert [alert(mapping, l=value).label for value in ("-", "dirb", None)] == ["", "dirb", ""]


def test_csv_without_header_and_with_other_delimiter() -> None:
    mapping = SMALL.replace('"json"\n', '"csv"\ndelimiter = ";"\ncolumns = ["t", "r", "x"]\n')
    source = GenericSource(mapping=mapping)
    found = source.parse(b'1700000000;"R;1";"say ""hi"""')
    assert isinstance(found, Alert)
    assert found.rule == "R;1"
    with pytest.raises(SourceError, match="2 fields, the header has 3"):
        source.parse(b"1700000000;R1")


def test_csv_mapping_without_the_header_is_checked_but_reads_nothing() -> None:
    source = GenericSource(mapping=SMALL.replace('"json"', '"csv"'))
    with pytest.raises(SourceError, match="header"):
        source.parse(b"1700000000,R1")
    with pytest.raises(ConfigError, match="names the column 't'"):
        GenericSource(mapping=SMALL.replace('"json"', '"csv"'), header=b"time,r")


@pytest.mark.parametrize("raw", [b'a,"b', b'a,"b"c', b'"a"\n"b"'])
def test_csv_faults(raw: bytes) -> None:
    with pytest.raises(SourceError):
        csv_record(raw, ",")


def test_cached_and_fresh_reading_agree() -> None:
    mapping = SMALL.replace('"json"\n', '"json"\nmessage = ["m"]\n') + '[uid]\nfield = "id"\n'
    source = GenericSource(mapping=mapping)
    for number in range(50):
        body = json.dumps({"t": 1_700_000_000 + number, "r": f"R{number % 3}", "m": f"m{number}", "id": number}).encode()
        assert source.parse(body) == GenericSource(mapping=mapping).parse(body)


def test_locate() -> None:
    assert locate(SMALL, "rule.field") == 8
    assert locate(SMALL, "rule.table.x") == 7
    assert locate(SMALL, "absent") == 1
