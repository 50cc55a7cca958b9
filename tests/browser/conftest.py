"""A console on a loopback port over a seeded site, and a browser in front of it."""

from __future__ import annotations

import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest
import uvicorn
from playwright.sync_api import Browser, Page, expect, sync_playwright

from countersign.store.engine import make_engine
from countersign.web import render
from countersign.web.app import create_console
from countersign.web.session import Sessions
from tests.browser import seed
from tests.browser.site import TableSite

ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
PATIENCE_MS = 60_000
"""For how long a page is waited for. No measure of speed: a busy machine takes longer than the five seconds of default."""
expect.set_options(timeout=PATIENCE_MS)


@dataclass
class Console:
    """A running console: its address, its site, and what pages complained about."""

    base: str
    site: TableSite
    sessions: Sessions
    browser: Browser
    complaints: list[str] = field(default_factory=list)

    def enter(self, *, theme: str = "dark", bypass_csp: bool = False) -> Page:
        """A page on the queue, signed in through a one-time link."""
        context = self.browser.new_context(
            viewport={"width": 1600, "height": 960},
            color_scheme=theme,
            bypass_csp=bypass_csp,  # type: ignore[arg-type]
        )
        context.add_init_script(
            "document.addEventListener('securitypolicyviolation',e=>console.error('CSP '+e.violatedDirective+e.blockedURI))"
        )
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.on("console", lambda m: self.complaints.append(m.text) if m.type in ("error", "warning") else None)
        page.on("pageerror", lambda e: self.complaints.append(str(e)))
        page.on("dialog", lambda d: (self.complaints.append(f"dialog {d.message}"), d.dismiss()))
        page.goto(f"{self.base}/enter?t={self.sessions.link_token('analyst', self.site.clock.now_ms())}")
        page.wait_for_selector("#stream[data-state=on]")
        return page


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Debian's chromium, headless. Not for the session: while Playwright is open no other test may run an event loop."""
    if shutil.which("chromium") is None:
        pytest.skip("Debian's chromium is not installed")
    if not (render.STATIC / "vendor" / "htmx.min.js").is_file():
        pytest.skip("console assets are not installed; run python hatch_build.py")
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=Path(__file__).with_name("chromium"), args=ARGS)
        yield browser
        browser.close()


@pytest.fixture
def console(tmp_path: Path, chromium: Browser) -> Iterator[Console]:
    """A console over 40 seeded cases, stopped at the end of the test."""
    engine = make_engine(f"sqlite:///{tmp_path / 'site.sqlite'}")
    now_ms = time.time_ns() // 1_000_000
    seed.fill(engine, 40, now_ms=now_ms)
    site = TableSite(engine)
    sessions = Sessions(b"k" * 32)
    app = create_console(site, sessions=sessions, clock=site.clock, checkpoint=site.checkpoint)
    with _serve(app) as base:
        found = Console(base, site, sessions, chromium)
        yield found
        for context in chromium.contexts:
            context.close()
    engine.dispose()


class _serve:  # noqa: N801 - reads as a statement
    """uvicorn in a thread, on a port of the system's choice."""

    def __init__(self, app: Callable[..., object], lifespan: Literal["on", "off"] = "off") -> None:
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        config = uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=1, lifespan=lifespan)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._socket]}, daemon=True)

    def __enter__(self) -> str:
        self._thread.start()
        port = self._socket.getsockname()[1]
        deadline = time.monotonic() + PATIENCE_MS / 1000
        while not self._server.started:
            assert time.monotonic() < deadline, "the console did not start"
            threading.Event().wait(0.02)
        return f"http://127.0.0.1:{port}"

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(timeout=PATIENCE_MS / 1000)
        self._socket.close()
