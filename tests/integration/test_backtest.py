"""``countersign backtest`` through the command: exit codes, errors that name the place, figures that add up, the report."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from countersign.autonomy.bounds import reviews_needed
from countersign.cli.main import app
from countersign.errors import CountersignError
from tests.backtest_export import HEADER, HOSTS, export

ROOT = Path(__file__).resolve().parents[2]
WAZUH = ("--source", "wazuh-csv")


def run(path: Path, *words: str) -> Result:
    return CliRunner().invoke(app, ["backtest", str(path), *words], catch_exceptions=False)


def figures(path: Path, *words: str, code: int = 0) -> dict[str, Any]:
    done = run(path, *words, "--json")
    assert done.exit_code == code, done.output
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def refused(path: Path, *words: str) -> str:
    with pytest.raises(CountersignError) as caught:
        run(path, *words)
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two days of routine with an attack on the second; every seventh alert is a duplicate."""
    path = tmp_path_factory.mktemp("calm") / "calm.csv"
    path.write_text(export(2, attack_hour=40, unjudged=True))
    return path


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Routine that turns out to be a threat among the first hundred closes."""
    path = tmp_path_factory.mktemp("broken") / "broken.csv"
    path.write_text(export(1, missed_hour=7, missed=3))
    return path


def test_figures_add_up(calm: Path) -> None:
    found = figures(calm, *WAZUH)
    read, site = found["account"], found["sites"][0]
    scope = site["scopes"]["endpoint"]
    assert read["messages"] == read["alerts"] == read["lines"] - 1 == sum(count for *_, count in read["labels"])
    assert scope["closed"] == scope["benign_closed"] + scope["closed_not_judged"] + scope["missed"] == site["closed"]
    assert scope["closed"] + sum(scope["why_a_person"].values()) == scope["findings"]
    assert [sum(row[k] for row in scope["by_day"]) for k in (1, 2, 3)] == [
        scope["findings"],
        scope["closed"],
        scope["missed"],
    ]
    assert site["funnel"][-1] == ["missed: closed, and a threat", 0]
    assert scope["closed_not_judged"] > 0
    assert scope["hours_saved"] < scope["hours_closed"]


def test_it_closes_only_what_was_earned_and_loses_no_attack(calm: Path) -> None:
    found = figures(calm, *WAZUH)
    scope = found["sites"][0]["scopes"]["endpoint"]
    assert (scope["stage"], scope["missed"], scope["threats_seen"], found["bound_violated"]) == ("autonomous", 0, 3, False)
    assert scope["benign_closed"] > scope["benign"] / 2
    earned = scope["earned"]["supervised"]
    assert earned < scope["earned"]["autonomous"]
    assert sum(at <= earned for at, *_ in scope["course"]) > 0
    assert [row[1] for row in scope["course"] if row[0] <= earned][-1] >= reviews_needed()
    assert scope["bound_upper"] < 0.01
    assert scope["bound_anytime"] < 0.01


def test_a_broken_promise_ends_with_1_and_names_every_miss(broken: Path) -> None:
    found = figures(broken, *WAZUH, code=1)
    scope = found["sites"][0]["scopes"]["endpoint"]
    assert found["bound_violated"]
    assert scope["worst_for"] > 0.01
    assert len(scope["misses"]) == scope["missed"] > 0
    assert scope["stage"] == "advise"
    text = run(broken, *WAZUH).stdout
    for miss in scope["misses"]:
        assert miss["host"] in HOSTS
        line = next(line for line in text.splitlines() if miss["finding"] in line)
        assert all(miss[key] in line for key in ("rule", "name", "host", "case", "label"))


def test_minutes_change_the_hours_alone(calm: Path) -> None:
    one, two = (figures(calm, *WAZUH, "--minutes", minutes)["sites"][0] for minutes in ("10", "20"))
    assert one["closed"] == two["closed"]
    assert two["hours_closed"] == pytest.approx(2 * one["hours_closed"], abs=0.2)


def test_the_inventory_decides(calm: Path, tmp_path: Path) -> None:
    """A high-value host's findings go to people, and so do those of hosts that nobody has written down."""
    inventory = tmp_path / "inventory.csv"
    rows = [f"asset,{host},{'high' if host == 'db-1' else 'medium'},10.0.0.{i}" for i, host in enumerate(HOSTS, 1)]
    inventory.write_text("kind,name,criticality,addresses\n" + "\n".join(rows[1:]) + "\n")
    found = figures(calm, *WAZUH, "--inventory", str(inventory))
    why = found["sites"][0]["scopes"]["endpoint"]["why_a_person"]
    assert found["inventory"] is True
    assert why["assets"] > 100
    assert why["entities_known"] > 100
    assert found["sites"][0]["closed"] < figures(calm, *WAZUH)["sites"][0]["closed"]
    assert "No inventory was given" not in run(calm, *WAZUH, "--inventory", str(inventory)).stdout
    assert "No inventory was given" in run(calm, *WAZUH).stdout


def test_label_words_can_be_overridden(calm: Path) -> None:
    read = figures(calm, *WAZUH, "--benign", "duplicate", "--unjudged", "False Positive")["account"]
    taken = {value: truth for value, truth, _ in read["labels"]}
    assert taken == {"duplicate": "benign", "false_positive": "not judged", "true_positive": "threat"}


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs


def test_the_report_is_one_file_that_asks_for_nothing(broken: Path, tmp_path: Path) -> None:
    done = run(broken, *WAZUH, "--out", str(tmp_path / "out"), "--report", str(tmp_path / "page.html"))
    assert done.exit_code == 1
    text = (tmp_path / "out" / "backtest.html").read_text("utf-8")
    assert text == (tmp_path / "page.html").read_text("utf-8")
    assert json.loads((tmp_path / "out" / "backtest.json").read_text())["bound_violated"] is True
    page = _Page()
    page.feed(text)
    assert page.tags.count("svg") == 4
    assert not {"script", "link", "img", "iframe", "object", "form", "a"} & set(page.tags)
    assert not [name for name, _ in page.attributes if name.startswith("on") or name in {"href", "src", "style"}]
    assert "://" not in text
    assert "url(" not in text
    for words in ("BROKEN", "budget (alpha)", "Reliability", "missed: closed, and a threat", "When it does not hold"):
        assert words in text
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["backtest.html", "backtest.json"]


def test_hostile_names_are_text_in_the_report(tmp_path: Path) -> None:
    path = tmp_path / "<b>&x.csv"
    lines = export(1, missed_hour=7, missed=3).replace("Login session opened", "<script>alert(1)</script>\u202e")
    path.write_text(lines)
    run(path, *WAZUH, "--report", str(tmp_path / "page.html"))
    text = (tmp_path / "page.html").read_text("utf-8")
    assert "<script>" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;⟦U+202E⟧" in text


def test_without_a_label_column_it_says_so(tmp_path: Path, calm: Path) -> None:
    raw = tmp_path / "alerts.json"
    raw.write_text(json.dumps({"timestamp": "2026-01-05T08:00:00+0000", "rule": {"id": "1"}, "agent": {"name": "a"}}) + "\n")
    assert "--label-column" in refused(raw, "--source", "wazuh")
    assert refused(raw, "--source", "wazuh", "--label-column", "status").startswith("alerts.json:1: status: no alert has")
    assert "calm.csv:1: verdikt: no column 'verdikt'; there are timestamp," in refused(
        calm, *WAZUH, "--label-column", "verdikt"
    )
    assert "not a field path" in refused(raw, "--source", "wazuh", "--label-column", "a..b[")


def test_unknown_values_are_listed_with_how_to_map_them(tmp_path: Path) -> None:
    path = tmp_path / "odd.csv"
    rows = "".join(
        f"2026-01-05T08:0{i}:00Z,5501,{value}\n" for i, value in enumerate(["nope", "true positive", "weird", "nope"])
    )
    path.write_text("timestamp,rule.id,status,rule.level\n" + rows.replace("\n", ",3\n"))
    said = refused(path, *WAZUH)
    assert said.startswith("odd.csv:2: status or analyst_status or verdict: unknown label values: 'nope' (2), 'weird' (1)")
    assert "--threat VALUE" in said
    taken = figures(path, *WAZUH, "--benign", "nope", "--unjudged", "weird")["account"]["labels"]
    assert sorted(taken) == [["nope", "benign", 2], ["true positive", "threat", 1], ["weird", "not judged", 1]]


def test_nothing_judged_and_nothing_readable_are_errors(tmp_path: Path) -> None:
    path = tmp_path / "open.csv"
    path.write_text(HEADER + "\n2026-01-05T08:00:00Z,1,5501,x,3,web-1,10.0.0.1,,new,\n")
    assert "none of 1 alerts is judged (new 1)" in refused(path, *WAZUH)
    path.write_text(HEADER + "\nyesterday,1,5501,x,3,web-1,10.0.0.1,,closed,\n")
    assert "no alert could be read; the first: open.csv:2: timestamp: not a time" in refused(path, *WAZUH)
    assert "no such file" in refused(tmp_path / "missing.csv", *WAZUH)
    assert "use one of" in refused(path, "--source", "nothing")


def test_a_bad_line_is_counted_named_and_stops_nothing(calm: Path, tmp_path: Path) -> None:
    path = tmp_path / "torn.csv"
    whole = calm.read_text().splitlines()
    path.write_text("\n".join([*whole[:3], "torn", *whole[3:]]) + "\n")
    found = figures(path, *WAZUH)
    assert found["account"]["unreadable"] == 1
    assert found["account"]["unreadable_first"][0].startswith("torn.csv:4: ")
    assert found["sites"][0]["closed"] == figures(calm, *WAZUH)["sites"][0]["closed"]
    assert re.search(r"could not be read; the first: torn\.csv:4", " ".join(run(path, *WAZUH).stdout.split()))


@pytest.mark.parametrize("shape", ["lines", "answer", "printed"])
def test_a_search_engine_s_export_is_read_by_any_source(tmp_path: Path, shape: str) -> None:
    """Hits one a line, or a whole answer; what is no alert inside is counted, not lost."""
    hits: list[Any] = [
        {
            "_id": str(i),
            "_source": {
                "timestamp": f"2026-01-05T08:0{i}:00.000+0000",
                "rule": {"id": "5501", "level": 3, "description": "Login"},
                "agent": {"id": "001", "name": "web-1"},
                "analyst": {"status": ["benign", "Threat"][i % 2]},
            },
        }
        for i in range(4)
    ]
    path = tmp_path / "hits.json"
    answer = {"took": 1, "hits": {"total": 5, "hits": [*hits, {"_id": "no source"}]}}
    lines = "".join(json.dumps(hit) + "\n" for hit in answer["hits"]["hits"])  # type: ignore[index]
    path.write_text(lines if shape == "lines" else json.dumps(answer, indent=1 if shape == "printed" else None))
    read = figures(path, "--source", "wazuh", "--label-column", "analyst.status")["account"]
    assert (read["messages"], read["alerts"], read["unreadable"]) == (5, 4, 1)
    assert sorted(read["labels"]) == [["Threat", "threat", 2], ["benign", "benign", 2]]


def test_real_alerts_with_their_truth(shared_data: Path) -> None:
    """AIT-ADS, which the shipped model has seen: no measurement, but every line is there and the figures add up."""
    path = shared_data / "ait-ads" / "russellmitchell.csv.xz"
    words = ("--mapping", str(ROOT / "docs" / "mappings" / "ait-ads.toml"), "--label-column", "event_label")
    assert "unknown label values: '-' (34582), 'wpscan' (6355)" in refused(path, *words)
    found = figures(path, *words, "--benign=-", "--threat=*")
    site = found["sites"][0]
    assert found["account"]["messages"] == found["account"]["alerts"] == 45_544
    assert site["judged"] == site["findings"] == 3_569
    assert site["ungraded"] == ["endpoint", "network"]
    assert 0 < site["closed"] == site["benign_closed"] + site["missed"]


def test_real_exports_without_a_verdict_are_refused(shared_data: Path) -> None:
    raw = shared_data / "wazuh-aminer-raw" / "wazuh_attack_lines.jsonl"
    assert "carries no label of its own" in refused(raw, "--source", "wazuh")
    incidents = shared_data / "sentinel-incidents"
    assert "none of 112 alerts is judged ((none) 108, Undetermined 4)" in refused(incidents, "--source", "sentinel")
    site = figures(incidents, "--source", "sentinel", "--label-column", "incident.Status", "--threat=Active")["sites"][0]
    assert (site["alerts"], site["closed"]) == (112, 0)
