"""How an evidence pack gets out: page, PDF, console, files and command."""

from __future__ import annotations

import hashlib
import io
import re
import shutil
import subprocess
import sys
import zipfile
from base64 import b64encode
from html.parser import HTMLParser
from pathlib import Path

import pytest
from sqlalchemy import update

from countersign.api.server import create_app
from countersign.bootstrap import Site
from countersign.errors import ConflictError, EnvironmentFault, UsageError, VerificationError
from countersign.reporting import pack as packing
from countersign.reporting import typeset
from countersign.reporting.make import Pack, Wanted, make_pack
from countersign.reporting.reading import by_index
from countersign.store import tables as t
from countersign.store.engine import reading, writing
from countersign.web.session import COOKIE, Sessions
from tests import fakes, responding
from tests.browser.client import Client
from tests.integration.test_proposals import CYN

pytestmark = pytest.mark.xdist_group("report")  # they share one site


needs_pdf = pytest.mark.skipif(shutil.which("pdftotext") is None, reason="pdftotext (poppler-utils) is not installed")


class Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.links: set[str] = set()
        self.ids: set[str] = set()
        self.text = self.policy = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        given = dict(attrs)
        self.policy += str(given["content"]) if given.get("http-equiv") == "Content-Security-Policy" else ""
        self.links |= {str(given["href"])} if "href" in given else set()
        self.ids |= {str(given["id"])} if "id" in given else set()

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_stands_by_itself_and_hostile_words_stay_words(pack: Pack) -> None:
    html = pack.files["report.html"].decode()
    page = Page()
    page.feed(html)
    assert not page.tags & {"script", "b", "img", "iframe", "link", "object", "form", "base"}
    assert not {name for name in page.attributes if name.startswith("on")} | (page.attributes & {"style", "src", "srcset"})
    (style,) = re.findall(r"<style>(.*?)</style>", html, re.DOTALL)
    digest = b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"default-src 'none'; style-src 'sha256-{digest}'" in page.policy
    assert '<b>it</b> #strong[x] $a$ \\ "quoted"' in page.text
    assert "⟦U+202E⟧" in page.text
    assert "\u202e" not in html
    for link in page.links:
        assert link.removeprefix("#") in page.ids if link.startswith("#") else link in pack.files, link


@needs_pdf
def test_the_pdf_holds_the_facts_and_hostile_words_stay_words(acted: tuple[Site, str], tmp_path: Path) -> None:
    made = make_pack(acted[0], Wanted(case=acted[1], pdf=True))
    (tmp_path / "report.pdf").write_bytes(made.files["report.pdf"])
    command = ["pdftotext", "-layout", str(tmp_path / "report.pdf"), "-"]
    text = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.replace("\u200b", "")
    flat = " ".join(text.split())
    for words in (f"Case {acted[1]}", "True positive", "the effect holds", "neither a certification nor legal advice"):
        assert words in flat, words
    assert "seen <b>it</b> #strong[x] $a$ \\" in flat
    for index in made.report.cited():
        leaf = hashlib.sha256(b"\0" + made.files[f"entries/{index}.json"]).hexdigest()
        assert leaf in text, index


def test_a_pdf_without_typst_is_refused_before_anything_is_made(
    acted: tuple[Site, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "typst", None)
    with pytest.raises(EnvironmentFault, match=r"countersign\[report\]"):
        make_pack(acted[0], Wanted(case=acted[1], pdf=True))
    with pytest.raises(EnvironmentFault):
        typeset.available()


def test_the_case_page_hands_out_the_same_pack_without_names(acted: tuple[Site, str], tmp_path: Path) -> None:
    site, case = acted
    sessions = Sessions(site.session_key)
    client = Client(create_app(site, sessions, worker=False))
    assert client.get(f"/cases/{case}/pack").status_code in {302, 303, 401}, "a stranger gets none"
    client.cookies.set(COOKIE, sessions.cookie("tester", site.clock.now_ms()))
    assert f'href="/cases/{case}/pack"' in client.get(f"/cases/{case}").text
    given = client.get(f"/cases/{case}/pack")
    assert (given.status_code, given.headers["content-type"]) == (200, "application/zip")
    assert given.headers["content-disposition"] == f'attachment; filename="report-case-{case}.zip"'
    with zipfile.ZipFile(io.BytesIO(given.content)) as held:
        names = {name.partition("/")[2] for name in held.namelist()}
        assert b"Lovelace" not in held.read(f"report-case-{case}/report.html")
    assert names == make_pack(site, Wanted(case=case)).files.keys()
    assert client.get("/cases/C-9999/pack").status_code == 404


def test_an_entry_that_no_checkpoint_covers_is_not_reported(site: Site) -> None:
    responding.case(site)
    site.seal()
    log = packing.Pinned(site.tiles, site.log_key.vkey)
    site.commands.assign("C-1001", CYN)
    with reading(site.engine) as conn:
        late = by_index(conn, [log.head.size])
    with pytest.raises(ConflictError, match="checkpoint covers"):
        packing.proved(log, late.values())


def test_a_database_that_differs_from_the_log_is_not_reported(site: Site) -> None:
    case = responding.case(site)
    site.seal()
    with writing(site.engine) as conn:
        changed = t.entries.c.bytes, t.entries.c.idx == 1
        data = bytes(conn.execute(t.entries.select().where(changed[1])).one().bytes)
        spoilt = data.replace(b'"tenant":"default"', b'"tenant":"another"')
        conn.execute(update(t.entries).where(changed[1]).values(bytes=spoilt))
    with pytest.raises(VerificationError):
        make_pack(site, Wanted(case=case))


def test_a_pack_replaces_nothing_and_leaves_nothing_half_written(pack: Pack, tmp_path: Path) -> None:
    out = tmp_path / "there"
    out.mkdir()
    with pytest.raises(UsageError, match="there already"):
        packing.write(pack.files, out)
    (tmp_path / "file").write_text("x")
    with pytest.raises(EnvironmentFault):
        packing.write(pack.files, tmp_path / "file" / "pack")
    with pytest.raises(EnvironmentFault):
        packing.write({**pack.files, "entries/1.json/below": b""}, tmp_path / "half")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "there"]


def test_the_command_writes_a_pack_and_says_what_it_left_out(acted: tuple[Site, str], tmp_path: Path) -> None:
    site, case = acted
    out = tmp_path / "pack"
    said = fakes.run_json("report", "--case", case, "--out", out, "--zip", "--data", site.data)
    assert said["written"] == [str(out), f"{out}.zip"]
    assert sorted(said["files"]) == sorted(str(p.relative_to(out)) for p in out.rglob("*") if p.is_file())
    assert said["withheld"]
    again = fakes.run("report", "--case", case, "--out", out, "--data", site.data)
    assert (again.returncode, b"there already" in again.stderr) == (2, True)
    elsewhere = out.with_name("other")
    out.rename(elsewhere)
    again = fakes.run("report", "--case", case, "--out", out, "--zip", "--data", site.data)
    assert (again.returncode, b"pack.zip: is there already" in again.stderr) == (2, True), "nor is an archive replaced"
    assert not out.exists()
    listed = fakes.run_json("report")
    assert [one["article"] for one in listed] == ["soc2", "gdpr", "ai-act", "nist-800-61r3", "iso-42001"]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (("hipaa",), "there is no report"),
        (("soc2", "--case", "C-1001"), "not made of one case"),
        (("--case", "C-9999"), "no such case"),
        (("--case", "C-1001", "--from", "2026-01-01"), "no period"),
        (("soc2", "--from", "yesterday"), "not a day"),
        (("soc2", "--from", "2026-03-01", "--to", "2026-02-01"), "ends before it begins"),
    ],
)
def test_wrong_use_is_one_clear_line(acted: tuple[Site, str], tmp_path: Path, wrong: tuple[str, ...], words: str) -> None:
    done = fakes.run("report", *wrong, "--out", tmp_path / "x", "--data", acted[0].data)
    assert (done.returncode, done.stderr.count(b"\n")) == (2, 1)
    assert words in done.stderr.decode()
    assert not (tmp_path / "x").exists()
