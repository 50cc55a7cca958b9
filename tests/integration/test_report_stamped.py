"""Timestamps in evidence packs: a stranger checks them with ``openssl ts``, and that the log extends what was seen."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from countersign.bootstrap import Site, open_site
from countersign.cli.main import app
from countersign.reporting import pack as packing
from countersign.reporting.make import Pack, Wanted, make_pack
from countersign.stamping import stamp
from tests import fakes, responding
from tests.evidence_pack import flip, followed, needs_tools, one, resum
from tests.timestamping import Authority, authority, certificates

pytestmark = needs_tools


@pytest.fixture(scope="module")
def tsa(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Authority]:
    with authority(tmp_path_factory.mktemp("stamped") / "tsa") as made:
        yield made


def opened(data: Path, tsa: Authority) -> Site:
    fakes.data_directory(data)
    with (data / "countersign.toml").open("a") as file:
        file.write(f'\n[ledger.timestamps]\nurl = "{tsa.url}"\nca = "{tsa.ca}"\n')
    return open_site(data)


def more(site: Site, entries: int = 1) -> None:
    for _ in range(entries):
        site.commands.issue_token("wazuh")
    site.seal()


def sizes(made: Pack) -> list[int]:
    return sorted(int(Path(name).stem) for name in made.files if name.endswith(".tsr"))


@pytest.fixture(scope="module")
def stamped(tsa: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, str]]:
    """A case, stamped twice afterwards, in a log that went on."""
    site = opened(tmp_path_factory.mktemp("site") / "data", tsa)
    assert stamp(site) is not None, "before the case"
    case = responding.case(site)
    for _ in range(2):
        assert stamp(site) is not None
        more(site, 3)
    yield site, case
    site.close()


@pytest.fixture
def pack(stamped: tuple[Site, str]) -> Pack:
    site, case = stamped
    return make_pack(site, Wanted(case=case))


def test_the_oldest_stamp_over_all_that_is_cited_and_the_newest_are_in_the_pack(pack: Pack, tmp_path: Path) -> None:
    oldest, newest = sizes(pack)
    assert max(pack.report.cited()) < oldest < newest < pack.size
    facts = [value for label, value in pack.report.facts if label.startswith("Seen by a timestamping authority")]
    assert [fact.split(" by ")[0] for fact in facts] == [f"the first {size} entries" for size in (oldest, newest)]
    assert facts[0] in pack.files["report.html"].decode()
    packing.write(pack.files, tmp_path / "pack")
    done = followed(tmp_path / "pack")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert done.stdout.endswith("VERIFIED\n")
    assert [line.split(" by ")[0] for line in done.stdout.splitlines() if line.startswith("the authority saw")] == [
        f"the authority saw the first {size} entries" for size in (oldest, newest)
    ]


@pytest.mark.parametrize("extra", [0, 1, 2, 5, 11])
def test_whatever_the_sizes_the_log_is_seen_to_extend_what_was_stamped(tsa: Authority, tmp_path: Path, extra: int) -> None:
    site = opened(tmp_path / "data", tsa)
    for _ in range(4):
        more(site, extra)
        stamp(site)
    case = responding.case(site)
    stamp(site)
    more(site, extra)
    made = make_pack(site, Wanted(case=case))
    site.close()
    packing.write(made.files, tmp_path / "pack")
    done = followed(tmp_path / "pack")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert done.stdout.count("the authority saw") == len(sizes(made)) == 1


def _own_authority(folder: Path) -> None:
    certificates(folder.parent / "other")
    shutil.copy(folder.parent / "other" / "ca.pem", folder / "stamps" / "roots.pem")


def _other_note(folder: Path) -> None:
    first, second = sorted(folder.glob("stamps/*.note"))
    shutil.copy(first, second)


def _other_proof(folder: Path) -> None:
    first, second = sorted(folder.glob("stamps/*.consistency"))
    shutil.copy(first, second)


FORGERIES: dict[str, Callable[[Path], None]] = {
    "the size that was seen": lambda folder: flip(
        one(folder, "stamps/*.note"), one(folder, "stamps/*.note").read_bytes().index(b"\n") + 1
    ),
    "a byte of the answer": lambda folder: flip(one(folder, "stamps/*.tsr")),
    "a byte of the proof": lambda folder: flip(one(folder, "stamps/*.consistency"), 3),
    "no proof": lambda folder: one(folder, "stamps/*.consistency").write_bytes(b""),
    "a proof of other sizes": _other_proof,
    "the authority": _own_authority,
    "another note": _other_note,
    "no note": lambda folder: one(folder, "stamps/*.note").unlink(),
}


@pytest.mark.parametrize("what", FORGERIES)
def test_verify_md_refuses_a_stamp_in_which_something_was_changed(pack: Pack, tmp_path: Path, what: str) -> None:
    folder = tmp_path / "pack"
    packing.write(pack.files, folder)
    FORGERIES[what](folder)
    resum(folder)
    done = followed(folder)
    assert done.returncode != 0, done.stdout
    assert "VERIFIED\n" not in done.stdout


def test_by_command_and_what_does_not_hold_is_left_out_and_said_so(tsa: Authority, tmp_path: Path) -> None:
    site = opened(tmp_path / "data", tsa)
    case = responding.case(site)
    more(site)
    made = stamp(site)
    site.close()
    assert made is not None
    run = CliRunner().invoke

    def report(name: str) -> tuple[int, str, bool]:
        words = ["report", "--case", case, "--data", str(site.data), "--out", str(tmp_path / name)]
        done = run(app, words)
        return done.exit_code, done.output, (tmp_path / name / "stamps" / f"{made.size}.tsr").exists()

    code, said, there = report("good")
    assert (code, "timestamps" in said, there) == (0, False, True)
    flip(site.tiles.root / "stamps" / f"{made.size}.tsr", 60)
    code, said, there = report("bad")
    assert (code, f"do not hold, the first over {made.size} entries" in said, there) == (0, True, False)
    text = (site.data / "countersign.toml").read_text()
    (site.data / "countersign.toml").write_text(text.replace(f'ca = "{tsa.ca}"', 'ca = ""').replace(tsa.url, ""))
    code, said, there = report("without")
    assert (code, "no root certificate" in said, there) == (0, True, False)
