"""Statements need entries, entries of any shape can be read, and hostile text stays text when it is set."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countersign.errors import UsageError
from countersign.ledger.note import Checkpoint
from countersign.model.entries import Actor, Entry, Kind
from countersign.reporting import articles, html, pack, typeset
from countersign.reporting.case import CaseFile, _ended
from countersign.reporting.make import ARTICLES
from countersign.reporting.model import Cited, Claim, Line, Report, Section, absent
from countersign.reporting.says import Names, begun, sentence
from countersign.reporting.view import colours, ranges, view

HOSTILE = (
    '#panic(1) #read("/etc/passwd") #import "@preview/x:1"',
    "] ) } $ x $ \\ * _ ` ``` <label> @ref = // /* #",
    "</style></title><script>alert(1)</script>\"'><img src=x onerror=alert(1)>",
    "{{ 7*7 }} {% raw %} ${7*7} %s \u0000",
    "\u202eevil\u202c \ufeff\u200d\ufff9",
    "日本語 العربية עברית \U0001f6a8 e\u0301",
    "x" * 5_000,
    "",
)


def cited(index: int = 3, kind: Kind = Kind.CASE_DISPOSED) -> Cited:
    entry = Entry(kind, 1, Actor("human", "person~0"), "C-1", "", {})
    return Cited(index, entry, b"{}", "C-1")


def test_a_statement_without_an_entry_cannot_be_made() -> None:
    for said in ({}, {"lines": (Line(("x",)),)}):
        with pytest.raises(UsageError, match="may not say without an entry"):
            Claim("something happened", **said)
    with pytest.raises(UsageError, match="cannot name one"):
        Claim("no entry shows it", (1,), absent=True)
    assert absent("no entry shows it").carriers() == set()
    assert Claim("x", (1,), lines=(Line(("y",), (2, 3)),)).carriers() == {1, 2, 3}


def test_a_sentence_begins_with_a_capital_and_keeps_the_names_in_it() -> None:
    assert begun("the log SOC.Example/Log begins") == "The log SOC.Example/Log begins"
    assert begun("") == ""


@pytest.mark.parametrize("findings", [1, 2])
def test_that_the_agent_closed_every_finding_is_said_only_where_every_one_is_there(findings: int) -> None:
    entry = Entry(Kind.FINDING_DECIDED, 1, Actor("agent", "triage"), "F-1", "", {"action": "close"})
    one = Cited(3, entry, b"{}", "C-1")
    file = CaseFile("C-1", {3: one}, (one,), findings, findings, (), 0, {}, Names())
    (said,) = _ended(file)
    assert said.text.startswith("The agent closed every finding") is (findings == 1)


@given(st.lists(st.integers(0, 60)))
def test_citations_in_short_name_exactly_the_entries(indices: list[int]) -> None:
    named: set[int] = set()
    for one in ranges(indices):
        first, _, last = one["text"].partition("–")
        assert one["at"] == int(first)
        named |= set(range(int(first), int(last or first) + 1))
    assert named == set(indices)


@pytest.mark.parametrize("kind", Kind)
def test_an_entry_whose_body_is_of_another_form_is_named_by_its_kind(kind: Kind) -> None:
    text = sentence(cited(kind=kind).entry, Names())
    assert text
    assert "C-1" in text or kind.value.replace(".", " ").replace("_", " ") in text


def test_every_part_is_found_by_its_own_name_and_no_name_means_two() -> None:
    names = [part.id.casefold() for article in ARTICLES for part in article.parts if not part.id.isdigit()]
    assert len(names) == len(set(names))
    for article in ARTICLES:
        assert articles.resolve(ARTICLES, article.id) == (article, article.parts)
        for part in article.parts:
            assert articles.resolve(ARTICLES, f"{article.id}-{part.id}".upper()) == (article, (part,))
    with pytest.raises(UsageError, match="use one of soc2, gdpr"):
        articles.resolve(ARTICLES, "pci")


def test_the_script_is_made_of_the_manual_s_blocks_alone() -> None:
    made = pack.manual()
    script, manual = made["verify.sh"].decode(), made["VERIFY.md"].decode()
    lines = [line for line in script.splitlines() if line and not line.startswith("#")]
    assert all(line in manual.splitlines() for line in lines)
    assert "countersign verify" not in script
    done = subprocess.run(["sh", "-n"], input=script, text=True, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def hostile_report() -> dict[str, object]:
    one = cited()
    claims = tuple(
        Claim(
            text, (3,), (), (text, "weight"), (Line((text, "+1.00"), (3,)), Line((text, "−0.50"), (3,))), bars=1, lead=text
        )
        for text in HOSTILE
    )
    sections = (Section(HOSTILE[0], (*claims, *map(absent, HOSTILE)), "", HOSTILE[1]),)
    report = Report(HOSTILE[0], HOSTILE[1], HOSTILE[2], tuple(zip(HOSTILE, HOSTILE, strict=True)), HOSTILE, sections)
    return view(report, {3: one}, (), HOSTILE, Checkpoint("log", 4, bytes(32)), "log+0+x")


def test_hostile_text_stays_text_on_the_page() -> None:
    page = html.render(hostile_report()).decode()
    assert not re.search(r"<(script|img)", page)
    assert "\u202e" not in page
    assert "{{ 7*7 }}" in page
    assert "49" not in re.sub(r"(?s)<style>.*?</style>", "", page)


@pytest.mark.skipif(shutil.which("pdftotext") is None, reason="pdftotext (poppler-utils) is not installed")
def test_hostile_text_stays_text_on_paper(tmp_path: Path) -> None:
    pytest.importorskip("typst")
    (tmp_path / "x.pdf").write_bytes(typeset.render(hostile_report(), 0))
    command = ["pdftotext", "-layout", str(tmp_path / "x.pdf"), "-"]
    text = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    flat = "".join(text.split())
    for part in (
        "#panic(1)",
        '#read("/etc/passwd")',
        '#import"@preview/x:1"',
        "$x$",
        "<label>@ref",
        "<script>alert(1)</script>",
    ):
        assert part in flat, part


def test_the_colours_of_the_console_are_those_of_the_paper() -> None:
    used = set(re.findall(r'colour\("([a-z0-9]+)"\)', (Path(typeset.__file__).parent / typeset.TEMPLATE).read_text("utf-8")))
    assert used <= colours().keys()
    assert {"t1", "l1", "accent"} <= used
