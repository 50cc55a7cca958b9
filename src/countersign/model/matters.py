"""What waits for people, as a list and a page show it: values only, so that a door can show them without reaching the
rest."""

from __future__ import annotations

import msgspec


class Ceremony(msgspec.Struct, frozen=True):
    """What a browser is asked to have signed. challenge: base64url. credentials: ids of the person's passkeys, base64url.
    nonce: comes back with the answer."""

    number: int
    challenge: str
    rp_id: str
    credentials: tuple[str, ...]
    nonce: str


class Pressed(msgspec.Struct, frozen=True):
    """What a browser brings back, each part in base64url without padding, with the nonce of the ceremony."""

    credential: str
    authenticator_data: str
    client_data: str
    signature: str
    nonce: str


class Given(msgspec.Struct, frozen=True):
    """One answer. by: name, or pseudonym where the key table knows none. key: fingerprint, "" of a denial."""

    by: str
    approve: bool
    reason: str
    at_ms: int
    key: str
    entry: int


class Line(msgspec.Struct, frozen=True):
    """One action or change. kind: ``action`` or ``change``. what: which. about: its targets, or what the change is of.
    state: ``waiting``, ``approved``, ``denied``, ``expired`` or ``outdated``. people: approvals it needs; approvals: it
    has. waits: why an action that may run does not go on yet. taken_back: whether its undo was carried out and shown to
    hold."""

    number: int
    kind: str
    what: str
    about: str
    case: str
    asked_by: str
    asked_by_person: str
    expires_ms: int
    people: int
    approvals: int
    denials: int
    state: str
    digest: str
    entry: int
    waits: str = ""
    taken_back: bool = False


class Step(msgspec.Struct, frozen=True):
    """One moment in the way of an action. what: in two or three words. text: what came of it."""

    at_ms: int
    what: str
    text: str
    entry: int


class Sheet(msgspec.Struct, frozen=True):
    """One of them whole. lines: label and text, rendered from ``data``, the canonical bytes as text. message: what an
    OpenSSH signature is made over. moved: what is no longer so of what it starts from. note: what its state means, in
    words. steps: its way so far. undo: number of the proposal that would take it back, 0 for none."""

    line: Line
    lines: tuple[tuple[str, str], ...]
    data: str
    message: str
    given: tuple[Given, ...]
    names: tuple[tuple[str, str], ...]
    moved: tuple[str, ...]
    note: str
    steps: tuple[Step, ...] = ()
    undo: int = 0
    can_undo: bool = False
