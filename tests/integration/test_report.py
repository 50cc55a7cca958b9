"""Evidence packs: every statement leads to proved entries, a stranger's tools accept them, and none that was changed."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from base64 import b64encode
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy import update

from countersign.actions import ACTIONS
from countersign.api.server import create_app
from countersign.approvals import sshsig
from countersign.approvals.change import message
from countersign.approving import Approving
from countersign.bootstrap import Site, open_site
from countersign.errors import ConflictError, EnvironmentFault, UsageError, VerificationError
from countersign.impact import Impact
from countersign.ledger.note import parse_vkey
from countersign.ledger.proof import verify_proof
from countersign.model.entries import Kind
from countersign.reporting import pack as packing
from countersign.reporting import typeset
from countersign.reporting.make import ARTICLES, Pack, Wanted, make_pack
from countersign.reporting.reading import by_index
from countersign.running import Runner
from countersign.store import rotation
from countersign.store import tables as t
from countersign.store.engine import reading, writing
from countersign.store.signers import Answer
from countersign.web.session import COOKIE, Sessions
from tests import fakes, marking, responding
from tests.browser.client import Client
from tests.integration.test_proposals import ADA, CYN, Room
from tests.ssh_signing import make as make_key
from tests.ssh_signing import sign

DAN = "Dan Rook"
REASON = 'seen <b>it</b> #strong[x] $a$ \\ "quoted" entries/999.json \u202e'
"""What people type is data in HTML and in typst's markup alike."""
TOOLS = ("sh", "openssl", "sha256sum", "xxd", "base64", "awk")
needs_tools = pytest.mark.skipif(
    any(shutil.which(tool) is None for tool in TOOLS), reason=f"one of {', '.join(TOOLS)} is not installed"
)
needs_pdf = pytest.mark.skipif(shutil.which("pdftotext") is None, reason="pdftotext (poppler-utils) is not installed")
GOPATH = Path("/usr/share/gocode")
"""Where Debian puts golang-golang-x-mod-dev."""


def act(site: Site, marks: Path) -> str:
    """A case whose host is isolated on signatures by a passkey and an OpenSSH key, and released again; returns its id."""
    marks.mkdir()
    site.config = replace(site.config, actions={"isolate_host": {"run": True, "folder": str(marks)}})
    room, key = Room(site), make_key("ssh-ed25519", "dan")
    enrolment = Impact(site).enrol(DAN, sshsig.parse_key(key.public))
    if enrolment is not None:
        assert room.approve(enrolment, ADA) == "approved and made"
    number = room.propose()
    room.approve(number, ADA, reason=REASON)
    assert Runner(site).step() == 1
    undo = room.approving.propose_undo(number, CYN)
    digest = Approving(site).sheet(undo).line.digest
    Approving(site).approve(undo, Answer(DAN, sign(key, message(digest)), REASON))
    assert Runner(site).step() == 1
    site.commands.assign(room.case, CYN)
    site.commands.dispose(room.case, "true_positive", REASON)
    return room.case


@pytest.fixture(scope="module")
def acted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, str]]:
    """A site with such a case, shared by tests that only read it."""
    folder = tmp_path_factory.mktemp("acted")
    data = fakes.data_directory(folder / "data", f"sqlite:///{folder / 'site.sqlite'}")
    with pytest.MonkeyPatch.context() as patch:
        for name, action in marking.actions().items():
            patch.setitem(ACTIONS, name, action)
        site = open_site(data, clock=fakes.StepClock())
        case = act(site, folder / "marks")
        yield site, case
        site.close()


@pytest.fixture(scope="module")
def pack(acted: tuple[Site, str]) -> Pack:
    site, case = acted
    return make_pack(site, Wanted(case=case))


@pytest.fixture
def empty(pack: Pack, tmp_path: Path) -> Path:
    """The pack as a stranger gets it: unpacked from the archive in an empty folder."""
    archive = tmp_path / "pack.zip"
    archive.write_bytes(packing.zipped(pack.files, "pack"))
    with zipfile.ZipFile(archive) as held:
        held.extractall(tmp_path / "somewhere")
    return tmp_path / "somewhere" / "pack"


def followed(folder: Path) -> subprocess.CompletedProcess[str]:
    """What VERIFY.md says, block after block, in one shell with nothing of ours on the way."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", (folder / "VERIFY.md").read_text("utf-8"), re.DOTALL | re.MULTILINE)
    bare = {"PATH": os.environ["PATH"], "TMPDIR": str(folder.parent)}
    command = ["sh", "-c", "".join(blocks)]
    return subprocess.run(command, cwd=folder, env=bare, capture_output=True, text=True, check=False, timeout=300)


def resum(folder: Path) -> None:
    """A forger makes the manifest fit."""
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    lines = [f"{hashlib.sha256((folder / n).read_bytes()).hexdigest()}  {n}\n" for n in names if n != packing.SUMS]
    (folder / packing.SUMS).write_text("".join(lines))


def claims(pack: Pack) -> list[dict[str, Any]]:
    return [claim for section in json.loads(pack.files["report.json"])["sections"] for claim in section["claims"]]


def cites(claim: dict[str, Any]) -> set[int]:
    return {*claim["cites"], *(index for line in claim["lines"] for index in line["cites"])}


def assert_resolves(pack: Pack) -> None:
    """Each statement rests on entries of the pack that are proved, or says that no entry shows it and rests on none."""
    keys = [parse_vkey(pack.files["log.vkey"].decode().strip())]
    said = claims(pack)
    assert said
    for claim in said:
        assert bool(cites(claim)) != claim["absent"], claim["text"]
    for index in {index for claim in said for index in cites(claim)}:
        proof = pack.files[f"proofs/{index}.tlog-proof"].decode()
        checkpoint = verify_proof(proof, pack.files[f"entries/{index}.json"], keys)
        assert checkpoint.size == pack.size > index
        assert proof.endswith(pack.files["checkpoint"].decode())
    names = {int(Path(name).stem) for name in pack.files if name.startswith("entries/")}
    assert names == {index for claim in said for index in cites(claim)}


# --- a case -----------------------------------------------------------------------------------------------------------


def test_every_statement_of_a_case_leads_to_proved_entries(pack: Pack) -> None:
    assert_resolves(pack)


def test_a_case_report_holds_its_whole_way(pack: Pack) -> None:
    kinds = {json.loads(data)["kind"] for name, data in pack.files.items() if name.startswith("entries/")}
    way = {
        Kind.ALERT_RECEIVED,
        Kind.LEASE_ISSUED,
        Kind.AGENT_REGISTERED,
        Kind.MODEL_ACTIVATED,
        Kind.POLICY_ACTIVATED,
        Kind.FINDING_DECIDED,
        Kind.PASSKEY_ENROLLED,
        Kind.PERSON_ENROLLED,
        Kind.PROPOSAL_CREATED,
        Kind.PROPOSAL_APPROVED,
        Kind.ACTION_INTENDED,
        Kind.ACTION_STARTED,
        Kind.ACTION_PROBED,
        Kind.CASE_ASSIGNED,
        Kind.CASE_DISPOSED,
    }
    assert {kind.value for kind in way} <= kinds
    text = " ".join(claim["text"] for claim in claims(pack))
    for words in ("the effect holds", "takes back action", "What would have changed the result", "every condition holds"):
        assert words in text


def test_raw_messages_are_named_by_the_digests_that_their_delivery_lists(acted: tuple[Site, str], pack: Pack) -> None:
    listed = next(claim for claim in claims(pack) if claim["columns"] and claim["columns"][0].startswith("SHA-256"))
    assert len(listed["lines"]) == len(responding.CHAIN)
    for line in listed["lines"]:
        (index,) = line["cites"]
        digests = json.loads(pack.files[f"entries/{index}.json"])["body"]["sha256"]
        assert digests[int(line["cells"][1]) - 1] == line["cells"][0]
    named = make_pack(acted[0], Wanted(case=acted[1], named=True))
    raws = {name.removeprefix("messages/"): data for name, data in named.files.items() if name.startswith("messages/")}
    assert raws.keys() == {line["cells"][0] for line in listed["lines"]}
    assert all(hashlib.sha256(data).hexdigest() == name for name, data in raws.items())


def test_a_case_is_reported_from_either_database(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, action in marking.actions().items():
        monkeypatch.setitem(ACTIONS, name, action)
    case = act(site, tmp_path / "marks")
    assert_resolves(make_pack(site, Wanted(case=case, named=True)))
    assert_resolves(make_pack(site, Wanted("soc2")))
    assert_resolves(make_pack(site, Wanted("gdpr", case)))


# --- a stranger -------------------------------------------------------------------------------------------------------


@needs_tools
def test_verify_md_followed_in_an_empty_folder_accepts_the_pack(empty: Path) -> None:
    done = followed(empty)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert done.stdout.endswith("VERIFIED\n")
    assert done.stdout.count("signature holds") + done.stdout.count("NOT CHECKED") == 2
    assert "the passkey's signature holds" in done.stdout
    assert ("the OpenSSH signature holds" in done.stdout) == (shutil.which("ssh-keygen") is not None)
    assert done.stdout.count("its intent had been sealed") == 2
    script = subprocess.run(["sh", "verify.sh"], cwd=empty, capture_output=True, text=True, check=False, timeout=300)
    assert (script.returncode, script.stdout) == (0, done.stdout), "the script is what the manual says"


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def _one(folder: Path, pattern: str) -> Path:
    return sorted(folder.glob(pattern))[0]


def _other_reason(folder: Path) -> None:
    """An entry that stays good JSON and says something else."""
    path = next(p for p in folder.glob("entries/*.json") if b'"kind":"case.disposed"' in p.read_bytes())
    path.write_bytes(path.read_bytes().replace(b'"true_positive"', b'"benign_really"', 1))


def _other_place(folder: Path) -> None:
    """An entry under another's number, with its proof relabelled."""
    first, second = sorted(folder.glob("entries/*.json"))[:2]
    second.write_bytes(first.read_bytes())


def _own_key(folder: Path) -> None:
    """The key of another log of the same name."""
    name, _, _ = (folder / "log.vkey").read_text().split("+", 2)
    raw = bytes([1]) + bytes(range(32))
    ident = hashlib.sha256(name.encode() + b"\n" + raw).hexdigest()[:8]
    (folder / "log.vkey").write_text(f"{name}+{ident}+{b64encode(raw).decode()}\n")


def _cite_more(folder: Path) -> None:
    path = folder / "report.html"
    path.write_text(path.read_text("utf-8").replace("</main>", '<a href="entries/123456.json">x</a></main>'), "utf-8")


FORGERIES: dict[str, Callable[[Path], None]] = {
    "a byte of an entry": lambda folder: _flip(_one(folder, "entries/*.json")),
    "what an entry says": _other_reason,
    "an entry in another's place": _other_place,
    "a byte of a proof": lambda folder: _flip(_one(folder, "proofs/*")),
    "a byte of the checkpoint": lambda folder: _flip(folder / "checkpoint"),
    "a byte of matter beside the log": lambda folder: _flip(_one(folder, "evidence/*.bin")),
    "a byte of a salt": lambda folder: _flip(_one(folder, "evidence/*.salt")),
    "the log's key": _own_key,
    "a citation of what is not there": _cite_more,
    "an entry without a proof": lambda folder: _one(folder, "proofs/*").unlink(),
}


@needs_tools
@pytest.mark.parametrize("what", FORGERIES)
def test_verify_md_refuses_a_pack_in_which_something_was_changed(empty: Path, what: str) -> None:
    FORGERIES[what](empty)
    done = followed(empty)
    assert done.returncode != 0, "the manifest finds it"
    resum(empty)
    done = followed(empty)
    assert done.returncode != 0, done.stdout
    assert "VERIFIED\n" not in done.stdout


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("go") is None or not (GOPATH / "src/golang.org/x/mod").is_dir(), reason="no Go with x/mod")
def test_go_s_own_verifier_accepts_the_pack_and_refuses_a_changed_byte(empty: Path, tmp_path: Path) -> None:
    (code,) = re.findall(r"```go\n(.*?)```", (empty / "VERIFY.md").read_text("utf-8"), re.DOTALL)
    source = tmp_path / "check.go"
    source.write_text(code)
    setting = {"GO111MODULE": "off", "GOPATH": str(GOPATH), "GOCACHE": str(tmp_path / "cache"), "HOME": str(tmp_path)}
    binary = tmp_path / "check"
    build = ["go", "build", "-o", str(binary), str(source)]
    subprocess.run(build, env=os.environ | setting, check=True, capture_output=True, timeout=300)
    done = subprocess.run([binary, empty], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, "VERIFIED" in done.stdout) == (0, True), done.stderr
    for pattern in ("entries/*.json", "proofs/*", "checkpoint"):
        path = _one(empty, pattern)
        held = path.read_bytes()
        _flip(path)
        assert subprocess.run([binary, empty], capture_output=True, check=False, timeout=60).returncode != 0, pattern
        path.write_bytes(held)


# --- persons ----------------------------------------------------------------------------------------------------------


def test_no_person_is_named_unless_asked_for(acted: tuple[Site, str], pack: Pack) -> None:
    for name, data in pack.files.items():
        for word in (b"Lovelace", b"Boyd", b"Rook", b"curlew"):
            assert word not in data, name
    assert any("canonical bytes of the proposal" in line for line in pack.withheld)
    assert not any(name.startswith("messages/") for name in pack.files)
    named = make_pack(acted[0], Wanted(case=acted[1], named=True))
    html = named.files["report.html"].decode()
    assert all(name in html for name in (ADA, CYN, DAN))
    created, _ = fakes.entries(acted[0].engine, Kind.PROPOSAL_CREATED)
    bytes_of = [data for name, data in named.files.items() if name.endswith("-proposal.json")]
    assert created.body["digest"] in {hashlib.sha256(data).hexdigest() for data in bytes_of}
    assert "Cut dc-01" in html, "what people had before them"


@needs_tools
def test_a_pack_with_names_is_verified_as_well(acted: tuple[Site, str], tmp_path: Path) -> None:
    made = make_pack(acted[0], Wanted(case=acted[1], named=True))
    packing.write(made.files, tmp_path / "named")
    done = followed(tmp_path / "named")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout


def test_what_was_erased_is_said_to_be_gone(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, action in marking.actions().items():
        monkeypatch.setitem(ACTIONS, name, action)
    case = act(site, tmp_path / "marks")
    with writing(site.engine) as conn:
        conn.execute(t.evidence.delete())
        conn.execute(t.pseudonyms.delete())
    made = make_pack(site, Wanted(case=case, named=True))
    assert_resolves(made)
    assert b"Lovelace" not in made.files["report.html"]
    assert sum("not in the store any more" in line for line in made.withheld) >= 5


# --- pages ------------------------------------------------------------------------------------------------------------


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


# --- articles ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("article", ARTICLES, ids=lambda one: one.id)
def test_every_article_is_carried_by_entries(acted: tuple[Site, str], article: Any) -> None:
    whole = make_pack(acted[0], Wanted(article.id))
    assert_resolves(whole)
    assert any(not claim["absent"] for claim in claims(whole))
    assert [section["part"] for section in json.loads(whole.files["report.json"])["sections"]] == [
        p.id for p in article.parts
    ]
    text = whole.files["report.html"].decode()
    assert "neither a certification nor legal advice" in text
    for part in article.parts:
        alone = make_pack(acted[0], Wanted(f"{article.id}-{part.id}".upper()))
        (section,) = json.loads(alone.files["report.json"])["sections"]
        assert section["part"] == part.id


def test_the_ai_act_s_report_says_that_it_is_voluntary_and_when_it_applies(acted: tuple[Site, str]) -> None:
    text = make_pack(acted[0], Wanted("ai-act")).files["report.html"].decode()
    assert "This mapping is voluntary." in text
    assert "2 December 2027" in text
    assert "cannot show yet that six months of it are kept" in text


def test_the_gdpr_s_report_says_what_was_weighed_and_what_would_have_changed_it(acted: tuple[Site, str]) -> None:
    site, case = acted
    made = make_pack(site, Wanted("gdpr", case))
    said = claims(made)
    weighed = [claim for claim in said if claim["bars"] >= 0]
    decided = fakes.entries(site.engine, Kind.FINDING_DECIDED)
    assert len(weighed) == len(decided)
    for claim in weighed:
        (index,) = claim["cites"]
        body = json.loads(made.files[f"entries/{index}.json"])["body"]
        assert len(claim["lines"]) == len(body["contributions"]) + 1
    assert sum(claim["text"].startswith("What would have changed the result: ") for claim in said) == len(decided)


def test_what_no_entry_of_the_period_shows_is_said_in_plain_words(acted: tuple[Site, str]) -> None:
    site, _ = acted
    before = Wanted("CC7.4", first_ms=1, last_ms=2)
    made = make_pack(site, before)
    said = claims(made)
    assert all(claim["absent"] for claim in said)
    assert all(claim["text"].startswith("No entry") for claim in said)


def test_a_period_holds_its_own_entries_alone(acted: tuple[Site, str]) -> None:
    site, _ = acted
    proposed = fakes.entries(site.engine, Kind.PROPOSAL_CREATED)
    made = make_pack(site, Wanted("CC7.4", last_ms=proposed[0].time))
    held = [json.loads(data) for name, data in made.files.items() if name.startswith("entries/")]
    assert {one["subject"] for one in held if one["kind"] == "proposal.created"} == {proposed[0].subject}
    assert not [one for one in held if one["kind"] == "action.probed"]


# --- the console and the log's key --------------------------------------------------------------------------------


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


@needs_tools
def test_a_pack_made_after_the_log_s_key_was_exchanged_is_verified_by_the_new_one(site: Site, tmp_path: Path) -> None:
    case = responding.case(site)
    before = site.log_key.vkey
    rotation.rotate(site.data, site.engine, site.sealer, site.tiles, "ada", "yearly", site.clock.now_ms())
    made = make_pack(site, Wanted(case=case))
    assert made.files["log.vkey"].decode().strip() == str(site.log_key.vkey) != str(before)
    assert str(before).encode() in made.files["handovers.json"]
    packing.write(made.files, tmp_path / "rotated")
    done = followed(tmp_path / "rotated")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout


# --- nothing half done ------------------------------------------------------------------------------------------------


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


# --- the command ------------------------------------------------------------------------------------------------------


def test_the_command_writes_a_pack_and_says_what_it_left_out(acted: tuple[Site, str], tmp_path: Path) -> None:
    site, case = acted
    out = tmp_path / "pack"
    said = fakes.run_json("report", "--case", case, "--out", out, "--zip", "--data", site.data)
    assert said["written"] == [str(out), f"{out}.zip"]
    assert sorted(said["files"]) == sorted(str(p.relative_to(out)) for p in out.rglob("*") if p.is_file())
    assert said["withheld"]
    again = fakes.run("report", "--case", case, "--out", out, "--data", site.data)
    assert (again.returncode, b"there already" in again.stderr) == (2, True)
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
