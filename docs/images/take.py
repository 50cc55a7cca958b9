"""Takes the pictures of the documentation from the running demo: ``make screenshots``.

Starts the demo on a free loopback port with a fresh data directory, walks queue and case in Chromium, and stops it.
"""

from __future__ import annotations

import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

HERE = Path(__file__).resolve().parent
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
SIZE = {"width": 1600, "height": 960}


def main() -> None:
    """Start the demo, take the pictures, stop it."""
    chromium = shutil.which("chromium")
    if chromium is None:
        sys.exit("docs/images/take.py: chromium is not installed")
    with tempfile.TemporaryDirectory(prefix="countersign-pictures-") as folder:
        flags = ["--no-browser", "--data", folder, "--port", str(_free_port())]
        command = [sys.executable, "-m", "countersign", "demo", *flags]
        service = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603 - our own program
        try:
            link = _link(service)
            with sync_playwright() as driver:
                browser = driver.chromium.launch(executable_path=chromium, args=FLAGS)
                for scheme in ("dark", "light"):
                    page = browser.new_page(viewport=SIZE, color_scheme=scheme)  # type: ignore[arg-type]
                    if scheme == "dark":
                        page.goto(link)
                        cookies = page.context.cookies()
                    page.context.add_cookies(cookies)  # type: ignore[arg-type]
                    _take(page, link.partition("/enter")[0], scheme)
                browser.close()
        finally:
            service.send_signal(signal.SIGINT)
            service.wait()


def _take(page: Page, base: str, scheme: str) -> None:
    suffix = "" if scheme == "dark" else "-light"
    page.goto(base)
    page.wait_for_selector("[data-case]")
    page.keyboard.press("j")
    chosen = page.locator("#cases tr[aria-current]").get_attribute("data-case")
    page.wait_for_selector(f"#preview [data-preview='{chosen}']")
    page.screenshot(path=HERE / f"queue{suffix}.png")
    page.keyboard.press("Enter")
    page.wait_for_url("**/cases/**")
    page.screenshot(path=HERE / f"case{suffix}.png")


def _link(service: subprocess.Popen[str]) -> str:
    assert service.stdout is not None  # noqa: S101 - asked for above
    for line in service.stdout:
        found = re.search(r"http://\S+", line)
        if found:
            return found.group()
    sys.exit("docs/images/take.py: the demo did not start")


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


if __name__ == "__main__":
    main()
