"""What every source keeps: one registry line and one folder of sample messages, and these tests cover it without an edit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from countersign.correlate.fold import finding_id
from countersign.errors import SourceError, UsageError
from countersign.model.alerts import ENTITIES_MAX, MESSAGE_CHARS_MAX, Alert, Ignored
from countersign.ports import Source
from countersign.sources import SOURCES, make_source
from countersign.sources.reader import read_deliveries
from countersign.sources.values import EARLIEST_MS, LATEST_MS, RAW_BYTES_MAX, VALUE_CHARS_MAX
from tests.examples import examples

ROOT = Path(__file__).resolve().parents[2]
VECTORS = ROOT / "tests" / "vectors" / "sources"
MAPPINGS = ROOT / "docs" / "mappings"
FILES = [
    (name, path)
    for name in sorted(SOURCES)
    for path in sorted((VECTORS / name).glob("*.*"))
    if path.suffix in {".jsonl", ".csv"}
]
SAMPLES = [pytest.param(name, path, id=f"{name}/{path.stem}") for name, path in FILES]
JSON_SAMPLES = [pytest.param(name, path, id=f"{name}/{path.stem}") for name, path in FILES if path.suffix == ".jsonl"]
BAD = [
    pytest.param(name, path, fault, id=f"{name}/{path.stem}/{fault.name}")
    for name, path in FILES
    for fault in sorted(path.with_suffix(".bad").glob("*"))
]


def opened(name: str, path: Path) -> tuple[Source, list[bytes]]:
    """The source for one sample file, and its raw messages."""
    mapping = MAPPINGS / f"{path.stem}.toml"
    text = mapping.read_text() if mapping.is_file() else ""
    deliveries = list(read_deliveries(path, name, mapping=text))
    source = make_source(name, header=deliveries[0].header, mapping=text)
    return source, [raw for delivery in deliveries for raw in delivery.raws]


def resolves(path: str, body: object) -> bool:
    """Does a dotted path (a key may hold dots itself) lead to something in a decoded message?"""
    if not path:
        return True
    if not isinstance(body, dict):
        return False
    return any(
        (path == key or path.startswith(key + ".")) and resolves(path[len(key) + 1 :], inner) for key, inner in body.items()
    )


def check_alert(alert: Alert) -> None:
    """Bounds that hold for anything a source says, whatever it was fed."""
    assert EARLIEST_MS < alert.time_ms < LATEST_MS
    assert alert.rule
    assert alert.title
    assert alert.product
    assert len(alert.message) <= MESSAGE_CHARS_MAX
    assert len(alert.entities) <= ENTITIES_MAX
    assert len(set(alert.entities)) == len(alert.entities)
    for entity in alert.entities:
        assert 0 < len(entity.value) <= VALUE_CHARS_MAX
    texts = [alert.uid, alert.rule, alert.title, alert.message, *(entity.value for entity in alert.entities)]
    for text in texts:
        assert "\x00" not in text
        text.encode()  # no lone surrogates: it will be written as UTF-8
    assert finding_id(alert)


def test_every_source_has_samples() -> None:
    assert {name for name, _ in FILES} == set(SOURCES)


def test_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(UsageError, match="generic, ocsf, suricata, wazuh"):
        make_source("nosuch")


@pytest.mark.parametrize(("name", "path"), SAMPLES)
def test_samples_are_read(name: str, path: Path) -> None:
    source, raws = opened(name, path)
    assert source.name == name
    results = [source.parse(raw) for raw in raws]
    assert any(isinstance(result, Alert) for result in results)
    for raw, result in zip(raws, results, strict=True):
        if isinstance(result, Ignored):
            assert result.reason
            continue
        assert result.source == name
        check_alert(result)
        if path.suffix == ".jsonl":
            body = json.loads(raw)
            assert [p for p in result.tainted if not resolves(p, body)] == []


@pytest.mark.parametrize(("name", "path"), SAMPLES)
def test_the_same_bytes_give_the_same_alert(name: str, path: Path) -> None:
    source, raws = opened(name, path)
    forwards = [source.parse(raw) for raw in raws]
    other, _ = opened(name, path)
    backwards = [other.parse(raw) for raw in reversed(raws)]
    assert forwards == backwards[::-1]
    assert forwards == [source.parse(raw) for raw in raws]


@pytest.mark.parametrize(("name", "path"), SAMPLES)
def test_ids_tell_alerts_apart(name: str, path: Path) -> None:
    source, raws = opened(name, path)
    uids = [result.uid for raw in raws if isinstance(result := source.parse(raw), Alert) and result.uid]
    assert len(set(uids)) == len(uids)


@pytest.mark.parametrize(("name", "sample", "fault"), BAD)
def test_faulty_messages_are_refused_with_a_clear_line(name: str, sample: Path, fault: Path) -> None:
    source, _ = opened(name, sample)
    with pytest.raises(SourceError) as caught:
        source.parse(fault.read_bytes())
    line = str(caught.value)
    assert line
    assert "\n" not in line
    assert len(line) < 400
    if fault.name.startswith(("missing-", "time-", "rule-")):
        assert caught.value.where


@pytest.mark.parametrize(("name", "path"), SAMPLES)
def test_ten_megabytes_are_refused(name: str, path: Path) -> None:
    source, raws = opened(name, path)
    with pytest.raises(SourceError, match=str(RAW_BYTES_MAX)):
        source.parse(raws[0] + b" " * (10 << 20))


@pytest.mark.parametrize(("name", "path"), SAMPLES)
@settings(max_examples=examples(60), deadline=None)
@given(data=st.data())
def test_nothing_but_source_errors(name: str, path: Path, data: st.DataObject) -> None:
    source, raws = opened(name, path)
    raw = bytearray(data.draw(st.sampled_from(raws)))
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(raw)))
        end = min(len(raw), start + data.draw(st.integers(0, 40)))
        raw[start:end] = data.draw(
            st.one_of(
                st.binary(max_size=12),
                st.sampled_from(
                    [b"null", b"[]", b"{}", b'""', b"-1", b"1e400", b"9" * 30, b"\\u0000", b"\\ud800", b'"\xff"', b"true"]
                ),
            )
        )
    try:
        result = source.parse(bytes(raw))
    except SourceError:
        return
    if isinstance(result, Alert):
        check_alert(result)


@pytest.mark.parametrize(("name", "path"), JSON_SAMPLES)
@settings(max_examples=examples(60), deadline=None)
@given(data=st.data())
def test_any_json_in_any_field(name: str, path: Path, data: st.DataObject) -> None:
    source, raws = opened(name, path)
    body = json.loads(data.draw(st.sampled_from(raws)))
    holder, key = body, data.draw(st.sampled_from(sorted(body)))
    while isinstance(holder[key], dict) and holder[key] and data.draw(st.booleans()):
        holder = holder[key]
        key = data.draw(st.sampled_from(sorted(holder)))
    holder[key] = data.draw(JSON_VALUES)
    try:
        result = source.parse(json.dumps(body).encode())
    except SourceError:
        return
    if isinstance(result, Alert):
        check_alert(result)


@pytest.mark.parametrize(("name", "path"), JSON_SAMPLES)
def test_an_escaped_nul_does_not_hide_the_alert(name: str, path: Path) -> None:
    source, raws = opened(name, path)
    for raw in raws:
        spoiled = raw[:-1] + b',"zz":"\\u0000"}'
        assert source.parse(spoiled) == source.parse(raw)


TEXTS = st.one_of(st.text(max_size=40), st.just("x" * 5000), st.just("\u202e<script>{{7*7}}\u0000"))
JSON_VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXTS, inner, max_size=4)),
    max_leaves=8,
)
