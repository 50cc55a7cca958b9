"""Works the outbox off: each message (what waits for people, what witnesses say) goes to every channel, at least once, after
the commit.

It runs in a thread of its own, so that a slow server holds up neither alerts nor approvals. What fails is logged, tried
again with growing pauses, and stays to be seen on the approvals page."""

from __future__ import annotations

from collections.abc import Mapping

import structlog

from countersign.bootstrap import Site
from countersign.errors import ConfigError, CountersignError, EnvironmentFault
from countersign.model.notices import WITNESS_ALARM, WITNESS_WELL, Message, message
from countersign.notify import channels
from countersign.ports import Notifier
from countersign.rounds import Rounds
from countersign.store import outbox
from countersign.store.engine import reading, writing

log = structlog.get_logger()
IDLE_S = 1.0


class Telling(Rounds):
    """Sends what is due."""

    def __init__(self, site: Site) -> None:
        super().__init__("telling", IDLE_S)
        self._site = site
        self._ways = configured(site)

    def once(self) -> None:
        """Work the outbox off."""
        work_off(self._site, self._ways)


class Broken:
    """Stands in for channels that the configuration names wrongly, so that it shows where people look."""

    def __init__(self, error: ConfigError) -> None:
        self._error = error

    def tell(self, message: Message) -> None:
        """Raises EnvironmentFault."""
        raise EnvironmentFault(f"{self._error} (message {message.id} was not sent)")


def configured(site: Site) -> Mapping[str, Notifier]:
    """The site's channels."""
    try:
        return channels(site.config)
    except ConfigError as error:
        log.error("notify", error=str(error))
        return {"configuration": Broken(error)}


def work_off(site: Site, ways: Mapping[str, Notifier]) -> int:
    """Send what is due, one message at a time, none inside a transaction; returns how many were tried."""
    with reading(site.engine) as conn:
        fresh, now_ms = outbox.pending(conn), site.clock.now_ms()
        due = outbox.due(conn, now_ms)
    if fresh:
        with writing(site.engine) as conn:
            outbox.spread(conn, ways)
        with reading(site.engine) as conn:
            due = outbox.due(conn, now_ms)
    tried = 0
    for notice in due:
        with writing(site.engine) as conn:
            mine = outbox.claim(conn, notice, site.clock.now_ms())
        if not mine:
            continue
        tried += 1
        error = _send(site, ways, notice)
        with writing(site.engine) as conn:
            outbox.done(conn, notice, site.clock.now_ms(), error)
    return tried


def _send(site: Site, ways: Mapping[str, Notifier], notice: outbox.Notice) -> str:
    """Why it did not get through, "" when it did."""
    way = ways.get(notice.channel)
    if way is None:
        return "this channel is not configured any more"
    base = site.config.server.url or f"http://localhost:{site.config.server.port}"
    ident = f"{notice.number}.{notice.event}"
    if notice.event in (WITNESS_ALARM, WITNESS_WELL):  # may come again at the same size
        ident += f".{notice.made_ms}"
    try:
        way.tell(message(ident, notice.event, notice.number, notice.what, notice.case, base))
    except CountersignError as error:
        log.warning("notify", channel=notice.channel, number=notice.number, error=error.what)
        return error.what
    return ""
