"""Reading: whatever the shape, the packing and the block sizes, the same messages come out, each once, byte for byte."""

from __future__ import annotations

import csv
import gzip
import io
import json
import lzma
import random
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from countersign.errors import ConfigError, EnvironmentFault, UsageError
from countersign.model.alerts import CHUNK_ALERTS_MAX, Delivery
from countersign.sources.frames import RECORD_BYTES_MAX, Tally
from countersign.sources.reader import BODY_BYTES_MAX, CHUNK_BYTES_MAX, input_files, read_deliveries, read_stream, split_body
from tests.examples import examples

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

ROOT = Path(__file__).resolve().parents[2]
CSV_MAPPING = (ROOT / "docs" / "mappings" / "ait-ads.toml").read_text()
HEADER = b"time,name,ip,host,short,time_label,event_label"
PACK: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gzip": gzip.compress,
    "gzip-members": lambda data: gzip.compress(data[: len(data) // 2]) + gzip.compress(data[len(data) // 2 :]),
    "xz": lzma.compress,
    "zstd": zstd.compress,
    "zstd-frames": lambda data: zstd.compress(data[: len(data) // 2]) + zstd.compress(data[len(data) // 2 :]),
}


class Trickle(io.RawIOBase):
    """A stream that gives a few bytes at a time, as a pipe may."""

    def __init__(self, data: bytes, sizes: Iterator[int]) -> None:
        self._inner, self._sizes = io.BytesIO(data), sizes

    def read(self, size: int = -1) -> bytes:
        return self._inner.read(next(self._sizes, size))


def trickle(data: bytes, seed: int) -> IO[bytes]:
    chooser = random.Random(seed)
    return Trickle(data, iter(lambda: chooser.randint(1, 7), 0))  # type: ignore[return-value]


def until_error(deliveries: Iterator[Delivery]) -> tuple[list[Delivery], str]:
    """What came before the reader gave up, and why it did; "" when it did not."""
    found: list[Delivery] = []
    try:
        for delivery in deliveries:
            found.append(delivery)  # noqa: PERF402 - what came before the error counts
    except UsageError as error:
        return found, str(error)
    return found, ""


def raws(deliveries: list[Delivery]) -> list[bytes]:
    return [raw for delivery in deliveries for raw in delivery.raws]


def positions(deliveries: list[Delivery]) -> list[int]:
    return [position for delivery in deliveries for position in delivery.positions]


LEAVES = st.one_of(
    st.none(), st.integers(), st.text(max_size=12), st.sampled_from(['"', "\\", "[", "}", '\\"', "é\u202e", "\n"])
)
VALUES = st.recursive(
    LEAVES, lambda v: st.one_of(st.lists(v, max_size=3), st.dictionaries(st.text(max_size=5), v, max_size=3))
)
OBJECTS = st.dictionaries(st.text(max_size=6).filter(lambda k: k not in {"alerts", "value"}), VALUES, max_size=4)


@given(
    st.lists(OBJECTS, min_size=1, max_size=12),
    st.sampled_from(sorted(PACK)),
    st.sampled_from([b"\n", b"\r\n"]),
    st.booleans(),
)
def test_json_lines(objects: list[dict[str, object]], packing: str, end: bytes, bom: bool) -> None:
    lines = [json.dumps(item).encode() for item in objects]
    body = (b"\xef\xbb\xbf" if bom else b"") + (end + end + b"  " + end).join(lines) + end
    tally = Tally()
    found = list(read_stream(io.BytesIO(PACK[packing](body)), "wazuh", tally=tally))
    assert raws(found) == lines
    assert positions(found) == [1 + 3 * i for i in range(len(lines))]
    assert (tally.messages, tally.blank, tally.headers) == (len(lines), 2 * (len(lines) - 1), 0)
    assert tally.messages + tally.blank == tally.lines


@given(
    st.lists(VALUES, max_size=12),
    st.sampled_from([None, 0, 2]),
    st.integers(0, 2**32),
    st.sampled_from(["array", "alerts", "value"]),
)
def test_arrays_and_wrappers(items: list[object], indent: int | None, seed: int, shape: str) -> None:
    inner = json.dumps(items, indent=indent)
    text = inner if shape == "array" else f'{{"@odata.context": "x]}}", "n": 3,\n"{shape}": {inner}, "next": {{"a": [1]}}}}'
    found = list(read_stream(trickle(text.encode(), seed), "wazuh"))
    assert [json.loads(raw) for raw in raws(found)] == items
    assert positions(found) == list(range(1, len(items) + 1))
    for raw in raws(found):
        assert raw in text.encode()


@given(st.lists(OBJECTS.filter(bool), min_size=1, max_size=5), st.integers(0, 2**32))
def test_pretty_printed_objects_one_after_another(objects: list[dict[str, object]], seed: int) -> None:
    text = "\n".join(json.dumps(item, indent=2) for item in objects)
    assert [json.loads(raw) for raw in raws(list(read_stream(trickle(text.encode(), seed), "wazuh")))] == objects


@given(st.lists(OBJECTS, min_size=1, max_size=6), st.data())
def test_a_torn_array_gives_its_whole_elements_and_the_rest(objects: list[dict[str, object]], data: st.DataObject) -> None:
    text = json.dumps(objects).encode()
    cut = data.draw(st.integers(1, len(text) - 1))
    found, error = until_error(read_stream(io.BytesIO(text[:cut]), "wazuh"))
    whole = {json.dumps(item).encode() for item in objects}
    assert [json.loads(raw) for raw in raws(found) if raw in whole] == objects[: sum(raw in whole for raw in raws(found))]
    assert sum(raw not in whole for raw in raws(found)) <= 1
    assert (b"[" + b", ".join(raws(found))).rstrip(b", \n") == text[:cut].rstrip(b", \n"), "nothing is lost"
    assert error == "" or "not closed" in error


def csv_text(rows: list[list[str]], end: str) -> tuple[bytes, list[bytes]]:
    """CSV with a header, and each record's bytes."""
    records = []
    for row in rows:
        out = io.StringIO(newline="")
        csv.writer(out, lineterminator="\r\n").writerow(row)
        records.append(out.getvalue().removesuffix("\r\n").encode())
    return (end.encode()).join([HEADER, *records]) + end.encode(), records


CELLS = st.text(alphabet=st.sampled_from('ab,"\n\r é;'), max_size=6)


@given(
    st.lists(st.lists(CELLS, min_size=7, max_size=7), max_size=8),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from(sorted(PACK)),
)
def test_csv_records_keep_quoted_line_ends(rows: list[list[str]], end: str, packing: str) -> None:
    body, records = csv_text(rows, end)
    tally = Tally()
    found = list(read_stream(io.BytesIO(PACK[packing](body)), "generic", mapping=CSV_MAPPING, tally=tally))
    assert raws(found) == records
    assert all(delivery.header == HEADER for delivery in found)
    assert (tally.messages, tally.headers) == (len(records), 1)
    assert [next(csv.reader(io.StringIO(raw.decode(), newline=""))) for raw in raws(found)] == rows


@given(st.binary(max_size=400), st.sampled_from(["wazuh", "csv"]), st.integers(0, 2**32))
@settings(max_examples=examples(300))
def test_no_bytes_are_lost_and_block_sizes_do_not_matter(data: bytes, kind: str, seed: int) -> None:
    mapping = CSV_MAPPING if kind == "csv" else ""
    body = HEADER + b"\n" + data if kind == "csv" else b"x" + data  # begins like lines
    whole = list(read_stream(io.BytesIO(body), "generic" if mapping else "wazuh", mapping=mapping))
    pieces = list(read_stream(trickle(body, seed), "generic" if mapping else "wazuh", mapping=mapping))
    assert raws(whole) == raws(pieces)
    assert positions(whole) == positions(pieces)
    assert positions(whole) == sorted(set(positions(whole)))
    squeezed = b"".join(raws(whole)).translate(None, b" \t\r\n")
    assert squeezed == (data if kind == "csv" else body).translate(None, b" \t\r\n")


@given(st.binary(max_size=300), st.integers(0, 2**32))
def test_any_bytes_that_begin_like_json_end(data: bytes, seed: int) -> None:
    for start in (b"[", b"{\n", b'{"alerts":[', b'{"a":{},\n"value":[{"b":1},'):
        body = start + data
        results = []
        for stream in (io.BytesIO(body), trickle(body, seed)):
            found, error = until_error(read_stream(stream, "wazuh"))
            assert error == "" or "not closed" in error
            results.append((raws(found), error))
        assert all(results[0][0])
        assert results[0] == results[1]


def test_chunks_are_bounded() -> None:
    many = b"\n".join(b'{"n":%d}' % i for i in range(1234))
    found = list(read_stream(io.BytesIO(many), "wazuh"))
    assert [len(delivery.raws) for delivery in found] == [CHUNK_ALERTS_MAX, CHUNK_ALERTS_MAX, 234]
    large = b"\n".join([b'"%s"' % (b"x" * 1_500_000)] * 5)
    sizes = [sum(map(len, delivery.raws)) for delivery in read_stream(io.BytesIO(large), "wazuh")]
    assert len(sizes) == 3
    assert max(sizes) <= CHUNK_BYTES_MAX


def test_a_ten_megabyte_line_passes_whole() -> None:
    long = b'{"a":"' + b"x" * (10 << 20) + b'"}'
    found = list(read_stream(io.BytesIO(b'{"n":1}\n' + long + b'\n{"n":2}\n'), "wazuh"))
    assert raws(found) == [b'{"n":1}', long, b'{"n":2}']
    assert positions(found) == [1, 2, 3]


def test_an_endless_line_is_an_error_with_its_place() -> None:
    body = io.BytesIO(b'{"n":1}\n{"n":2}\n' + b"x" * (RECORD_BYTES_MAX + 1))
    _, error = until_error(read_stream(body, "wazuh"))
    assert error.startswith(f"-:3: record longer than {RECORD_BYTES_MAX} bytes")


def test_a_quote_that_never_closes_costs_one_record() -> None:
    good = b"1642213952,Wazuh: x,192.0.2.1,mail,W-1,-,-"
    rows = [good.replace(b"mail", b'"mail')] + [good] * 40_000
    found = list(read_stream(io.BytesIO(b"\n".join([HEADER, *rows])), "generic", mapping=CSV_MAPPING))
    assert raws(found) == rows
    assert positions(found) == list(range(2, len(rows) + 2))


@pytest.mark.parametrize("packing", ["gzip", "xz", "zstd"])
def test_a_cut_off_stream_gives_what_it_held_then_an_error(packing: str, tmp_path: Path) -> None:
    chooser = random.Random(7)
    lines = [b'{"n":%d,"x":"%d"}' % (i, chooser.getrandbits(256)) for i in range(20_000)]
    packed = PACK[packing](b"\n".join(lines))
    path = tmp_path / "alerts.jsonl.bin"
    path.write_bytes(packed[: len(packed) * 2 // 3])
    tally = Tally()
    found, error = until_error(read_deliveries(path, "wazuh", tally=tally))
    assert error.startswith(f"alerts.jsonl.bin:{tally.lines + 1}: the {packing} stream is cut off")
    assert raws(found) == lines[: tally.messages]
    assert tally.messages > 5_000


@pytest.mark.parametrize("packing", ["gzip", "xz", "zstd"])
def test_a_damaged_stream_is_an_error(packing: str) -> None:
    chooser = random.Random(8)
    packed = bytearray(PACK[packing](b"\n".join(b'{"n":"%d"}' % chooser.getrandbits(256) for _ in range(20_000))))
    packed[len(packed) // 2] ^= 0xFF
    packed[-6] ^= 0xFF
    with pytest.raises(UsageError, match="damaged"):
        list(read_stream(io.BytesIO(bytes(packed)), "wazuh"))


@pytest.mark.parametrize("body", [b"", b"\n\n", b"[]", b"  [ ]  ", b"\xef\xbb\xbf", b"{}"[:0]])
def test_nothing_gives_nothing(body: bytes) -> None:
    assert split_body(body, "wazuh") == []


def test_http_bodies() -> None:
    pretty = json.dumps({"rule": {"id": "1"}, "x": [1, 2]}, indent=2).encode()
    assert raws(split_body(pretty, "wazuh", content_type="application/json")) == [pretty]
    assert raws(split_body(b'{"alerts": [{"a": 1}, {"a": 2}]}', "wazuh")) == [b'{"a": 1}', b'{"a": 2}']
    assert raws(split_body(b'{"i": {"n": 1}, "value": [{"a": 1}]}', "wazuh")) == [b'{"a": 1}']
    assert raws(split_body(b'{"a":1}\n{"a":2}', "wazuh", content_type="application/x-ndjson; charset=utf-8")) == [
        b'{"a":1}',
        b'{"a":2}',
    ]
    with pytest.raises(UsageError, match="image/png"):
        split_body(b"x", "wazuh", content_type="image/png")


def test_a_body_that_unpacks_to_too_much_is_refused() -> None:
    with pytest.raises(UsageError, match="http: body of more than"):
        split_body(gzip.compress(b"{}\n" * (BODY_BYTES_MAX // 3 + 1)), "wazuh")
    with pytest.raises(UsageError, match="cut off"):
        split_body(gzip.compress(b'{"a":1}')[:-9], "wazuh")


def test_a_torn_first_line_does_not_swallow_the_rest() -> None:
    body = b'{"a": [1,\n{"b": 2}\n{"c": 3}\n'
    assert raws(split_body(body, "wazuh")) == [b'{"a": [1,', b'{"b": 2}', b'{"c": 3}']


def test_wrong_names_fail_before_anything_is_read() -> None:
    with pytest.raises(UsageError, match="no source named"):
        split_body(b"{}", "nosuch")
    with pytest.raises(ConfigError, match="mapping"):
        split_body(b"{}", "generic")
    with pytest.raises(ConfigError, match=r"CSV header: the mapping names the column 'short'"):
        split_body(b"time,name\n1,2\n", "generic", mapping=CSV_MAPPING)


def test_input_files(tmp_path: Path) -> None:
    for name in ("b.jsonl", "a.jsonl.gz", ".hidden"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "sub").mkdir()
    assert [path.name for path in input_files(tmp_path)] == ["a.jsonl.gz", "b.jsonl"]
    assert input_files(tmp_path / "b.jsonl") == [tmp_path / "b.jsonl"]
    with pytest.raises(UsageError, match="no files"):
        input_files(tmp_path / "sub")
    with pytest.raises(UsageError, match="no such file"):
        input_files(tmp_path / "absent")
    with pytest.raises(EnvironmentFault):
        list(read_deliveries(tmp_path / "absent", "wazuh"))


def test_follow_reads_what_is_appended_and_a_rotated_file(tmp_path: Path) -> None:
    path = tmp_path / "alerts.json"
    path.write_bytes(b'{"n":1}\n{"n":2')
    steps = iter([b'}\n{"n":3}\n', "rotate", b'{"n":5}\n'])

    def world_goes_on() -> bool:
        step = next(steps, None)
        if isinstance(step, bytes):
            with path.open("ab") as stream:
                stream.write(step)
        elif step == "rotate":
            path.rename(tmp_path / "alerts.json.1")
            path.write_bytes(b'{"n":4}\n')
        return step is not None

    found = list(read_deliveries(path, "wazuh", follow=True, wait=world_goes_on))
    assert raws(found) == [b'{"n":%d}' % n for n in range(1, 6)]
    assert positions(found) == [1, 2, 3, 1, 2]


def test_memory_stays_bounded(tmp_path: Path) -> None:
    path = tmp_path / "big.jsonl.xz"
    line = b'{"n":"' + b"y" * 1000 + b'"}\n'
    with lzma.open(path, "wb", preset=0) as stream:
        for _ in range(60):
            stream.write(line * 1000)
    tracemalloc.start()
    count = sum(len(delivery.raws) for delivery in read_deliveries(path, "wazuh"))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 60_000
    assert peak < 8_000_000
