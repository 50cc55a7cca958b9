"""One request to a witness, with a bound on its time and on what is read back. Follows no redirect."""

from __future__ import annotations

import time
from typing import NamedTuple

import httpx

from countersign.errors import EnvironmentFault
from countersign.ledger.note import NOTE_BYTES_MAX

ANSWER_BYTES_MAX = min(64 * 1024, NOTE_BYTES_MAX)


class Answer(NamedTuple):
    """Of a witness, as it came. kind: its media type."""

    status: int
    kind: str
    body: bytes


def post(url: str, body: bytes, timeout_s: float) -> Answer:
    """Send a checkpoint to the witness at ``url``. Raises EnvironmentFault when no whole answer comes in time."""
    ends = time.monotonic() + timeout_s
    try:
        with (
            httpx.Client(timeout=timeout_s, follow_redirects=False) as client,
            client.stream("POST", f"{url.rstrip('/')}/add-checkpoint", content=body) as answer,
        ):
            read = b""
            for part in answer.iter_bytes():
                read += part
                if len(read) > ANSWER_BYTES_MAX or time.monotonic() > ends:
                    raise EnvironmentFault("its answer does not end")
            return Answer(answer.status_code, answer.headers.get("content-type", ""), read)
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise EnvironmentFault(f"cannot be reached ({type(error).__name__})") from None
