"""Attacker text is escaped and made visible; words, raw fields and the graph hold for anything."""

from __future__ import annotations

import asyncio
import html
import importlib.util
import json
import re
import shutil
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countersign.model.alerts import Severity
from countersign.model.verdicts import PPM, Label
from countersign.policy.gate import CHECKS
from countersign.triage.features import FEATURES
from countersign.web import glyphs, graph, raw_view, words
from countersign.web.live import Watcher
from countersign.web.session import Sessions
from countersign.web.text import TEXT_CHARS_MAX, shorten, visible, visible_text
from tests.conftest import ROOT

ANY = st.text(st.characters(), max_size=60)  # surrogates among them
OURS = re.compile(r"</?bdi>|<span class=\"hidden-char\" title=\"[^\"<>]*\">|<span class=\"cut\">|</span>")


@given(ANY)
def test_visible_text_brings_no_markup_of_its_own(text: str) -> None:
    rest = OURS.sub("", str(visible(text)))
    assert "<" not in rest
    assert ">" not in rest
    assert '"' not in rest


@given(ANY)
def test_nothing_invisible_is_left_and_nothing_visible_is_lost(text: str) -> None:
    plain = visible_text(text)
    assert not [c for c in plain if unicodedata.category(c) in {"Cc", "Cf", "Cs", "Zl", "Zp"}]
    back = re.sub(r"⟦U\+([0-9A-F]{4,6})⟧", lambda m: chr(int(m[1], 16)), plain)
    if "⟦U+" not in text:
        assert back == text
    assert html.unescape(OURS.sub("", str(visible(text)))) == plain
    plain.encode("utf-8")


def test_named_characters_stand_as_tokens() -> None:
    assert visible_text("a\u202eb\u0000\u200b\u2066\ufeff\u3164") == "a⟦U+202E⟧b⟦U+0000⟧⟦U+200B⟧⟦U+2066⟧⟦U+FEFF⟧⟦U+3164⟧"
    assert "right-to-left override" in str(visible("\u202e"))
    assert str(visible("a\nb\tc", lines=True)) == "<bdi>a\nb\tc</bdi>"
    assert "more characters" in str(visible("x" * (TEXT_CHARS_MAX + 5)))


@given(ANY, st.integers(3, 40))
def test_shorten_keeps_both_ends(text: str, most: int) -> None:
    short = shorten(text, most)
    assert len(short) <= max(most, 0)
    assert short == text or (text.startswith(short.partition("…")[0]) and text.endswith(short.rpartition("…")[2]))


@given(st.sampled_from(Label), st.integers(0, PPM), st.integers(0, PPM), st.integers(0, PPM))
def test_confidence_is_an_interval_within_bounds(label: Label, a: int, b: int, gate: int) -> None:
    low, high = words.confidence(label, min(a, b), max(a, b))
    assert 0 <= low <= high <= PPM
    for number in re.findall(r'(?:x|width)="([0-9.]+)"', str(glyphs.confidence(label, min(a, b), max(a, b), gate))):
        assert 0 <= float(number) <= 44


def test_probabilities_are_never_rounded_to_certainty() -> None:
    assert words.percent(3) == "< 0.01 %"
    assert words.percent(PPM - 3) == "> 99.99 %"
    assert words.percent(0) == "0 %"
    assert words.percent(6_100) == "0.61 %"
    assert words.percent(999_000) != "100 %"


@given(st.sampled_from([*words.FEATURES, "something_new"]), st.integers(-1, 2**53) | st.text(max_size=9))
def test_every_feature_value_reads(name: str, value: int | str) -> None:
    assert isinstance(words.value(name, value), str)
    assert words.feature(name)


@pytest.mark.parametrize(
    ("ms", "text"), [(59_000, "59s"), (60_000, "1m"), (3_660_000, "1h 01m"), (90_000_000, "1d 01h"), (-5, "0s")]
)
def test_spans(ms: int, text: str) -> None:
    assert words.span(ms) == text


def test_age_is_late_by_severity() -> None:
    assert words.late(Severity.CRITICAL, 901_000)
    assert not words.late(Severity.LOW, 901_000)


@given(st.recursive(st.none() | st.booleans() | st.integers() | ANY, lambda c: st.lists(c) | st.dictionaries(ANY, c)))
def test_raw_fields_hold_for_any_json(document: object) -> None:
    raw = json.dumps(document).encode()
    for line in raw_view.fields(raw, b"", ("a.b",)):
        assert isinstance(line.value, str)


def test_raw_fields_mark_what_an_attacker_writes_and_keep_duplicate_keys() -> None:
    raw = b'{"a":{"b":"x","c":"y"},"a":{"b":"z"},"l":[{"n":"q"}],"flat.key":"w"}'
    lines = raw_view.fields(raw, b"", ("a.b", "l.n", "flat.key"))
    assert [(line.path, line.tainted) for line in lines] == [
        ("a", False), ("a.b", True), ("a.c", False), ("a", False), ("a.b", True),
        ("l", False), ("l.0", False), ("l.0.n", True), ("flat.key", True),
    ]  # fmt: skip
    assert raw_view.fields(b"1,2", b"x,y", ("y",))[1].tainted
    assert raw_view.fields(b"[" * 5000, b"", ()) == ()
    assert raw_view.fields(b"\xff\x00", b"", ()) == ()


@given(st.text(max_size=30))
def test_no_forged_cookie_passes(text: str) -> None:
    assert Sessions(b"k" * 32).person(text, 0) is None  # and asks no database


def test_empty_graph_draws() -> None:
    assert "<svg" in graph.svg(graph.build(()))


def test_every_feature_and_gate_condition_has_words() -> None:
    assert set(FEATURES) <= set(words.FEATURES)
    assert set(CHECKS) <= set(words.CONDITIONS)


def test_ranges_in_a_counterfactual_read_in_the_units_of_the_feature() -> None:
    assert words.value("pair_gap_s", "1034 to 1457") == "17m to 24m"
    assert words.value("pattern_share_ppm", "20000 or less") == "2 % or less"
    assert words.value("tool", "microsoft365") == "microsoft365"


def test_watcher_tells_every_listener_of_each_change_and_stops_when_nobody_listens() -> None:
    async def scene() -> list[bytes]:
        values = iter(["1", "1", "2", "2", "3"])
        last = "3"

        def look() -> str:
            return next(values, last)

        watcher = Watcher(look, period_s=0.001)
        one, two = watcher.listen(), watcher.listen()
        heard = [await anext(one), await anext(two)]
        for stream in (one, two):
            while heard[-1] != b"event: ledger\ndata: 3\n\n":
                heard.append(await anext(stream))
            await stream.aclose()
            heard.append(b"closed")
        assert not watcher.full()
        return heard

    heard = asyncio.run(scene())
    assert heard[0].startswith(b"retry")
    assert heard.count(b"closed") == 2


def test_assets_build_hook_is_a_no_op_when_up_to_date(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    assert spec is not None
    assert spec.loader is not None
    hook = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hook)
    shutil.copy(ROOT / "package-lock.json", tmp_path)
    vendor = tmp_path / hook.VENDOR
    vendor.mkdir(parents=True)
    (vendor / hook.STAMP).write_text(hook._wanted(tmp_path))
    assert hook.install(tmp_path) is False
    assert '"resolved"' not in (ROOT / "package-lock.json").read_text()


def test_an_unsure_verdict_shows_the_probability_of_a_threat_whichever_way_it_leans() -> None:
    assert words.confidence(Label.INSUFFICIENT, 5_000, 120_000) == (5_000, 120_000)
    assert words.confidence(Label.INSUFFICIENT, 40_000, 940_000) == (40_000, 940_000)
    assert words.confidence(Label.BENIGN, 5_000, 120_000) == (880_000, 995_000)


def test_one_thing_is_counted_in_the_singular() -> None:
    assert [words.counted(n, "alert") for n in (0, 1, 2_310)] == ["0 alerts", "1 alert", "2,310 alerts"]
