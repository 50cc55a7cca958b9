"""What a broken file or a deleted piece of evidence leads to: nothing read is lost, nothing missing passes."""

from __future__ import annotations

import gzip
import json
import subprocess
from pathlib import Path

from sqlalchemy import delete

from countersign.bootstrap import Site
from countersign.store import tables as t
from tests.fakes import deliver, run, wazuh


def countersign(data: Path, *words: str) -> subprocess.CompletedProcess[str]:
    done = run(*words, "--data", data)
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


def test_a_cut_file_gives_what_could_be_read_and_the_others_are_read_too(tmp_path: Path) -> None:
    folder = tmp_path / "feed"
    folder.mkdir()
    lines = [wazuh(f"cut-{i}") for i in range(2_600)]
    packed = gzip.compress(b"\n".join(lines) + b"\n", 1)
    (folder / "a-cut.json.gz").write_bytes(packed[: len(packed) * 2 // 3])
    (folder / "b-whole.json").write_bytes(wazuh("whole") + b"\n")
    done = countersign(tmp_path / "data", "ingest", str(folder), "--source", "wazuh", "--json")
    summary = json.loads(done.stdout)
    assert done.returncode == 2
    assert "a-cut.json.gz" in done.stderr
    assert done.stderr.count("\n") == 1
    read = int(done.stderr.split(" messages before")[0].rsplit(" ", 1)[1])
    assert read > 1_000
    assert summary["lines"] == summary["accepted"] == read + 1
    (folder / "a-cut.json.gz").write_bytes(packed)
    again = json.loads(countersign(tmp_path / "data", "ingest", str(folder), "--source", "wazuh", "--json").stdout)
    assert again["accepted"] == len(lines) - read
    assert again["duplicates"] == read + 1


def test_evidence_that_was_deleted_is_named_with_the_entry_that_rests_on_it(site: Site, data: Path) -> None:
    deliver(site, [wazuh("one"), wazuh("two")])
    site.seal()
    assert json.loads(countersign(data, "verify", "--json").stdout)["ok"] is True
    with site.engine.begin() as conn:
        conn.execute(delete(t.evidence).where(t.evidence.c.kind == "delivery"))
    done = countersign(data, "verify", "--json")
    assert done.returncode == 1
    (problem,) = json.loads(done.stdout)["problems"]
    assert "is missing" in problem["what"]
    assert problem["index"] is not None
