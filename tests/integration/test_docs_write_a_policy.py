"""The page on policies is true: its overlay is valid and proved, its request is answered."""

from __future__ import annotations

import re
from pathlib import Path

from tests import fakes

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "write-a-policy.md"


def block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    assert found is not None
    return found.group(1)


def test_the_overlay_on_the_page_is_valid_and_keeps_the_promises(tmp_path: Path) -> None:
    (tmp_path / "policy").mkdir()
    (tmp_path / "policy" / "night.cedar").write_text(block("cedar"), "utf-8")
    checked = fakes.run_json("policy", "check", "--json", "--data", tmp_path)
    assert (checked["ok"], "night.cedar" in checked["files"]) == (True, True)
    assert fakes.run_json("policy", "prove", "--json", "--data", tmp_path)["refused"] == 0


def test_the_request_on_the_page_is_answered_condition_by_condition(tmp_path: Path) -> None:
    request = tmp_path / "request.json"
    request.write_text(block("json"), "utf-8")
    found = fakes.run_json("policy", "explain", "--request", request, "--json", "--data", tmp_path / "data")
    assert found["allowed"]
    assert {one["name"]: one["outcome"] for one in found["conditions"]} == dict.fromkeys(
        ["kill_switch", "operation", "task", "resource", "expiry"], "held"
    )
    request.write_text(block("json").replace("2000", "900"), "utf-8")
    late = fakes.run_json("policy", "explain", "--request", request, "--json", "--data", tmp_path / "data")
    assert [one["name"] for one in late["conditions"] if one["outcome"] != "held"] == ["expiry"]
    assert not late["allowed"]
