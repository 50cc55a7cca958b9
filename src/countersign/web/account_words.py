"""Words for one's own account: how somebody came in, what they may, and what their browser calls itself."""

from __future__ import annotations

from collections.abc import Collection

from countersign.authority.roles import Right
from countersign.web.words import span

MINUTE_MS = 60_000
_HOW = {"link": "by the printed link", "passkey": "with a passkey", "oidc": "through the directory"}
_MAY = {
    Right.READ: "see cases, closes and the ledger",
    Right.WORK: "dispose, assign, review, overturn and stop the agent",
    Right.STEER: "lift a stop and send messages in again",
    Right.PROPOSE: "ask for changes",
    Right.ADMINISTER: "look after people and tokens",
    Right.AUDIT: "export the record",
    Right.APPROVE: "approve what others ask for",
}
_BROWSERS = (("Edg/", "Edge"), ("OPR/", "Opera"), ("Firefox/", "Firefox"), ("Chrome/", "Chromium"), ("Safari/", "Safari"))
_SYSTEMS = (("Android", "Android"), ("iPhone", "iPhone"), ("iPad", "iPad"), ("Windows", "Windows"), ("Mac OS", "macOS"))


def how(way: str) -> str:
    """How a session began."""
    return _HOW.get(way, way)


def may(rights: Collection[Right]) -> tuple[str, ...]:
    """What these rights open, in words."""
    return tuple(words for right, words in _MAY.items() if right in rights)


def may_not(rights: Collection[Right]) -> tuple[str, ...]:
    """What they do not open."""
    return tuple(words for right, words in _MAY.items() if right not in rights)


def ago(ms: int) -> str:
    """How long ago something was."""
    return "just now" if ms < MINUTE_MS else f"{span(ms)} ago"


def browser(agent: str) -> str:
    """A browser and its system, as far as it says; what it says may be made up."""
    name = next((word for mark, word in _BROWSERS if mark in agent), "")
    system = next((word for mark, word in _SYSTEMS if mark in agent), "Linux" if "Linux" in agent else "")
    return " on ".join(part for part in (name, system) if part) or "Unknown browser"
