"""Text may only raise a score, sums exactly, replays to the same bytes, and costs nothing where no model reads it."""

from __future__ import annotations

import zlib

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from countersign.errors import ConfigError
from countersign.evaluate.learn import pack
from countersign.model.alerts import Severity
from countersign.model.entities import Entity, EntityType, Role
from countersign.model.findings import Finding
from countersign.model.verdicts import PICO
from countersign.triage import text
from countersign.triage.model import Model
from countersign.triage.text import MOST_PICO, REST, SCHEME, Reader, TextPart
from tests.property.test_triage_model import ROWS

PRIOR = Model.load_prior()
TEXTS = st.text(max_size=120)
"""Any code point, marks that combine and lone surrogates too."""
ARTEFACTS = st.lists(TEXTS, max_size=4).map(tuple)


@st.composite
def parts(draw: st.DrawFn, texts: tuple[str, ...]) -> TextPart:
    """A part that knows some grams of these texts, and some of none."""
    own = sorted(text.buckets(texts))
    known = set(draw(st.lists(st.sampled_from(own), max_size=30))) if own else set()
    known |= draw(st.sets(st.integers(0, 2**text.BITS - 1), max_size=5))
    buckets = tuple(sorted(known))
    weights = tuple(draw(st.lists(st.integers(1, 2 * PICO), min_size=len(buckets), max_size=len(buckets))))
    return TextPart(SCHEME, draw(st.integers(1, MOST_PICO)), buckets, weights)


def reading(part: TextPart) -> Model:
    return Model.from_bytes(pack(msgspec.structs.replace(PRIOR.document, text=part)))


@given(st.data(), ARTEFACTS)
def test_what_text_adds_is_the_exact_sum_of_what_is_shown_and_never_below_nothing(
    data: st.DataObject, texts: tuple[str, ...]
) -> None:
    part = data.draw(parts(texts))
    shown = Reader(part).contributions(texts)
    assert sum(c.pico for c in shown) == Reader(part).pico(texts)
    assert all(c.pico > 0 for c in shown)
    assert 0 == Reader(part).pico(()) <= Reader(part).pico(texts) <= part.most
    named = [c for c in shown if c.feature != REST]
    assert all(c.feature == f"text:{c.value}" for c in named)
    assert len(named) <= text.SHOWN_MAX


@given(st.data(), ARTEFACTS, TEXTS)
def test_more_text_never_lowers_the_score(data: st.DataObject, texts: tuple[str, ...], more: str) -> None:
    """P10: another artefact, the same one longer, or the same words again and again."""
    reader = Reader(data.draw(parts((*texts, more))))
    before = reader.pico(texts)
    assert reader.pico((*texts, more)) >= before
    assert reader.pico(tuple(f"{one} {more}" for one in texts)) >= before
    assert reader.pico(texts * 3) == before


@given(TEXTS, TEXTS)
def test_grams_of_a_text_stay_when_text_is_added(one: str, more: str) -> None:
    assert text.buckets([one]) <= text.buckets([f"{one} {more}"])


@given(TEXTS)
def test_all_hashes_at_once_are_those_of_the_published_function_one_by_one(one: str) -> None:
    data = text.normal(one).encode("utf-8", "surrogatepass")
    runs = {zlib.crc32(b"c" + data[i : i + 5]) & (2**18 - 1) for i in range(len(data) - 4)}
    assert text.buckets([one]) == runs | {text.bucket_of(word) for word in text.words(text.normal(one))}


@settings(deadline=None)
@given(st.data(), ROWS, ARTEFACTS)
def test_a_verdict_with_text_adds_up_and_replays_to_the_same_bytes(
    data: st.DataObject, values: tuple[int | str, ...], texts: tuple[str, ...]
) -> None:
    model = reading(data.draw(parts(texts)))
    verdict = model.verdict(values, texts=texts)
    assert verdict.pico == verdict.intercept_pico + sum(c.pico for c in verdict.contributions)
    assert verdict.pico == model.score(values) + Reader(model.document.text).pico(texts)  # type: ignore[arg-type]
    again = Model.from_bytes(pack(model.document)).verdicts([values, values], texts=[(), texts])
    assert msgspec.json.encode(again[1]) == msgspec.json.encode(verdict)
    assert again[0].pico <= again[1].pico
    weights = [abs(c.pico) for c in verdict.contributions]
    assert weights == sorted(weights, reverse=True)


def test_a_model_without_a_text_part_asks_for_no_text_and_one_with_it_does() -> None:
    row = next(iter([(0,) * 11 + ("wazuh", "mail") + (0,) * 10]))
    assert not PRIOR.reads_text
    assert PRIOR.verdict(row) == PRIOR.verdict(row, texts=("whatever",))
    model = reading(TextPart(SCHEME, PICO, (1,), (1,)))
    assert model.reads_text
    with pytest.raises(ValueError, match="zip"):
        model.verdicts([row])


def test_the_hash_is_the_published_one_and_case_width_and_numbers_do_not_matter() -> None:
    assert text.bucket_of("wpowershell") == zlib.crc32(b"wpowershell") & (2**18 - 1)
    assert zlib.crc32(b"123456789") == 0xCBF43926  # the check value that RFC 1952's polynomial gives
    assert text.buckets(["ＰowerShell  -enc 17"]) == text.buckets(["powershell -ENC\t42"])
    assert text.words(text.normal("Invoke Web")) == {"winvoke", "wweb", "pinvoke web"}


@pytest.mark.parametrize(
    ("buckets", "weights", "most", "words"),
    [
        ((1, 1), (1, 1), PICO, "must rise"),
        ((1,), (1, 2), PICO, "have a weight each"),
        ((2**18,), (1,), PICO, "be hashes"),
        ((1,), (-1,), PICO, "only raise"),
        ((1,), (0,), PICO, "only raise"),
        ((), (), MOST_PICO + 1, "scheme"),
    ],
)
def test_a_text_part_that_could_lower_or_flood_is_refused(
    buckets: tuple[int, ...], weights: tuple[int, ...], most: int, words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        TextPart(SCHEME, most, buckets, weights)
    raw = pack(msgspec.structs.replace(PRIOR.document, text=TextPart(SCHEME, PICO, (5,), (7,))))
    with pytest.raises(ConfigError, match="only raise"):
        Model.from_bytes(raw.replace(b'"weights":[7]', b'"weights":[-7]'))


def finding(message: str, *entities: Entity) -> Finding:
    return Finding("F-1", "edr", "edr", "1", "Script ran", Severity.LOW, 0, 0, 0, 1, message=message, entities=entities)


def test_no_host_address_or_person_is_read() -> None:
    kinds = {kind: f"{kind.value}-value" for kind in EntityType}
    found = finding("hello", *(Entity(kind, value, Role.ACTOR) for kind, value in kinds.items()))
    read = {kinds[kind] for kind in (EntityType.PROCESS, EntityType.FILE, EntityType.URL)}
    assert set(text.artefacts(found)) == {"Script ran", "hello"} | read


def test_screens_read_the_gram_out_of_the_findings_own_text() -> None:
    found = finding("powershell -enc AAAA")
    bucket = text.bucket_of("wpowershell")
    shown = Reader(TextPart(SCHEME, PICO, (bucket,), (5,))).contributions(text.artefacts(found))
    assert [c.value for c in shown] == [bucket]
    assert [c.value for c in text.readable(found, shown)] == ["powershell"]
    assert [c.value for c in text.readable(finding("other words"), shown)] == [bucket]


def test_a_wall_of_text_is_read_up_to_its_bound_quickly_enough() -> None:
    wall = "".join(chr(0x4E00 + i % 20_000) for i in range(200_000))
    assert len(text.normal(wall)) == text.CHARS_MAX
    assert len(text.normal("\ufdfa" * 10_000)) == text.CHARS_MAX
    assert 0 < len(text.hashes([wall])) < 4 * text.CHARS_MAX
