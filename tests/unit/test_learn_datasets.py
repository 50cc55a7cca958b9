"""AIT-ADS files: folding, truth, and errors that name file, line and field."""

from __future__ import annotations

import lzma
from pathlib import Path

import pytest

from countersign.errors import ConfigError, UsageError
from countersign.evaluate.datasets import CHUNK_ALERTS_MAX, host_role, read_ait, read_alerts, read_network
from countersign.triage.features import FEATURES

HEADER = "time,name,ip,host,short,time_label,event_label\n"
T0 = 1_642_213_800  # start of a five-minute window


def line(second: int, name: str = "Wazuh: Web server 400", host: str = "webserver", label: str = "-") -> str:
    return f"{T0 + second},{name},10.0.0.1,{host},W-X,false_positive,{label}\n"


def write(folder: Path, text: str, name: str = "net.csv.xz") -> Path:
    path = folder / name
    path.write_bytes(lzma.compress(text.encode()) if name.endswith(".xz") else text.encode())
    return path


def test_repeats_fold_and_truth_is_per_finding(tmp_path: Path) -> None:
    text = HEADER + line(0) + line(1, label="dirb") + line(2) + line(400) + line(3, host="smith_mail")
    network = read_network(write(tmp_path, text))
    assert (network.name, network.alerts, network.findings) == ("net", 5, 3)
    assert list(network.steps.values()) == ["dirb"]
    assert sorted(row.values[FEATURES.index("alerts")] for row in network.rows) == [1, 1, 3]


def test_wazuhs_echo_of_suricata_is_left_out() -> None:
    echo = line(1, "Wazuh: IDS event.") + line(2, "Wazuh: First time this IDS alert is generated.")
    alerts, _ = read_alerts(HEADER + line(0) + echo + line(3, "Wazuh: Multiple IDS alerts for same id."), "net.csv")
    assert len(alerts) == 1


def test_a_finding_is_a_row_in_every_batch_that_touched_it(tmp_path: Path) -> None:
    flood = "".join(line(i % 290) for i in range(CHUNK_ALERTS_MAX + 20))
    network = read_network(write(tmp_path, HEADER + flood, "net.csv"))
    assert [row.last for row in network.rows] == [False, True]
    assert [row.values[FEATURES.index("alerts")] for row in network.rows] == [CHUNK_ALERTS_MAX, CHUNK_ALERTS_MAX + 20]


def test_rows_know_the_past_only(tmp_path: Path) -> None:
    text = HEADER + line(0) + line(700) + line(1400) + line(5000)
    rows = read_network(write(tmp_path, text)).rows
    assert [row.values[FEATURES.index("pair_firings")] for row in rows] == [0, 1, 2, 3]
    assert [row.values[FEATURES.index("pair_gap_s")] for row in rows] == [0, 0, 0, 3600]


def test_host_role_drops_the_user() -> None:
    assert [host_role(h) for h in ("smith_mail", "mail", "internal_share")] == ["mail", "mail", "internal_share"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a,b\n1,2\n", "net.csv:1: the header must name time,"),
        (HEADER + "soon,Wazuh: x,1.1.1.1,h,s,l,-\n", "net.csv:2: time: not a time"),
        (HEADER + "inf,Wazuh: x,1.1.1.1,h,s,l,-\n", "net.csv:2: time: not a time"),
        (HEADER + "1642213952000,Wazuh: x,1.1.1.1,h,s,l,-\n", "net.csv:2: time: not a time"),
        (HEADER, "net.csv: no alert in it"),
        (HEADER + line(0) + "1642213952,Wazuh: x\n", "net.csv:3: event_label: no value"),
    ],
)
def test_faulty_files_are_named_by_line_and_field(tmp_path: Path, text: str, words: str) -> None:
    write(tmp_path, text, "net.csv")
    with pytest.raises(ConfigError) as caught:
        read_ait(tmp_path)
    assert str(caught.value).startswith(words)


def test_a_truncated_archive_and_an_empty_folder_are_clear_errors(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="name the folder"):
        read_ait(tmp_path)
    path = write(tmp_path, HEADER + line(0))
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ConfigError, match=r"^net\.csv\.xz: not readable"):
        read_ait(tmp_path)


def test_real_networks_hold_what_their_authors_published(shared_data: Path) -> None:
    network = read_network(shared_data / "ait-ads" / "russellmitchell.csv.xz")
    assert (network.alerts, network.findings, len(network.steps)) == (36_358, 2_811, 46)
