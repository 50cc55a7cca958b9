"""One POST of a JSON body, with a bound on time and on what is read back; errors never quote the address, which is a
secret."""

from __future__ import annotations

import httpx

from countersign.errors import EnvironmentFault

TIMEOUT_S = 10.0


def post(url: str, body: bytes, headers: dict[str, str]) -> None:
    """Raises EnvironmentFault unless the answer is 2xx. Follows no redirect."""
    try:
        with httpx.Client(timeout=TIMEOUT_S, follow_redirects=False) as client:
            answer = client.post(url, content=body, headers={"content-type": "application/json", **headers})
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise EnvironmentFault(f"cannot be reached ({type(error).__name__})") from None
    if not answer.is_success:
        raise EnvironmentFault(f"answered {answer.status_code}")
