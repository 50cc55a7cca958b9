"""The how-to's samples run as they stand: every shipped mapping reads its tool's shape; every alert is accounted for."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from countersign.cli.main import app
from countersign.evaluate.backtest_labels import Truth, labels
from countersign.sources import shipped

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "how-to" / "backtest-your-closed-alerts.md").read_text("utf-8")
SAMPLES = dict(re.findall(r"`([\w.-]+)`:\n\n```(?:json|csv)\n(.*?)```", PAGE, re.DOTALL))
COMMANDS = {
    shlex.split(line)[2]: shlex.split(line)[1:]
    for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    for line in block.splitlines()
    if "--out" not in line
}
EXPECTED = {
    "elastic.jsonl": (4, 0, {"threat": 1, "benign": 2, "not judged": 1}, 4),
    "wazuh.jsonl": (2, 0, {"threat": 1, "benign": 1}, 2),
    "wazuh.csv": (3, 0, {"threat": 1, "benign": 1, "not judged": 1}, 3),
    "sentinel.json": (4, 0, {"threat": 1, "benign": 2, "not judged": 1}, 4),
    "thehive.jsonl": (4, 0, {"threat": 1, "benign": 2, "not judged": 1}, 4),
    "iris.json": (3, 0, {"threat": 1, "benign": 1, "not judged": 1}, 3),
    "guide.csv": (4, 1, {"threat": 1, "benign": 2, "not judged": 1}, 4),
    "taltech.csv": (3, 0, {"threat": 1, "benign": 2}, 3),
}
"""Alerts, further rows of them, what they were taken as, findings."""


def run(folder: Path, name: str) -> dict[str, object]:
    (folder / name).write_text(SAMPLES[name], "utf-8")
    words = [str(folder / name) if word == name else word for word in COMMANDS[name]]
    done = CliRunner().invoke(app, [*words, "--json"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    document: dict[str, object] = json.loads(done.stdout)
    return document


def test_every_shipped_mapping_has_a_sample() -> None:
    assert set(SAMPLES) == set(EXPECTED) <= set(COMMANDS)
    used = {words[words.index("--source") + 1] for words in COMMANDS.values()}
    assert set(shipped.names()) <= used


@pytest.mark.parametrize("name", EXPECTED)
def test_a_sample_is_read_whole(tmp_path: Path, name: str) -> None:
    found = run(tmp_path, name)
    account, sites = found["account"], found["sites"]
    assert isinstance(account, dict)
    assert isinstance(sites, list)
    taken: dict[str, int] = {}
    for _, truth, count in account["labels"]:
        taken[truth] = taken.get(truth, 0) + count
    alerts, rows, labels, findings = EXPECTED[name]
    assert (account["alerts"], account["more_rows"], taken) == (alerts, rows, labels)
    assert account["unreadable"] == 0
    assert account["messages"] == alerts + rows
    assert sum(site["findings"] for site in sites) == findings
    assert sum(site["threats"] for site in sites) == labels["threat"]
    assert all(site["closed"] == 0 for site in sites)


def test_guide_tells_organisations_apart(tmp_path: Path) -> None:
    sites = run(tmp_path, "guide.csv")["sites"]
    assert isinstance(sites, list)
    assert {site["name"]: (site["findings"], site["threats"]) for site in sites} == {"0": (2, 1), "1": (2, 0)}


def test_the_label_stands_around_the_alerts_and_names_when_it_was_given(tmp_path: Path) -> None:
    account = run(tmp_path, "sentinel.json")["account"]
    assert isinstance(account, dict)
    assert account["with_label_time"] == 4


def test_the_page_s_table_of_values_is_true() -> None:
    for truth in Truth:
        row = re.search(rf"^\| {truth.value} \|(.*)\|$", PAGE, re.MULTILINE)
        assert row
        words = re.findall(r"`([^`]+)`", row.group(1))
        assert len(words) > 8
        assert {labels().of(word) for word in words} == {truth}
