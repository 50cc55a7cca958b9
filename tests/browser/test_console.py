"""The console in a real browser, under its own content policy: keys, live updates, forms, hostile text, accessibility."""

from __future__ import annotations

from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.browser import seed
from tests.browser.conftest import Console

pytestmark = pytest.mark.browser
WCAG = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"], "resultTypes": ["violations"]}


def current(page: Page) -> str:
    return str(page.evaluate("() => document.querySelector('#cases tr[aria-current]')?.dataset.case"))


def test_keyboard_alone_walks_the_queue_and_opens_a_case(console: Console) -> None:
    page = console.enter()
    first = current(page)
    page.keyboard.press("j")
    page.keyboard.press("j")
    third = current(page)
    assert third != first
    expect(page.locator(f"#preview [data-preview='{third}']")).to_be_visible()
    page.keyboard.press("k")
    assert current(page) not in (first, third)
    chosen = current(page)
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/cases/{chosen}")
    expect(page.locator("main[data-case]")).to_have_attribute("data-case", chosen)
    page.keyboard.press("Backspace")
    page.wait_for_url(f"{console.base}/")
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_be_visible()
    assert console.complaints == []


def test_new_alert_appears_within_two_seconds_and_selection_and_typing_stay(console: Console) -> None:
    page = console.enter()
    page.keyboard.press("j")
    page.keyboard.press("j")
    chosen = current(page)
    page.keyboard.press("/")
    page.keyboard.type("a")
    page.wait_for_url("**/*q=a")
    chosen_row = page.locator(f"#row-{chosen}")
    expect(chosen_row).to_have_attribute("aria-current", "true")
    page.evaluate("() => { window.notReloaded = true; }")
    page.keyboard.type("d")
    page.wait_for_url("**/*q=ad")
    with console.site.engine.begin() as conn:
        seed.add_case(conn, 1, hostile=False, now_ms=console.site.clock.now_ms(), case_id="C-9001")
    expect(page.locator("#row-C-9001")).to_be_visible()
    assert page.evaluate("() => window.notReloaded === true")
    assert page.input_value("#q") == "ad"
    assert page.evaluate("() => document.activeElement.id") == "q"
    if chosen_row.count():
        assert current(page) == chosen
    assert console.complaints == []


def test_disposing_meets_a_conflict_kindly_and_then_succeeds(console: Console) -> None:
    page = console.enter()
    page.keyboard.press("j")
    case = current(page)
    page.keyboard.press("d")
    dialog = page.locator("#dialog")
    expect(dialog.locator("form")).to_be_visible()
    dialog.get_by_label("False positive").check()
    dialog.locator("textarea").fill("seen in change 4711; the scanner does this every night")
    console.site.commands.assign(case, "ops-lead", "somebody else")
    dialog.get_by_role("button", name="Dispose").click()
    expect(dialog.get_by_role("alert")).to_contain_text("changed while you were writing")
    expect(dialog.get_by_role("alert")).to_contain_text("ops-lead")
    assert dialog.locator("textarea").input_value().startswith("seen in change 4711")
    assert dialog.get_by_label("False positive").is_checked()
    dialog.get_by_role("button", name="Dispose").click()
    expect(dialog.locator(".done")).to_contain_text("closed by a person")
    expect(dialog).not_to_be_visible()
    expect(page.locator(f"#row-{case}")).to_have_count(0)
    assert current(page) != case
    page.goto(f"{console.base}/cases/{case}")
    expect(page.locator(".closedby.human")).to_contain_text("Closed by a person")
    expect(page.locator("#h-ledger")).to_be_visible()
    expect(page.locator(".entries")).to_contain_text("case.disposed")
    assert [text for text in console.complaints if "409" not in text] == []


def test_a_closed_case_is_taken_up_again_by_keys(console: Console) -> None:
    page = console.enter()
    case = current(page)
    with console.site.engine.begin() as conn:
        version = int(conn.exec_driver_sql("select entry from cases where id = ?", (case,)).scalar_one())
    console.site.commands.dispose(case, "benign", "routine", "somebody", version)
    page.goto(f"{console.base}/cases/{case}")
    page.keyboard.press("r")
    dialog = page.locator("#dialog")
    dialog.locator("textarea").fill("the scanner was moved <b>yesterday</b>")
    dialog.get_by_role("button", name="Reopen").click()
    expect(dialog.locator(".done")).to_contain_text("is open again")
    expect(page.locator("#decide")).to_contain_text("Dispose")
    expect(page.locator(".entries")).to_contain_text("case.reopened")
    assert console.complaints == []


def test_a_form_opens_while_a_preview_is_under_way(console: Console) -> None:
    page = console.enter()
    held: list[Any] = []
    page.route("**/preview", lambda route: held.append(route))  # noqa: PLW0108 - Playwright marks the handler; slow on purpose
    with page.expect_request("**/preview"):
        page.keyboard.press("j")
    page.keyboard.press("d")
    expect(page.locator("#dialog form")).to_be_visible()
    for route in held:
        route.continue_()
    expect(page.locator(f"#preview [data-preview='{current(page)}']")).to_have_count(1)


def test_half_written_reason_survives_live_updates_and_closing_the_form(console: Console) -> None:
    page = console.enter()
    page.keyboard.press("d")
    box = page.locator("#dialog textarea")
    box.fill("half a sen")
    with console.site.engine.begin() as conn:
        seed.add_case(conn, 2, hostile=False, now_ms=console.site.clock.now_ms(), case_id="C-9002")
    expect(page.locator("#row-C-9002")).to_have_count(1)
    assert box.input_value() == "half a sen"
    page.keyboard.press("Escape")
    expect(page.locator("#dialog")).not_to_be_visible()
    page.keyboard.press("d")
    assert box.input_value() == "half a sen"


@pytest.mark.parametrize("place", range(len(seed.HOSTILE)))
def test_hostile_text_is_shown_and_never_lives(console: Console, place: int) -> None:
    page = console.enter()
    case = f"C-{1001 + place}"
    page.goto(f"{console.base}/cases/{case}")
    page.locator("#links summary").click()
    assert page.title() == f"{case} · Countersign"
    page.locator("a[href*='/findings/']").first.click()
    page.locator(".refs a").first.click()
    expect(page.locator(".taint").first).to_have_text("attacker-writable")
    page.goto(f"{console.base}/sources")
    for path in ("/?tab=all", f"/cases/{case}", "/sources"):
        page.goto(console.base + path)
        counted: dict[str, int] = page.evaluate(
            """() => ({
                images: document.querySelectorAll('img').length,
                inline: [...document.scripts].filter(s => !s.src).length,
                styled: document.querySelectorAll('[style], style').length,
                handlers: [...document.querySelectorAll('*')].flatMap(e => e.getAttributeNames())
                    .filter(name => name.startsWith('on')).length,
                links: [...document.links].filter(a => !a.href.startsWith(location.origin)).length,
                bidi: (document.body.innerText.match(/[\\u202a-\\u202e\\u2066-\\u2069\\u200b\\u0000]/g) || []).length,
            })"""
        )
        assert set(counted.values()) == {0}, (path, counted)
    assert console.complaints == []


def test_hidden_characters_are_named(console: Console) -> None:
    page = console.enter()
    page.goto(f"{console.base}/cases/C-1003")
    tokens = page.locator("h1 .hidden-char").all_inner_texts()
    assert "⟦U+202E⟧" in tokens
    assert "⟦U+0000⟧" in tokens


@pytest.mark.parametrize("theme", ["dark", "light"])
@pytest.mark.parametrize(
    "path", ["/", "/?tab=all", "/?q=nothing-at-all", "/cases/C-1014", "/cases/C-1012", "/sources", "/ledger"]
)
def test_no_accessibility_violation(console: Console, theme: str, path: str) -> None:
    page = console.enter(theme=theme, bypass_csp=True)  # axe is injected; the policy has its own tests
    page.goto(console.base + path)
    assert _violations(page) == []


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_no_accessibility_violation_in_forms_and_keys(console: Console, theme: str) -> None:
    page = console.enter(theme=theme, bypass_csp=True)
    page.keyboard.press("d")
    expect(page.locator("#dialog form")).to_be_visible()
    assert _violations(page) == []
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    assert _violations(page) == []


def _violations(page: Page) -> list[tuple[str, Any]]:
    found = Axe().run(page, options=WCAG).response["violations"]
    return [(v["id"], [(n["html"][:160], n["failureSummary"][:200]) for n in v["nodes"][:3]]) for v in found]


def test_theme_and_density_are_kept_and_drawn_by_the_server(console: Console) -> None:
    page = console.enter(theme="dark")
    page.locator("[data-do=theme]").click()
    page.locator("[data-do=density]").click()
    html = page.request.get(f"{console.base}/").text()
    assert 'data-theme="light"' in html
    assert 'data-density="compact"' in html
    height: float = page.evaluate("() => document.querySelector('#cases tbody tr').getBoundingClientRect().height")
    assert height < 30


def test_ledger_that_lags_or_breaks_is_said_at_once(console: Console) -> None:
    page = console.enter()
    expect(page.locator("#status")).to_contain_text("Ledger sealed")
    console.site.behind = 5_000_000
    with console.site.engine.begin() as conn:
        conn.exec_driver_sql("update ledger_head set size = 6000000")
    expect(page.locator("#status")).to_contain_text("Sealing is behind")
    console.site.behind = -7
    expect(page.locator("#status")).to_contain_text("Ledger does not verify")


@pytest.mark.parametrize("width", [1280, 1400, 1600])
def test_the_header_s_states_stand_on_one_line(console: Console, width: int) -> None:
    page = console.enter()
    page.set_viewport_size({"width": width, "height": 800})
    expect(page.locator("#status .fact").first).to_be_visible()
    tops = page.eval_on_selector_all("#status .fact", "all => all.map(one => one.offsetTop)")
    assert len(tops) >= 2
    assert len(set(tops)) == 1


def test_small_screen_does_not_scroll_sideways(console: Console) -> None:
    page = console.enter()
    page.set_viewport_size({"width": 400, "height": 800})
    for path in ("/", "/cases/C-1014", "/sources", "/ledger"):
        page.goto(console.base + path)
        wide: int = page.evaluate("() => document.documentElement.scrollWidth - innerWidth")
        assert wide <= 0, path
