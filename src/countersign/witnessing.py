"""Asks the site's witnesses to cosign its checkpoints, after these are published: nothing waits for it but actions.

One process asks at a time. What fails is tried again with growing pauses, is logged, and shows in `countersign ledger
status`. A witness that remembers more of this log than there is, or another one, raises the alarm: with a quorum no action
runs until it cosigns again, whatever the others say.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import msgspec
import structlog

from countersign.bootstrap import Site
from countersign.errors import CountersignError, EnvironmentFault, VerificationError
from countersign.ledger.cosignature import check_quorum, cosignatures, with_signatures
from countersign.ledger.merkle import consistency_proof
from countersign.ledger.note import Checkpoint, Signature, VerifierKey, open_checkpoint
from countersign.ledger.witness import (
    CONFLICT,
    FORBIDDEN,
    INCONSISTENT,
    NOT_FOUND,
    SIZE_TYPE,
    Request,
    parse_lines,
    parse_size,
)
from countersign.model.notices import WITNESS_ALARM, WITNESS_WELL
from countersign.rounds import Rounds
from countersign.store import keys, outbox, witnesses
from countersign.store.engine import reading, writing
from countersign.store.solo import alone
from countersign.store.witnesses import Named, State
from countersign.witness.client import Answer, post

log = structlog.get_logger()
EVERY_S = 2.0
AGAIN_MS = 10 * 60_000
"""A witness that has cosigned the newest checkpoint is asked again after this time, and by each process once when it begins:
only its answer shows that what stands here, perhaps restored from a backup, is still the newest."""
TIMEOUT_S = 5.0
"""How long one witness may take for its answer."""
STEPS_MAX = 3
"""Requests to one witness in a round: it may name the size from which the proof is to lead."""
SAYS = {
    NOT_FOUND: "does not know this log: have it told the log's key",
    FORBIDDEN: "does not trust this log's key: have it told the one in log.vkey",
}
Post = Callable[[str, bytes, float], Answer]


class Seen(NamedTuple):
    """One witness. behind: entries sealed that it has not cosigned. error, alarm: "" when all is well."""

    name: str
    vkey: str
    url: str
    size: int
    behind: int
    cosigned_ms: int
    tries: int
    next_ms: int
    error: str
    alarm: str


class Standing(msgspec.Struct, frozen=True):
    """How the log stands with its witnesses. sealed: size of the newest checkpoint; covered: of the newest that has the
    quorum (without one: that any witness cosigned). why: what keeps actions waiting, "" when nothing does."""

    quorum: int
    sealed: int
    covered: int
    why: str
    witnesses: tuple[Seen, ...]


class _Outcome(NamedTuple):
    """Of asking one witness: its signature, or what went wrong."""

    signature: Signature | None = None
    error: str = ""
    alarm: str = ""


class Witnesses:
    """The witnesses of a site, asked on demand. send: how one is reached."""

    def __init__(self, site: Site, send: Post = post) -> None:
        self._site = site
        self._send = send
        self._named = site.witnesses
        self._keys = [one.key for one in self._named]
        self._met = False

    def ask(self, *, at_once: bool = False) -> None:
        """Have the newest checkpoint cosigned by those that have not yet, or whose answer is old. at_once: by all, whatever
        their pauses. Returns without doing anything while somebody else asks."""
        if not self._named:
            return
        with alone(self._site.engine, self._site.data, "witnesses") as mine:
            signed = self._site.tiles.checkpoint() if mine else None
            if signed is not None:
                self._round(signed, at_once)

    def covered(self) -> Checkpoint | None:
        """The newest checkpoint that the quorum cosigned; None when there is none, or while a witness raises the alarm."""
        signed = self._site.tiles.cosigned()
        if signed is None or any(state.alarm for state in self._states()):
            return None
        try:
            check_quorum(signed, self._keys, self._site.config.ledger.quorum)
            return self._open(signed, keys.retired(self._site.data))  # it may be of before the log's key was rotated
        except VerificationError:
            return None

    # --- one round ------------------------------------------------------------------------------------------------

    def _round(self, signed: bytes, at_once: bool) -> None:
        checkpoint, now_ms = self._open(signed), self._site.clock.now_ms()
        have = {one.by for one in cosignatures(signed, self._keys)}
        everyone = at_once or not self._met
        asked = []
        for one, state in zip(self._named, self._states(), strict=True):
            settled = one.key in have and not (everyone or state.alarm) and state.asked_ms > now_ms - AGAIN_MS
            if at_once or not (settled or state.next_ms > now_ms):
                asked.append((one, state))
        self._met = True
        if not asked:
            return
        with ThreadPoolExecutor(len(asked), thread_name_prefix="witness") as pool:
            outcomes = list(pool.map(lambda pair: self._asked(pair[0], pair[1], signed, checkpoint), asked))
        if signatures := [each.signature for each in outcomes if each.signature is not None]:
            self._site.sealer.cosign(signed, signatures, self._enough)
        self._keep(asked, outcomes, checkpoint.size)

    def _enough(self, signed: bytes) -> bool:
        try:
            check_quorum(signed, self._keys, max(1, self._site.config.ledger.quorum))
        except VerificationError:
            return False
        return True

    def _keep(self, asked: Sequence[tuple[Named, State]], outcomes: Sequence[_Outcome], size: int) -> None:
        now_ms = self._site.clock.now_ms()
        found = []
        for (one, state), outcome in zip(asked, outcomes, strict=True):
            if outcome.alarm:
                log.critical("WITNESS REFUSES THIS LOG", witness=one.name, why=outcome.alarm)
            elif outcome.error:
                log.warning("witness", witness=one.name, why=outcome.error, tries=state.tries + 1)
            well = outcome.signature is not None
            found.append(state.cosigned(size, now_ms) if well else state.failed(outcome.error, outcome.alarm, now_ms))
        with writing(self._site.engine) as conn:
            witnesses.keep(conn, found)
            for event, names in _turns(asked, found):
                outbox.tell(conn, event, size, ", ".join(names), "", now_ms)

    def _asked(self, one: Named, state: State, signed: bytes, checkpoint: Checkpoint) -> _Outcome:
        try:
            return self._talk(one, state.size, signed, checkpoint)
        except CountersignError as error:
            return _Outcome(error=error.what)
        except Exception as error:  # one witness spoils no other's answer
            log.exception("witness", witness=one.name)
            return _Outcome(error=type(error).__name__)

    def _talk(self, one: Named, known: int, signed: bytes, checkpoint: Checkpoint) -> _Outcome:
        """known: size that it cosigned last, as far as is known here."""
        old = known if known <= checkpoint.size else 0
        for _ in range(STEPS_MAX):
            proof = tuple(consistency_proof(old, checkpoint.size, self._site.tiles))
            answer = self._send(one.url, Request(old, proof, signed).body, TIMEOUT_S)
            size = _named_size(answer)
            if size is None or size == old:
                return self._settled(one, answer, signed, checkpoint, old)
            if size > checkpoint.size:
                return self._ahead(one, size)
            if size < known <= checkpoint.size:
                raise EnvironmentFault(f"has forgotten that it cosigned {known:,} entries: have it given a new key")
            old = size
        raise EnvironmentFault("names another size each time")

    def _settled(self, one: Named, answer: Answer, signed: bytes, checkpoint: Checkpoint, old: int) -> _Outcome:
        if answer.status == 200:
            return _Outcome(_signature(one, answer.body, signed))
        if answer.status == INCONSISTENT or (answer.status == CONFLICT and old == checkpoint.size):  # 409: before 1.1.0
            what = f"{one.name} has cosigned another log of {old:,} entries than the first {old:,} of this one"
            alarm = f"{what} (of {checkpoint.size:,}): this log was forked or rewritten"
            return _Outcome(error=f"refused ({answer.status})", alarm=alarm)
        raise EnvironmentFault(SAYS.get(answer.status, f"answered {answer.status}"))

    def _ahead(self, one: Named, size: int) -> _Outcome:
        """It has cosigned more than it was asked about: another process of this site was faster, or something is gone."""
        newest = self._site.tiles.checkpoint()
        have = self._open(newest).size if newest is not None else 0
        if have >= size:
            return _Outcome(error="was asked about a newer checkpoint meanwhile")
        what = f"{one.name} has cosigned {size:,} entries of this log, there are only {have:,}"
        return _Outcome(error="refused (409)", alarm=f"{what}: it was rolled back, or a copy of this site goes on elsewhere")

    def _open(self, signed: bytes, older: Sequence[VerifierKey] = ()) -> Checkpoint:
        return open_checkpoint(signed, [self._site.log_key.vkey, *older])

    def _states(self) -> tuple[State, ...]:
        with reading(self._site.engine) as conn:
            return witnesses.states(conn, self._named)


def _turns(asked: Sequence[tuple[Named, State]], found: Sequence[State]) -> list[tuple[str, list[str]]]:
    """What people are told of: witnesses that began to raise the alarm, and those that take it back."""
    pairs = list(zip(asked, found, strict=True))
    raised = [one.name for (one, was), now in pairs if now.alarm and not was.alarm]
    over = [one.name for (one, was), now in pairs if was.alarm and not now.alarm]
    return [turn for turn in ((WITNESS_ALARM, raised), (WITNESS_WELL, over)) if turn[1]]


def _named_size(answer: Answer) -> int | None:
    """The size that a 409 names as the one to lead from."""
    if answer.status != CONFLICT or answer.kind != SIZE_TYPE or not answer.body.endswith(b"\n"):
        return None
    return parse_size(answer.body[:-1].decode("ascii", "replace"))


def _signature(one: Named, body: bytes, signed: bytes) -> Signature:
    """The witness's own line of an answer, checked; lines of other keys are passed over. Raises VerificationError."""
    mine = [line for line in parse_lines(body) if (line.name, line.key_id) == (one.key.name, one.key.key_id)]
    if not mine:
        raise VerificationError("answered without a cosignature of its key: check the configured vkey")
    cosignatures(with_signatures(signed, mine), [one.key])
    return mine[-1]


# --- how it stands ----------------------------------------------------------------------------------------------------


def status(site: Site) -> Standing:
    """How the log stands with its witnesses. Raises VerificationError where the checkpoint does not hold."""
    asking = Witnesses(site)
    sealed, covered = site.sealer.checkpoint(), asking.covered()
    sizes = sealed.size if sealed else 0, covered.size if covered else 0
    with reading(site.engine) as conn:
        states = witnesses.states(conn, site.witnesses)
    seen = tuple(_seen(one, state, sizes[0]) for one, state in zip(site.witnesses, states, strict=True))
    quorum = site.config.ledger.quorum
    missing = quorum > 0 and sizes[1] < sizes[0]
    return Standing(quorum, *sizes, _why(quorum, seen, sizes[0]) if missing else "", seen)


def in_words(site: Site) -> str:
    """The same in one line."""
    found = status(site)
    if not found.witnesses:
        return "none are named"
    return found.why or f"{len(found.witnesses)} named, quorum {found.quorum}, {found.covered} entries cosigned"


def why_waits(site: Site, intent: int) -> str:
    """What keeps an action whose intent is this entry from running; "" when its intent is covered as configured."""
    try:
        found = status(site)
    except VerificationError as error:
        return str(error)
    if not found.quorum or found.covered > intent:
        return ""
    return _why(found.quorum, found.witnesses, intent + 1)


def _why(quorum: int, seen: Sequence[Seen], size: int) -> str:
    """size: entries that are to be covered."""
    if alarms := [one.alarm for one in seen if one.alarm]:
        return "; ".join(alarms)
    have = sum(one.size >= size for one in seen)
    words = [f"{one.name} {one.error or 'has not answered yet'}" for one in seen if one.size < size]
    return f"{have} of {quorum} cosignatures that are needed" + (f" ({'; '.join(words)})" if words else "")


def _seen(one: Named, state: State, sealed: int) -> Seen:
    return Seen(
        name=one.name,
        vkey=str(one.key),
        url=one.url,
        size=state.size,
        behind=max(0, sealed - state.size),
        cosigned_ms=state.cosigned_ms,
        tries=state.tries,
        next_ms=state.next_ms,
        error=state.error,
        alarm=state.alarm,
    )


class Witnessing(Rounds):
    """Asks beside a service, so that a witness which does not answer holds no alert up."""

    def __init__(self, site: Site) -> None:
        super().__init__("witnesses", EVERY_S)
        self._witnesses = Witnesses(site)

    def stop(self) -> None:
        """End after one last round, so that what is left behind is cosigned where that is possible."""
        super().stop()
        self.attempt()

    def once(self) -> None:
        """Ask those that are due."""
        self._witnesses.ask()
