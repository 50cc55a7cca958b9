"""The real npm ``oidc-provider`` on loopback, and a person who signs in at it."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urljoin

import httpx
import pytest

from tests import npm
from tests.ports import free_port

SECRET = "planted-client-secret-5b1f"
GROUPS = {"ada": ["soc-analysts"], "lee": ["soc-leads", "staff"], "nobody": ["staff"], "evil:ada": ["soc-leads"]}


def installed(cache: Path) -> Path:
    """The folder with the provider installed from the committed lock file; skips with the reason where that cannot be."""
    return npm.installed("oidc", "oidc-provider", cache)


@contextmanager
def provider(
    cache: Path, console: str, groups: Mapping[str, Sequence[str]] = GROUPS, port: int | None = None
) -> Iterator[str]:
    """A running provider for the console at this address; gives its issuer."""
    port = port or free_port()
    command = ["node", "provider.mjs", str(port), f"{console}/sign-in/oidc/callback", f"{console}/sign-in"]
    environment = {"PATH": os.environ["PATH"], "CLIENT_SECRET": SECRET, "GROUPS": json.dumps(groups)}
    running = subprocess.Popen(
        command, cwd=installed(cache), env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        assert running.stdout is not None
        for line in running.stdout:
            if "ready" in line:
                break
        else:
            pytest.fail(f"the provider ended with status {running.wait()} before it was ready")
        yield f"http://127.0.0.1:{port}"
    finally:
        running.terminate()
        running.wait(timeout=60)
        if running.stdout is not None:
            running.stdout.close()


def sign_in_there(address: str, login: str, back: str) -> str:
    """Walk through the provider's own pages as this person; gives the address at the console that it sends them back to."""
    with httpx.Client(timeout=60) as browser:
        answer = browser.get(address)
        for _ in range(12):
            while answer.is_redirect:
                to = urljoin(str(answer.url), answer.headers["location"])
                if to.startswith(back):
                    return to
                answer = browser.get(to)
            assert answer.status_code == 200, answer.text
            found = re.search(r'<form[^>]*action="([^"]+)"', answer.text)
            prompt = re.search(r'name="prompt" value="([^"]+)"', answer.text)
            assert found is not None, answer.text
            assert prompt is not None, answer.text
            form = {"prompt": prompt[1], "login": login, "password": "any"}
            answer = browser.post(urljoin(str(answer.url), found[1]), data=form)
    raise AssertionError("the provider sends nobody back")
