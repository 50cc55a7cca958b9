"""What the agent may do alone, seen and taken back in a browser: blind review, overturn and recall, the scope's way down."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, Response, expect

from countersign.bootstrap import Site, open_site
from countersign.store import agents, read_case, read_review
from countersign.store.engine import reading
from countersign.web.app import create_console
from countersign.web.session import Sessions
from tests.browser import earned_site
from tests.browser.conftest import Console, _serve
from tests.browser.site import WallClock
from tests.browser.test_console import WCAG

pytestmark = [pytest.mark.browser, pytest.mark.slow]
BUTTON = re.compile(r'<button class="button" name="answer".*?</button>', re.DOTALL)
TELLING = re.compile(
    r"benign|threat|insufficient|pico|ppm|probab|confiden|verdict-|pill-|log-odds|advice|advis(?!es in)|\bgate|\brank|"
    r"likely|noise|counterfactual|contribut|speaks (?:for|against)|score",
    re.IGNORECASE,
)
"""Words that would tell what the agent made of a finding; on the page they may stand in the two answers alone."""


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data directory of a site of today with closes that wait for their review."""
    folder = tmp_path_factory.mktemp("earned") / "data"
    site = earned_site.build(folder)
    site.seal()
    site.close()
    return folder


@pytest.fixture
def real(lived: Path, tmp_path: Path) -> Iterator[Site]:
    """A copy of it for one test."""
    shutil.copytree(lived, tmp_path / "data")
    site = open_site(tmp_path / "data", clock=WallClock())
    yield site
    site.close()


@pytest.fixture
def console(real: Site, chromium: Browser) -> Iterator[Console]:
    """A console in front of the real site."""
    sessions = Sessions(b"k" * 32)
    app = create_console(real, sessions=sessions, clock=real.clock, checkpoint=real.sealer.checkpoint)
    with _serve(app) as base:
        yield Console(base, real, sessions, chromium)  # type: ignore[arg-type]
        for context in chromium.contexts:
            context.close()


def rows(site: Site) -> dict[str, read_review.CloseRow]:
    with reading(site.engine) as conn:
        return {row.finding_id: row for row in read_review.closes(conn).rows}


def axe(page: Page) -> list[str]:
    found = Axe().run(page, options=WCAG).response["violations"]
    return [f"{v['id']}: {n['html'][:120]}" for v in found for n in v["nodes"]]


def test_review_by_keys_shows_nothing_of_the_verdict_anywhere(console: Console, real: Site) -> None:
    page = console.enter()
    page.goto(f"{console.base}/closed")
    expect(page.locator(".call")).to_contain_text("12 closes wait for your blind review")
    expect(page.locator(".closes .who-agent")).to_have_count(12)
    heard: list[Response] = []
    page.on("response", lambda answer: heard.append(answer))  # noqa: PLW0108 - Playwright marks what it is given
    page.keyboard.press("r")
    page.wait_for_url("**/closed/review/F-*")
    page.wait_for_selector("#stream[data-state=on]")
    finding = page.url.rsplit("/", 1)[1]
    with reading(real.engine) as conn:
        verdict = read_case.finding_record(conn, finding).verdict
    with page.expect_response(lambda r: r.url.endswith("/state")):
        earned_site.quiet(real, 399, at_ms=real.clock.now_ms(), title="Something new")  # so the page asks again
    figures = {str(verdict.pico), str(verdict.p0_ppm), str(verdict.p1_ppm), verdict.model}
    told = [r for r in heard if "/static/" not in r.url and "/events" not in r.url]
    assert len(told) >= 3
    for answer in told:
        text = BUTTON.sub("", answer.text()) if answer.status == 200 else ""
        head = " ".join(f"{k}: {v}" for k, v in answer.headers.items() if k not in ("content-security-policy", "date"))
        for source in (text, head, answer.url):
            assert not TELLING.findall(source), (answer.url, TELLING.findall(source))
            words = set(re.findall(r"-?[\w.]+", source))
            assert not {figure for figure in figures if len(figure) > 3} & words, answer.url
    assert page.locator("main a[href*='/cases/']").count() == 0
    page.keyboard.press("b")
    page.wait_for_url(f"**/closed/review/F-*done={finding}")
    assert rows(real)[finding].state.value == "benign"
    expect(page.locator("#review-state")).to_contain_text("11 closes wait")
    assert console.complaints == []


def test_typing_survives_a_close_that_is_taken_back_meanwhile(console: Console, real: Site) -> None:
    page = console.enter()
    page.goto(f"{console.base}/closed/review")
    page.wait_for_selector("#stream[data-state=on]")
    finding = page.url.rsplit("/", 1)[1]
    page.locator("textarea").fill("I was about to say")
    other = next(row for ident, row in rows(real).items() if ident != finding)
    real.commands.overturn(other.case_id, "a stolen key", "ada")
    expect(page.locator("#review-state")).to_contain_text("took this close back")
    assert page.input_value("textarea") == "I was about to say"
    page.get_by_role("button", name="Threat").click()
    expect(page.locator("#review-state")).to_contain_text("took this close back")
    assert page.input_value("textarea") == "I was about to say"
    assert rows(real)[finding].state.value == "recalled"


def test_overturning_recalls_the_like_and_takes_the_scope_down(console: Console, real: Site) -> None:
    page = console.enter()
    closes = rows(real)
    first, *others = closes.values()
    expect(page.locator("#status")).to_contain_text("Agent closes alone in 1 of 6 scopes")
    page.goto(f"{console.base}/cases/{first.case_id}")
    expect(page.locator(".closedby.agent")).to_contain_text("it waits for blind review")
    page.keyboard.press("o")
    dialog = page.locator("#dialog")
    expect(dialog.locator("textarea")).to_be_focused()
    page.keyboard.type("a stolen key was used")
    dialog.get_by_role("button", name="This was a threat").click()
    page.wait_for_url("**/recalls/*")
    expect(page.locator("h1")).to_have_text(f"{len(others)} closes went back to people")
    listed = page.locator("tbody tr td:first-child").all_inner_texts()
    assert sorted(listed) == sorted(row.case_id for row in others)
    assert axe_clean(console, page.url) == []
    page.goto(f"{console.base}/?q=recalled")
    queued = page.eval_on_selector_all("#cases tbody tr", "(rows) => rows.map((r) => r.dataset.case)")
    assert sorted(queued) == sorted(row.case_id for row in others)
    page.goto(f"{console.base}/autonomy")
    scope = page.locator("#scope-endpoint")
    expect(scope.locator(".ladder .here b")).to_have_text("advise")
    expect(scope.locator(".happened")).to_contain_text("Stepped back, from supervised to advise")
    expect(scope.locator(".happened")).to_contain_text("a confirmed miss")
    expect(page.locator("#status")).to_contain_text("Agent closes nothing alone")
    assert console.complaints == []


def axe_clean(console: Console, url: str) -> list[str]:
    """Violations of a page in a context that lets axe in."""
    page = console.enter(bypass_csp=True)
    page.goto(url)
    found = axe(page)
    page.context.close()
    return found


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_pages_have_no_accessibility_violation(console: Console, theme: str) -> None:
    page = console.enter(theme=theme, bypass_csp=True)
    for path in ("/closed", "/closed?part=back", "/closed/review", "/autonomy", "/autonomy/endpoint/stop", "/policy"):
        page.goto(f"{console.base}{path}")
        assert axe(page) == [], path


def test_stopping_from_the_page_shows_at_once_and_keeps_half_written_text(console: Console, real: Site) -> None:
    page = console.enter()
    page.goto(f"{console.base}/autonomy")
    page.wait_for_selector("#stream[data-state=on]")
    page.get_by_role("link", name="Stop everywhere").click()
    page.locator("#dialog textarea").fill("drill")
    real.commands.stop("network", "somebody else", "ada")
    expect(page.locator("#scope-network")).to_contain_text("on")
    assert page.input_value("#dialog textarea") == "drill"
    page.locator("#dialog").get_by_role("button", name="Stop", exact=True).click()
    expect(page.locator(".call b")).to_have_text("Stopped everywhere")
    expect(page.locator("#scope-endpoint .ladder .here b")).to_have_text("advise")
    expect(page.locator("#status")).to_contain_text("Kill switch on: every scope")
    assert console.complaints == []


def test_an_agent_is_stopped_in_the_dialog_and_the_page_follows(console: Console, real: Site) -> None:
    page = console.enter()
    page.goto(f"{console.base}/agents")
    expect(page.locator(".call")).to_contain_text("5 agents, all running")
    assert axe(page) == []
    page.click('a[aria-label="Stop enricher"]')
    expect(page.locator("#dialog")).to_contain_text("Every lookup counts as unavailable")
    assert axe(page) == []
    page.fill("#dialog textarea", "drill")
    page.click("#dialog button[type=submit]")
    expect(page.locator("#dialog .done")).to_contain_text("enricher is stopped")
    expect(page.locator("#agent-enricher .pill-threat")).to_have_text("stopped")
    expect(page.locator(".call")).to_contain_text("1 agent stopped")
    assert axe(page) == []
    with reading(real.engine) as conn:
        assert agents.find(conn, "enricher").reason == "drill"
    assert console.complaints == []


def test_closes_are_walked_by_keys(console: Console) -> None:
    page = console.enter()
    page.goto(f"{console.base}/closed")
    rows = page.locator(".closes tbody tr")
    page.keyboard.press("j")
    expect(rows.nth(0).locator(".row-link")).to_be_focused()
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    expect(rows.nth(1).locator(".row-link")).to_be_focused()
    page.keyboard.press("Enter")
    page.wait_for_url("**/closed/review/*")
