"""Has the newest checkpoint stamped by a timestamping authority (RFC 3161), every so often while there is something new.

It runs in a thread of its own: an authority that does not answer holds up neither alerts nor actions. A stamp that fails is
logged and tried again with the next round.
"""

from __future__ import annotations

import httpx

from countersign.bootstrap import Site
from countersign.errors import EnvironmentFault, UsageError
from countersign.ledger.answer import ANSWER_BYTES_MAX
from countersign.ledger.note import open_checkpoint
from countersign.ledger.stamps import Asked, Stamp, ask, check
from countersign.rounds import Rounds
from countersign.store import stamps

TIMEOUT_S = 20.0
_HEADERS = {"content-type": "application/timestamp-query", "accept": "application/timestamp-reply"}


def stamp(site: Site) -> Stamp | None:
    """Have the newest checkpoint stamped and publish it; None when it is already. Raises UsageError without an authority,
    EnvironmentFault when it does not answer, VerificationError when its answer does not hold."""
    settings = site.config.ledger.timestamps
    if not settings.url:
        todo = "set ledger.timestamps.url and ca in countersign.toml"
        raise UsageError("no timestamping authority is configured", where="countersign.toml", todo=todo)
    site.seal()
    signed = site.tiles.checkpoint() or b""
    size = open_checkpoint(signed, [site.log_key.vkey]).size
    stamps.enlist(site.tiles)
    if size in stamps.sizes(site.tiles):
        return None
    asked = ask(signed)
    made = Stamp(size, signed, _post(settings.url, asked))
    check(made.signed, made.token, stamps.roots(settings.ca), asked.nonce)
    stamps.write(site.tiles, made)
    return made


def _post(url: str, asked: Asked) -> bytes:
    try:
        with (
            httpx.Client(timeout=TIMEOUT_S, follow_redirects=False) as client,
            client.stream("POST", url, content=asked.body, headers=_HEADERS) as answer,
        ):
            if not answer.is_success:
                raise EnvironmentFault(f"timestamping authority answered {answer.status_code}", where=url)
            body = b""
            for part in answer.iter_bytes():
                body += part
                if len(body) > ANSWER_BYTES_MAX:
                    raise EnvironmentFault("timestamping authority answered too much", where=url)
            return body
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        what = f"timestamping authority cannot be reached ({type(error).__name__})"
        raise EnvironmentFault(what, where=url, todo="it is tried again") from error


class Stamper(Rounds):
    """Stamps beside a service; idle where no authority is configured."""

    def __init__(self, site: Site) -> None:
        super().__init__("stamping", site.config.ledger.timestamps.every_minutes * 60)
        self._site = site

    def once(self) -> None:
        """Have the newest checkpoint stamped."""
        if self._site.config.ledger.timestamps.url:
            stamp(self._site)
