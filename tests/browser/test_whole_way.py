"""The product as a stranger runs it: a real service, alerts over HTTP, a browser in front, the record checked behind."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.browser.conftest import PATIENCE_MS
from tests.ports import free_port

pytestmark = [pytest.mark.browser, pytest.mark.slow]

HOSTILE = "<img src=x onerror=alert(1)> {{7*7}} ${7*7} \u202egnp.exe\u202c ' OR 1=1 -- ignore previous instructions"


@dataclass
class Service:
    """A running ``countersign demo``: where it listens, its data, its one-time link."""

    base: str
    data: Path
    link: str

    def countersign(self, *words: str) -> str:
        command = [sys.executable, "-m", "countersign", *words, "--data", str(self.data)]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def post(self, alerts: list[dict[str, object]], token: str) -> httpx.Response:
        body = "\n".join(json.dumps(alert) for alert in alerts).encode()
        headers = {"authorization": f"Bearer {token}"}
        return httpx.post(f"{self.base}/intake/wazuh", content=body, headers=headers, timeout=PATIENCE_MS / 1000)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    data = tmp_path_factory.mktemp("demo")
    port = free_port()
    command = [sys.executable, "-m", "countersign", "demo", "--no-browser", "--data", str(data), "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "USER": "analyst"})
    try:
        assert process.stdout is not None
        link = next(found.group() for line in process.stdout if (found := re.search(r"http://\S+", line)))
        yield Service(f"http://127.0.0.1:{port}", data, link)
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=120)


@pytest.fixture(scope="module")
def page(service: Service, chromium: Browser) -> Iterator[Page]:
    context = chromium.new_context(viewport={"width": 1600, "height": 960})
    context.add_init_script(
        "document.addEventListener('securitypolicyviolation',e=>console.error('CSP '+e.violatedDirective+e.blockedURI))"
    )
    made = context.new_page()
    made.set_default_timeout(PATIENCE_MS)
    made.complaints = []  # type: ignore[attr-defined]
    made.on("console", lambda m: made.complaints.append(m.text) if m.type in ("error", "warning") else None)  # type: ignore[attr-defined]
    made.on("dialog", lambda d: (made.complaints.append(f"dialog {d.message}"), d.dismiss()))  # type: ignore[attr-defined]
    made.goto(service.link)
    made.wait_for_selector("#stream[data-state=on]")
    yield made
    context.close()


def current(page: Page) -> str:
    return str(page.evaluate("() => document.querySelector('#cases tr[aria-current]')?.dataset.case"))


def alert(number: int, text: str) -> dict[str, object]:
    return {
        "timestamp": "2026-01-05T10:00:00.000+0000",
        "id": f"1767607200.{number}",
        "rule": {"id": "99001", "level": 14, "description": text, "groups": ["test"], "mitre": {"id": ["T1003"]}},
        "agent": {"id": "042", "name": f"live-{number}", "ip": f"10.9.9.{number}"},
        "manager": {"name": "manager"},
        "data": {"srcip": f"198.51.100.{number}", "dstuser": text, "url": f"http://evil.example/{text}"},
        "location": text,
        "full_log": text,
    }


def test_alert_over_http_reaches_an_open_queue_and_the_selection_stays(service: Service, page: Page) -> None:
    page.keyboard.press("j")
    page.keyboard.press("j")
    chosen = current(page)
    assert chosen
    token = service.countersign("token", "wazuh").strip()
    answer = service.post([alert(1, "Live credential dumping on a new host")], token)
    assert answer.status_code == 202
    assert answer.json()["accepted"] == 1
    row = page.locator("tr[data-case]", has_text="Live credential dumping")
    expect(row).to_be_visible()
    assert current(page) == chosen


def test_an_alert_that_comes_while_a_page_loads_appears_there_too(service: Service, page: Page) -> None:
    """The page was read before it, and its stream opens after it: held back here until another page shows the alert."""
    late = page.context.new_page()
    late.set_default_timeout(PATIENCE_MS)
    streams: list[Route] = []
    late.route("**/events", lambda route: streams.append(route))  # noqa: PLW0108 - it wants a function of its own
    with late.expect_request("**/events"):
        late.goto(service.base)
    token = service.countersign("token", "wazuh").strip()
    assert service.post([alert(7, "Came while the page loaded")], token).status_code == 202
    expect(page.locator("tr[data-case]", has_text="Came while the page loaded")).to_be_visible()
    expect(late.locator("tr[data-case]", has_text="Came while the page loaded")).to_have_count(0)
    streams.pop().continue_()
    expect(late.locator("tr[data-case]", has_text="Came while the page loaded")).to_be_visible()
    late.close()


def test_hostile_text_in_every_field_is_shown_and_never_lives(service: Service, page: Page) -> None:
    token = service.countersign("token", "wazuh").strip()
    assert service.post([alert(2, HOSTILE)], token).status_code == 202
    row = page.locator("tr[data-case]", has_text="onerror=alert(1)")
    expect(row.first).to_be_visible()
    case = row.first.get_attribute("data-case")
    page.goto(f"{service.base}/cases/{case}")
    expect(page.locator("main")).to_contain_text("{{7*7}}")
    assert page.locator("main img").count() == 0
    assert page.locator("main a[href*='evil.example']").count() == 0
    assert page.complaints == []  # type: ignore[attr-defined]


def test_disposing_in_the_browser_stands_in_the_ledger_which_verifies(service: Service, page: Page) -> None:
    page.goto(service.base)
    page.wait_for_selector("#stream[data-state=on]")
    page.keyboard.press("j")
    case = current(page)
    page.keyboard.press("d")
    dialog = page.locator("#dialog")
    dialog.get_by_label("False positive").check()
    dialog.locator("textarea").fill("scheduled maintenance, checked with the owner")
    dialog.get_by_role("button", name="Dispose").click()
    expect(page.locator(f"tr[data-case='{case}']")).to_have_count(0)
    shown = json.loads(service.countersign("case", "show", str(case), "--json"))
    assert shown["case"]["status"] == "closed_human"
    assert any(entry["kind"] == "case.disposed" for entry in shown["entries"])
    assert json.loads(service.countersign("verify", "--json"))["ok"] is True
    assert page.complaints == []  # type: ignore[attr-defined]
