"""``countersign ingest`` as a stranger runs it: every line accounted for, nothing taken twice, errors in one line."""

from __future__ import annotations

import gzip
import json
import socket
from collections.abc import Sequence
from pathlib import Path

import pytest

from countersign.bootstrap import open_site
from countersign.config import FILE
from tests import fakes
from tests.fakes import ROOT, run, run_json, wazuh


def lines(first: int, last: int) -> bytes:
    return b"".join(wazuh(str(number), rule=str(number % 7)) + b"\n" for number in range(first, last))


def take(data: Path, file: Path | str, *more: str, stdin: bytes = b"", source: str = "wazuh") -> tuple[int, int, int]:
    """Ingest; (lines, accepted, duplicates), after seeing that every line is accounted for."""
    done = run_json("ingest", str(file), "--source", source, "--data", data, *more, stdin=stdin)
    assert done["lines"] == done["accepted"] + done["duplicates"] + done["ignored"] + done["quarantined"]
    return done["lines"], done["accepted"], done["duplicates"]


def test_a_file_is_taken_once_and_taken_up_where_it_grew(data: Path, tmp_path: Path) -> None:
    file = tmp_path / "alerts.json"
    file.write_bytes(lines(0, 1_200))
    assert take(data, file) == (1_200, 1_200, 0)
    assert take(data, file) == (1_200, 0, 1_200)
    file.write_bytes(lines(0, 1_300))
    assert take(data, file) == (1_300, 100, 1_200)
    copy = tmp_path / "copy.json.gz"
    copy.write_bytes(gzip.compress(lines(0, 1_300)))
    assert take(data, copy) == (1_300, 0, 1_300)
    site = open_site(data)
    assert fakes.alerts_in_findings(site.engine) == 1_300
    fakes.assert_rebuilds(site)
    fakes.verified(site)
    site.close()
    assert run("verify", data).returncode == 0
    assert run("replay", "--data", data).returncode == 0


def test_a_torn_last_line_is_quarantined_and_the_whole_one_taken_later(tmp_path: Path) -> None:
    data, file = fakes.data_directory(tmp_path / "data"), tmp_path / "alerts.json"
    whole = lines(0, 10)
    file.write_bytes(whole[:-40])
    assert take(data, file) == (10, 9, 0)
    file.write_bytes(whole)
    assert take(data, file) == (10, 1, 9)


def test_alerts_without_ids_repeat_and_are_all_kept(tmp_path: Path) -> None:
    data, file = fakes.data_directory(tmp_path / "data"), tmp_path / "alerts.json"
    file.write_bytes((wazuh("") + b"\n") * 5)
    assert take(data, file) == (5, 5, 0)
    file.write_bytes((wazuh("") + b"\n") * 7)
    assert take(data, file) == (7, 2, 5)


def test_directories_arrays_and_standard_input(tmp_path: Path) -> None:
    data, folder = fakes.data_directory(tmp_path / "data"), tmp_path / "in"
    folder.mkdir()
    (folder / "a.json").write_bytes(lines(0, 10))
    (folder / "b.json").write_bytes(b"[" + b",\n".join(lines(10, 20).split(b"\n")[:-1]) + b"]")
    assert take(data, folder) == (20, 20, 0)
    assert take(data, "-", stdin=lines(15, 25)) == (10, 5, 5)  # by their own ids: a pipe has no places


def test_a_directory_is_read_with_all_below_it_and_places_are_told_apart(tmp_path: Path) -> None:
    data, folder = fakes.data_directory(tmp_path / "data"), tmp_path / "in"
    for month, number in (("Jan", 0), ("Feb", 5), (".trash", 10)):
        (folder / "2026" / month).mkdir(parents=True)
        (folder / "2026" / month / "alerts.json").write_bytes(lines(number, number + 3) + b"{\n")
    (folder / "2026" / "again").symlink_to(folder)
    assert take(data, folder) == (8, 6, 0)
    held = run_json("quarantine", "list", "--data", data)
    assert [row["origin"] for row in held] == ["2026/Feb/alerts.json", "2026/Jan/alerts.json"]


def test_a_file_name_that_is_no_text_is_taken(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    with open(bytes(folder) + b"/al\xffert.json", "wb") as file:
        file.write(lines(0, 3) + b"{\n")
    data = fakes.data_directory(tmp_path / "data")
    assert take(data, folder) == (4, 3, 0)
    (held,) = run_json("quarantine", "list", "--data", data)
    assert held["origin"] == "al\N{REPLACEMENT CHARACTER}ert.json"


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("suricata-eve", "suricata"),
        ("wazuh-aminer-raw/wazuh_attack_lines.jsonl", "wazuh"),
        ("wazuh-aminer-raw/aminer_attack_lines.jsonl", "generic"),
    ],
)
def test_real_files_account_for_every_line(shared_data: Path, data: Path, path: str, source: str) -> None:
    mapping = ("--mapping", str(ROOT / "docs" / "mappings" / "aminer.toml")) if source == "generic" else ()
    files = [shared_data / path] if (shared_data / path).is_file() else sorted((shared_data / path).iterdir())
    wanted = sum(len([line for line in file.read_bytes().splitlines() if line.strip()]) for file in files)
    total, accepted, duplicates = take(data, shared_data / path, *mapping, source=source)
    assert total == wanted
    assert accepted > 0
    assert take(data, shared_data / path, *mapping, source=source) == (wanted, 0, wanted)
    site = open_site(data)
    assert fakes.alerts_in_findings(site.engine) == accepted
    fakes.assert_rebuilds(site)
    fakes.verified(site)
    site.close()
    assert duplicates <= total


@pytest.mark.slow
def test_a_network_of_ait_ads_accounts_for_every_line(shared_data: Path, tmp_path: Path) -> None:
    data, mapping = fakes.data_directory(tmp_path / "data"), ROOT / "docs" / "mappings" / "ait-ads.toml"
    file = shared_data / "ait-ads" / "russellmitchell.csv.xz"
    total, accepted, _ = take(data, file, "--mapping", str(mapping), source="generic")
    assert total == accepted > 10_000
    assert run("verify", data).returncode == 0
    assert run_json("rebuild", "--check", "--data", data)["ok"] is True


# --- errors of use ----------------------------------------------------------------------------------------------------


def refused(args: Sequence[str | Path], code: int, *words: str, environment: dict[str, str] | None = None) -> None:
    """The command ends with this code and exactly one line on stderr, which has these words."""
    done = fakes.run(*args, **environment or {})
    said = done.stderr.decode()
    assert done.returncode == code, said
    assert said.startswith("countersign: "), said
    assert said.count("\n") == 1, said
    for word in words:
        assert word in said


def test_wrong_use_is_one_line(tmp_path: Path) -> None:
    data, alerts = fakes.data_directory(tmp_path / "data"), tmp_path / "a.json"
    alerts.write_bytes(lines(0, 1))
    empty, mapping = tmp_path / "empty", tmp_path / "m.toml"
    empty.mkdir()
    mapping.write_text("format = 'json'\ntme = 'when'\n")
    to = ("--data", data)
    refused(["ingest", tmp_path / "gone.json", "--source", "wazuh", *to], 2, "gone.json", "no such file")
    refused(["ingest", empty, "--source", "wazuh", *to], 2, "no files in this directory")
    refused(["ingest", alerts, "--source", "wasuh", *to], 2, "wasuh", "wazuh")
    refused(["ingest", alerts, "--source", "generic", *to], 2, "mapping")
    refused(["ingest", alerts, "--source", "generic", "--mapping", mapping, *to], 2, "m.toml", "tme")
    refused(["ingest", alerts, "--source", "generic", "--mapping", tmp_path / "no.toml", *to], 2, "no.toml")
    refused(["quarantine", "replay", "7", *to], 2, "7")
    refused(["quarantine", "replay", "--all", "--mapping", tmp_path / "no.toml", *to], 2, "no.toml")
    refused(["case", "show", "C-1", *to], 2, "C-1")
    refused(["case", "dispose", "C-1", "benign", "--reason", "x", *to], 2, "C-1")
    refused(["verify", tmp_path / "gone"], 2, "gone")


def test_a_bad_configuration_is_one_line(tmp_path: Path) -> None:
    data, alerts = fakes.data_directory(tmp_path / "data"), tmp_path / "a.json"
    alerts.write_bytes(lines(0, 1))
    args = ("ingest", alerts, "--source", "wazuh", "--data", data)
    (data / FILE).write_text("[server]\nprot = 1\n")
    refused(args, 2, f"{FILE}:2: server.prot: unknown key")
    (data / FILE).write_bytes(b"\xff")
    refused(args, 2, FILE, "UTF-8")
    (data / FILE).write_text("database = 'oracle://x/y'\n")
    refused(args, 3, "oracle")
    (data / FILE).write_text("database = 'nonsense'\n")
    refused(args, 3, "database address")
    (data / FILE).write_text("database = 'postgresql+psycopg://nobody@/x?host=/nowhere'\n")
    refused(args, 3, "cannot be opened")
    refused(args, 2, "COUNTERSIGN_SERVER_PORT", environment={"COUNTERSIGN_SERVER_PORT": "many"})


def test_an_environment_that_does_not_allow_it_is_one_line(tmp_path: Path) -> None:
    alerts = tmp_path / "a.json"
    alerts.write_bytes(lines(0, 1))
    args = ("ingest", alerts, "--source", "wazuh", "--data")
    refused([*args, alerts], 3, "data directory", "a.json")
    refused([*args, "/proc/countersign"], 3, "/proc/countersign")
    data = fakes.data_directory(tmp_path / "data")
    run_json(*args, data)
    (data / FILE).write_text(f"database = 'sqlite:///file:{data / 'countersign.sqlite'}?mode=ro&uri=true'\n")
    refused([*args, data], 3, "readonly")
    (data / FILE).write_text("")
    (data / "countersign.sqlite").write_bytes(b"this is no database" * 1000)
    refused([*args, data], 3, "file is not a database")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        other = fakes.data_directory(tmp_path / "other")
        refused(["serve", "--port", str(taken.getsockname()[1]), "--data", other], 3, "port cannot be opened")


def test_a_key_that_others_may_read_or_that_is_damaged_is_refused(tmp_path: Path) -> None:
    data, alerts = fakes.data_directory(tmp_path / "data"), tmp_path / "a.json"
    alerts.write_bytes(lines(0, 1))
    args = ("ingest", alerts, "--source", "wazuh", "--data", data)
    run_json(*args)
    key = data / "keys" / "agents.key"
    key.chmod(0o644)
    refused(args, 3, "agents.key", "chmod 600")
    key.chmod(0o600)
    key.write_text("")
    refused(args, 3, "agents.key", "damaged")


def test_the_printed_table_says_what_became_of_every_line(tmp_path: Path) -> None:
    data, alerts = fakes.data_directory(tmp_path / "data"), tmp_path / "a.json"
    alerts.write_bytes(lines(0, 3) + b"{\n")
    done = run("ingest", alerts, "--source", "wazuh", "--data", data)
    said = done.stdout.decode().split()
    assert done.returncode == 0
    assert (said[said.index("lines") + 1], said[said.index("accepted") + 1], said[said.index("quarantined") + 1]) == (
        "4",
        "3",
        "1",
    )
    assert b"quarantine list" in done.stderr
    assert json.loads(run("doctor", "--json", "--data", data).stdout)["waiting"] == 0
