"""Responses of a case as statements: proposed, signed, intended, started, probed, taken back; each with its entries."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from countersign.model.entries import Kind
from countersign.reporting.model import Cited, Claim, Line, absent, indices, numbers
from countersign.reporting.says import EFFECTS, when
from countersign.reporting.steps import STEPS, steps
from countersign.web import words

if TYPE_CHECKING:
    from countersign.reporting.case import CaseFile

WAY = (
    Kind.PROPOSAL_CREATED,
    Kind.PROPOSAL_APPROVED,
    Kind.PROPOSAL_DENIED,
    Kind.PROPOSAL_EXPIRED,
    Kind.PROPOSAL_OUTDATED,
    Kind.ACTION_INTENDED,
    Kind.ACTION_STARTED,
    Kind.ACTION_PROBED,
    Kind.ACTION_LEFT,
)
_SIGNED = ("signed at (UTC)", "by", "with", "key", "reason")


class Response(msgspec.Struct, frozen=True):
    """One proposal with everything that followed, in order."""

    created: Cited
    way: tuple[Cited, ...]

    @property
    def number(self) -> str:
        """Its number: the index of its entry."""
        return self.created.entry.subject

    @property
    def undoes(self) -> str:
        """Number of the action that it takes back, "" for none."""
        return str(self.created.entry.body.get("undoes", ""))

    def last(self, kind: Kind) -> Cited | None:
        """The newest entry of a kind."""
        return next((one for one in reversed(self.way) if one.entry.kind is kind), None)


def responses(file: CaseFile) -> list[Response]:
    """Every response of the case, the oldest first."""
    found = file.mine(*WAY)
    created = [one for one in found if one.entry.kind is Kind.PROPOSAL_CREATED]
    return [Response(one, tuple(w for w in found if w.entry.subject == one.entry.subject)) for one in created]


def short(file: CaseFile) -> Iterator[Claim]:
    """One sentence for each response: what came of it."""
    found = responses(file)
    if not found:
        yield absent("No entry shows that a response was proposed.")
    for one in found:
        back = next((other for other in reversed(found) if other.undoes == one.number), None)
        more = f"; number {back.number} takes it back" if back else ""
        cites = (*indices(one.way), *((back.created.index,) if back else ()))
        yield Claim(f"{_named(file, one)}: {_came_of(one)}{more}.", cites)


def _named(file: CaseFile, one: Response) -> str:
    body = one.created.entry.body
    targets = ", ".join(file.names.of(target) for target in body["targets"]) or "no system of the site"
    return f"Response {body['action']} on {targets} (number {one.number})"


def _came_of(one: Response) -> str:
    given = [w for w in one.way if w.entry.kind is Kind.PROPOSAL_APPROVED]
    if probed := one.last(Kind.ACTION_PROBED):
        signed = f"approved by {numbers(len(given), 'person', 'people')}"
        seen = EFFECTS.get(probed.entry.body["effect"], probed.entry.body["effect"])
        return f"{signed}, carried out, and probed at {when(probed.entry)}: {seen}"
    endings = {
        Kind.ACTION_LEFT: "approved, not completed: left to a person",
        Kind.ACTION_STARTED: "started; no entry shows a probe yet",
        Kind.ACTION_INTENDED: "intent written; no entry shows that it was started",
        Kind.PROPOSAL_DENIED: "refused by a person",
        Kind.PROPOSAL_EXPIRED: "expired before enough people approved",
        Kind.PROPOSAL_OUTDATED: "ended, since a target had changed",
    }
    for kind, words_of in endings.items():
        if one.last(kind) is not None:
            return words_of
    if given:
        stands = given[-1].entry.body["standing"]
        return "approved; no entry shows that it was carried out" if stands == "approved" else "waits for more people"
    return "proposed; no entry shows an answer"


def claims(file: CaseFile) -> Iterator[Claim]:
    """Everything about every response."""
    found = responses(file)
    if not found:
        yield absent("No entry shows that a response was proposed.")
    for one in found:
        yield from _response(file, one)


def _response(file: CaseFile, one: Response) -> Iterator[Claim]:
    body = one.created.entry.body
    undo = f" It takes back action {one.undoes}." if one.undoes else ""
    need = f"It needed {numbers(body['people'], 'person', 'people')} to approve"
    text = (
        f"Proposed by {file.names.actor(one.created.entry.actor)} at {when(one.created.entry)}.{undo} "
        f"{need} before {words.stamp(body['expires'])}. People approve the SHA-256 of its exact bytes: {body['digest']}."
    )
    yield Claim(text, (one.created.index,), lead=_named(file, one))
    yield from _planned(file, one.created)
    yield from _approvals(file, one)
    yield from _done(file, one)


def _planned(file: CaseFile, created: Cited) -> Iterator[Claim]:
    """What it would do, from the canonical bytes; only where they are in the pack."""
    piece = file.pieces.get(created.entry.body["blob"])
    if piece is None or not piece.plain:
        return
    said: dict[str, Any] = msgspec.json.decode(piece.plain[0][1])
    rows = [
        ("would do", said["plan"]),
        ("to take it back", said["undo"]),
        *(("would hit", one) for one in said["blast_radius"]),
    ]
    lines = tuple(Line((label, str(value))) for label, value in rows)
    text = "What people had before them when they signed, from the proposal’s canonical bytes."
    yield Claim(text, (created.index,), (piece.digest,), columns=("", "as proposed"), lines=lines)


def _approvals(file: CaseFile, one: Response) -> Iterator[Claim]:
    given = [w for w in one.way if w.entry.kind is Kind.PROPOSAL_APPROVED]
    if not given:
        yield absent(f"No entry shows that anybody approved number {one.number}.")
        return
    rows = tuple(_signature(file, w) for w in given)
    asked = one.created.entry.actor.id
    others = sum(w.entry.actor.id != asked for w in given)
    who = "Nobody approved what they had asked for themselves." if others == len(given) else "One of them had asked for it."
    text = (
        f"{numbers(len(given), 'person', 'people')} approved number {one.number}. {who} The whole signature "
        "stands in each entry, the "
        "public key in the entry that enrolled it; VERIFY.md says how to check one against the other."
    )
    enrolled = _enrolments(file, given)
    yield Claim(text, indices(enrolled), columns=_SIGNED, lines=rows)
    if len(enrolled) < len({w.entry.body["fingerprint"] for w in given}):
        yield absent("Of at least one of these keys no entry of its enrolment was found.")


def _enrolments(file: CaseFile, given: Sequence[Cited]) -> list[Cited]:
    used = {w.entry.body["fingerprint"] for w in given}
    return [one for one in file.of(Kind.PERSON_ENROLLED, Kind.PASSKEY_ENROLLED) if key_of(one) in used]


def key_of(one: Cited) -> str:
    """How approvals name the key that this entry enrolled."""
    body = one.entry.body
    return str(body.get("fingerprint") or "passkey:" + body.get("credential", ""))


def _signature(file: CaseFile, one: Cited) -> Line:
    body = one.entry.body
    how = "passkey (WebAuthn)" if "webauthn" in body else "OpenSSH signature"
    cells = (when(one.entry), file.names.actor(one.entry.actor), how, body["fingerprint"], body["reason"])
    return Line(cells, (one.index,))


def _done(file: CaseFile, one: Response) -> Iterator[Claim]:
    """Intent, start, probe, or why it went no further."""
    kinds = {Kind.PROPOSAL_CREATED, Kind.PROPOSAL_APPROVED}
    after = [w for w in one.way if w.entry.kind not in kinds]
    if not after:
        yield absent(f"No entry shows that number {one.number} was carried out.")
        return
    text = f"What was done about number {one.number}, and what the target answered."
    yield Claim(text, columns=STEPS, lines=steps(after, file.names))
    order = _order(one)
    if order is not None:
        yield order
    for w in after:
        yield from _seen(file, w)


def _order(one: Response) -> Claim | None:
    """That the intent was covered by a checkpoint before the start: entry numbers say so."""
    intent, start = one.last(Kind.ACTION_INTENDED), one.last(Kind.ACTION_STARTED)
    if intent is None or start is None or start.entry.body["sealed"] <= intent.index:
        return None
    sealed = start.entry.body["sealed"]
    text = (
        f"The intent is entry {intent.index:,}. The start, entry {start.index:,}, says that a checkpoint of "
        f"{sealed:,} entries "
        "covered it before the target was touched."
    )
    return Claim(text, (intent.index, start.index))


def _seen(file: CaseFile, one: Cited) -> Iterator[Claim]:
    """The words of a probe, where they are in the pack."""
    piece = file.pieces.get(one.entry.body.get("blob", ""))
    if piece is not None and piece.plain:
        said = piece.plain[0][1].decode("utf-8", errors="replace")
        what = "The probe found" if one.entry.kind is Kind.ACTION_PROBED else "Why it went no further"
        yield Claim(f"{what}: {said}", (one.index,), (piece.digest,))
