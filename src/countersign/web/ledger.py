"""**Ledger**: how the record stands, its entries by filter, one entry whole, and what a stranger needs to check it.

Pages show what the database holds; what is proved of an entry is read from the published log alone.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from countersign.authority.agents import AGENTS
from countersign.authority.roles import Right
from countersign.errors import CountersignError, EnvironmentFault, UsageError
from countersign.ledger.note import Checkpoint
from countersign.ledger.proof import format_proof, make_proof
from countersign.ledger.tiles import TILE_WIDTH, entries_path, tile_path, width_at
from countersign.model.entries import Kind
from countersign.store import read_ledger
from countersign.store.engine import reading
from countersign.store.read_ledger import Filter, Found
from countersign.web import entry_words
from countersign.web.pages import Pages, number_of
from countersign.web.session import Person

FIELD_CHARS_MAX = 64
NAMES_FOR = (Right.WORK, Right.AUDIT, Right.APPROVE, Right.ADMINISTER)
"""Who may see people's names behind pseudonyms here: one of these; whoever may only read sees the entry as it is."""
_PSEUDONYM = re.compile(r"\b[a-z_]{2,20}~[0-9a-f]{12}\b")
_PERSON = "person:"
_NOUNS = tuple(dict.fromkeys(kind.value.partition(".")[0] for kind in Kind))
KINDS = {noun: tuple(kind.value for kind in Kind if kind.value.partition(".")[0] == noun) for noun in _NOUNS}
ACTORS = ("human", "agent", "system", *AGENTS)


@dataclass(frozen=True, slots=True)
class Line:
    """One field of an entry: its name, its value as text, and what the reference says of it."""

    name: str
    value: str
    says: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where an entry stands in the published log. under: the newest checkpoint that covers it, None while none does."""

    leaf: str
    digest: str
    size: int
    bundle: str
    tile: str
    under: Checkpoint | None


class LedgerPages:
    """The doors of this page."""

    def __init__(self, pages: Pages) -> None:
        self.pages = pages

    # --- the list -------------------------------------------------------------------------------------------------

    def page(self, request: Request, person: Person) -> Response:
        """How the record stands, and its entries."""
        return self.pages.show("ledger.html", request, person, **self._list(request, person), **self._state())

    def state_live(self, request: Request, person: Person) -> Response:
        """The part of it that says how the record stands."""
        return self.pages.show("ledger_state.html", request, person, **self._state())

    def list_live(self, request: Request, person: Person) -> Response:
        """The list."""
        return self.pages.show("ledger_list.html", request, person, **self._list(request, person))

    def go(self, request: Request, person: Person) -> Response:
        """To the entry of an index."""
        text = request.query_params.get("index", "").replace(",", "").strip()
        base = request.scope.get("root_path", "")
        if not (text.isascii() and text.isdecimal() and len(text) <= 15):
            raise UsageError("an index is a number", where="index", todo="give the number of an entry, such as 17")
        return RedirectResponse(f"{base}/ledger/{int(text)}", 303)

    def _state(self) -> dict[str, Any]:
        try:
            key = self.pages.record.keys()[0] if self.pages.record else None
        except CountersignError:  # a key that cannot be read: the header says what follows from it
            key = None
        return {"vkey": str(key) if key else "", "origin": key.name if key else ""}

    def _list(self, request: Request, person: Person) -> dict[str, Any]:
        asked = {name: request.query_params.get(name, "")[:FIELD_CHARS_MAX].strip() for name in _ASKED}
        before = request.query_params.get("before", "")
        until = int(before) if before.isascii() and before.isdecimal() and len(before) <= 15 else None
        wrong = [name for name in ("since", "until") if asked[name] and not _time_ms(asked[name])]
        with reading(self.pages.engine) as conn:
            wanted = _filter(conn, asked, names=_sees_names(person))
            page = read_ledger.page(conn, wanted, before=until)
            names = self._names(conn, person, [one.entry.actor.id for one in page.rows])
        return {
            "page": page,
            "asked": asked,
            "names": names,
            "before": until,
            "filtered": not wanted.open,
            "wrong": wrong,
            "kinds": KINDS,
            "actors": ACTORS,
        }

    @staticmethod
    def _names(conn: Connection, person: Person, pseudonyms: list[str]) -> dict[str, str]:
        """Names behind pseudonyms, for those who may see them."""
        if not _sees_names(person) or not pseudonyms:
            return {}
        return {key: value.removeprefix(_PERSON) for key, value in read_ledger.names(conn, pseudonyms).items()}

    # --- one entry ------------------------------------------------------------------------------------------------

    def one(self, request: Request, person: Person) -> Response:
        """One entry whole."""
        index = number_of(request, "index")
        with reading(self.pages.engine) as conn:
            found = read_ledger.one(conn, index)
            led_to = read_ledger.led_to(conn, index)
            text = found.data.decode("utf-8", "replace")
            names = self._names(conn, person, _PSEUDONYM.findall(text) + [one.entry.actor.id for one in led_to])
            newest = read_ledger.newest(conn)
        lines = tuple(
            Line(name, _scalar(value), entry_words.about(found.kind, name))
            for name, value in sorted(found.entry.body.items())
        )
        values: dict[str, Any] = {
            "found": found,
            "lines": lines,
            "when": entry_words.written_when(found.kind),
            "holds": entry_words.holds(found.kind),
            "pretty": _pretty(text),
            "cause": read_ledger.cause(found.entry),
            "led_to": led_to,
            "names": names,
            "newest": newest,
        }
        return self.pages.show("entry.html", request, person, **values, **self._state(), **self._placed(found))

    def one_live(self, request: Request, person: Person) -> Response:
        """Where it stands: the part that changes when it is sealed and verified."""
        with reading(self.pages.engine) as conn:
            found = read_ledger.one(conn, number_of(request, "index"))
        return self.pages.show("entry_place.html", request, person, found=found, **self._placed(found))

    def _placed(self, found: Found) -> dict[str, Any]:
        head = self._head()
        under = head if head is not None and head.size > found.idx else None
        bundle = found.idx // TILE_WIDTH
        width = width_at(under.size, 0, bundle) if under else TILE_WIDTH
        place = Place(
            leaf=found.leaf,
            digest=hashlib.sha256(found.data).hexdigest(),
            size=len(found.data),
            bundle=entries_path(bundle, width),
            tile=tile_path(0, bundle, width),
            under=under,
        )
        return {"place": place}

    def _head(self) -> Checkpoint | None:
        try:
            return self.pages.checkpoint() if self.pages.checkpoint else None
        except CountersignError:  # what is wrong with it is said by the header; an entry is shown all the same
            return None

    def bytes(self, request: Request, _person: Person) -> Response:
        """The entry's canonical bytes as the database holds them."""
        index = number_of(request, "index")
        with reading(self.pages.engine) as conn:
            found = read_ledger.one(conn, index)
        return _download(found.data, f"entry-{index}.json", "application/octet-stream")

    def proof(self, request: Request, _person: Person) -> Response:
        """The entry's inclusion proof (c2sp.org/tlog-proof@v1), from the published log. Raises NotFoundError while it is not
        sealed, VerificationError where the log does not prove it."""
        record = self.pages.record
        if record is None:
            raise EnvironmentFault("this console has no log to prove from", todo="use `countersign proof`")
        index = number_of(request, "index")
        made, _ = make_proof(record.log, index, record.keys())
        return _download(format_proof(made).encode(), f"entry-{index}.tlog-proof", "text/plain; charset=utf-8")


_ASKED = ("kind", "actor", "subject", "since", "until")


def _filter(conn: Connection, asked: dict[str, str], *, names: bool) -> Filter:
    actor = asked["actor"]
    if actor and actor not in ACTORS and names:
        actor = read_ledger.pseudonym_of(conn, actor)
    return Filter(asked["kind"], actor, asked["subject"], _time_ms(asked["since"]), _time_ms(asked["until"]))


def _sees_names(person: Person) -> bool:
    return any(person.may(right) for right in NAMES_FOR)


def _time_ms(text: str) -> int:
    """Milliseconds since the epoch of what a date field sends, taken as UTC; 0 when it is none."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return 0
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0, int(aware.timestamp() * 1000))


def _scalar(value: object) -> str:
    """As text: what is nested goes one item a line."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and any(isinstance(one, list | dict) for one in value):
        return "\n".join(_line(one) for one in value)
    if isinstance(value, dict):
        return "\n".join(f"{key}: {_line(one)}" for key, one in sorted(value.items()))
    return _line(value)


def _line(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(one if isinstance(one, str) else _line(one) for one in value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)


def _pretty(text: str) -> str:
    try:
        return json.dumps(json.loads(text), ensure_ascii=False, indent=2, sort_keys=True)
    except ValueError:
        return text


def _download(data: bytes, name: str, kind: str) -> Response:
    headers = {"content-disposition": f'attachment; filename="{name}"', "x-content-type-options": "nosniff"}
    return Response(data, media_type=kind, headers=headers)
