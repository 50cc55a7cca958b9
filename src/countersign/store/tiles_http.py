"""A log that somebody publishes over HTTP (C2SP tlog-tiles), read and never trusted: its checkpoint's signature decides.

One tile is held at a time and no answer may be larger than such a tile, so memory stays flat whatever the server says.
"""

from __future__ import annotations

import time
from http import HTTPStatus
from urllib.parse import urlsplit

import httpx

from countersign import __version__
from countersign.errors import EnvironmentFault, UsageError, VerificationError
from countersign.ledger.note import NOTE_BYTES_MAX
from countersign.ledger.tiles import HASH_BYTES, TILE_WIDTH, cut_bundle, entries_path, tile_path
from countersign.model.entries import ENTRY_BYTES_MAX

CHECKPOINT, COSIGNED = "checkpoint", "checkpoint.cosigned"
TIMEOUT_S = 30.0
WAITS_S = (0.2, 1.0)
"""Between tries, where a server or the way to it may recover."""
TILE_BYTES_MAX = TILE_WIDTH * HASH_BYTES
BUNDLE_BYTES_MAX = TILE_WIDTH * (2 + ENTRY_BYTES_MAX)
_ANYWAY = frozenset({429, 500, 502, 503, 504})


class TileUrl:
    """``LogReader`` over HTTP: ``checkpoint`` and ``tile/…`` below ``url``. Raises UsageError for what is no such address,
    EnvironmentFault when the server cannot be reached or answers something else than a log, and VerificationError for an
    answer that is larger than it can be."""

    def __init__(self, url: str) -> None:
        self._base = _base(url)
        agent = {"User-Agent": f"countersign/{__version__}"}
        self._client = httpx.Client(timeout=TIMEOUT_S, headers=agent)

    def checkpoint(self) -> bytes | None:
        """The signed checkpoint, None when there is none."""
        return self._get(CHECKPOINT, NOTE_BYTES_MAX)

    def cosigned(self) -> bytes | None:
        """The newest checkpoint that enough witnesses cosigned, None when there is none."""
        return self._get(COSIGNED, NOTE_BYTES_MAX)

    def tile(self, level: int, index: int, width: int) -> bytes | None:
        """``width`` hashes of a tile: from the partial one, else from the start of the full one that took its place."""
        data = self._get(tile_path(level, index, width), TILE_BYTES_MAX)
        if data is None and width < TILE_WIDTH:
            fuller = self._get(tile_path(level, index), TILE_BYTES_MAX)
            data = None if fuller is None else fuller[: width * HASH_BYTES]
        return data

    def bundle(self, index: int, width: int) -> bytes | None:
        """The first ``width`` entries under level-0 tile ``index``, as a bundle; found like a tile."""
        data = self._get(entries_path(index, width), BUNDLE_BYTES_MAX)
        if data is None and width < TILE_WIDTH:
            fuller = self._get(entries_path(index), BUNDLE_BYTES_MAX)
            data = None if fuller is None else cut_bundle(fuller, width)
        return data

    def beside(self, name: str) -> bytes | None:
        """What is published beside the tiles under this name."""
        return self._get(name, BUNDLE_BYTES_MAX)

    def _get(self, path: str, limit: int) -> bytes | None:
        url = f"{self._base}/{path}"
        for wait_s in WAITS_S:
            try:
                return self._once(url, limit)
            except _AgainError:
                time.sleep(wait_s)
        try:
            return self._once(url, limit)
        except _AgainError as error:
            raise _fault(str(error), url) from error

    def _once(self, url: str, limit: int) -> bytes | None:
        try:
            with self._client.stream("GET", url) as answer:
                if answer.status_code in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE):
                    return None
                _must_be_ok(answer, url)
                return _read(answer, url, limit)
        except httpx.TransportError as error:
            raise _AgainError(f"log cannot be reached ({str(error) or type(error).__name__})") from error
        except (httpx.InvalidURL, httpx.DecodingError) as error:
            raise _fault(f"log cannot be read ({error})", url) from error


class _AgainError(Exception):
    """It may be otherwise in a moment."""


def _must_be_ok(answer: httpx.Response, url: str) -> None:
    if answer.status_code in _ANYWAY:
        raise _AgainError(f"server answers {answer.status_code}")
    if answer.is_redirect:
        todo = "give the address where the log is"
        raise EnvironmentFault(f"log has moved to {answer.headers.get('location', '?')[:200]}", where=url, todo=todo)
    if answer.status_code != HTTPStatus.OK:
        raise _fault(f"server answers {answer.status_code}", url)


def _read(answer: httpx.Response, url: str, limit: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    for part in answer.iter_bytes():
        parts.append(part)
        size += len(part)
        if size > limit:
            raise VerificationError(f"answer is over the limit of {limit} bytes", where=url, todo="it is no part of a log")
    return b"".join(parts)


def _base(url: str) -> str:
    try:
        parts = urlsplit(url)
        is_one = parts.scheme in ("http", "https") and bool(parts.hostname) and not (parts.query or parts.fragment)
    except ValueError:
        is_one = False
    if not is_one:
        raise UsageError("not an address of a log", where="--url", todo="give it as https://HOST/tlog")
    return url.rstrip("/").removesuffix(f"/{CHECKPOINT}")


def _fault(what: str, url: str) -> EnvironmentFault:
    return EnvironmentFault(what, where=url, todo="check the address, and that it serves a tlog-tiles log")
