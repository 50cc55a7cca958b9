"""Replay: recompute every verdict and decision from its record and compare the bytes with the ledger's (P8), and every
review draw from its week's seed, which must be the one that was committed."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from sqlalchemy import Connection, select

from countersign.autonomy import review
from countersign.errors import CountersignError, VerificationError
from countersign.ledger import bodies
from countersign.ledger.canonical import encode
from countersign.model.entries import Entry, Kind
from countersign.model.records import FindingRecord, Records
from countersign.policy.engine import PolicyEngine
from countersign.policy.gate import Gate, GateInput, default_gate
from countersign.store import erased, evidence, ledger, policies
from countersign.store import tables as t
from countersign.triage.model import Model, probability_ppm
from countersign.triage.text import artefacts

PROBLEMS_MAX = 100
_record = msgspec.msgpack.Decoder(FindingRecord)
_gate = msgspec.msgpack.Decoder(GateInput)


class Problem(msgspec.Struct, frozen=True):
    """An entry that did not replay, and what differs."""

    index: int
    what: str


class Result(msgspec.Struct, frozen=True):
    """How many decisions were replayed, and how many gave the same bytes. erased: how many gave others because a person was
    erased from what they rest on."""

    replayed: int
    same: int
    problems: tuple[Problem, ...]
    erased: int = 0


def replay(conn: Connection, ident: str = "", week: str = "") -> Result:
    """Replay all decisions, those of one finding or case, or the closes of one week (``2025-W07``) with their draws. Raises
    VerificationError when there is nothing of that name."""
    replayer = _Replayer(conn)
    replayed = same = gone = 0
    problems: list[Problem] = []
    for index, entry in ledger.stream(conn):
        if entry.kind is not Kind.FINDING_DECIDED or (ident and ident not in {entry.subject, entry.body["case"]}):
            continue
        if week and week != (entry.body.get("draw") or [""])[0]:
            continue
        replayed += 1
        what = replayer.differs(entry)
        same += not what
        if what and replayer.erased(entry):
            gone += 1
            continue
        if what and len(problems) < PROBLEMS_MAX:
            problems.append(Problem(index, what))
    if (ident or week) and not replayed:
        raise VerificationError("no decision in the ledger is about it", where=ident or week, todo="check the id")
    return Result(replayed, same, tuple(problems), gone)


def _seeds(conn: Connection) -> dict[str, bytes]:
    """Seed of each week that agrees with its commitment: from the ledger once opened, else the site's own secret."""
    found = {row.week: bytes(row.seed) for row in conn.execute(select(t.seeds.c.week, t.seeds.c.seed))}
    found |= {e.subject: bytes.fromhex(e.body["seed"]) for _, e in ledger.stream_kind(conn, Kind.REVIEW_OPENED)}
    committed = {e.subject: e.body["commitment"] for _, e in ledger.stream_kind(conn, Kind.REVIEW_COMMITTED)}
    return {week: seed for week, seed in found.items() if review.commitment(seed, week) == committed.get(week)}


class _Replayer:
    def __init__(self, conn: Connection) -> None:
        self._conn = conn
        self._models: dict[str, Model] = {}
        self._gates: dict[str, Gate] = {}
        self._seeds = _seeds(conn)
        self._blob: tuple[str, Records] = ("", Records([], [], []))
        self._pseudonyms: Mapping[str, str] = {
            row.value: row.pseudonym for row in conn.execute(select(t.pseudonyms.c.value, t.pseudonyms.c.pseudonym))
        }

    def differs(self, entry: Entry) -> str:
        """What differs between the entry and its recomputation, "" when nothing does."""
        try:
            record = self._record(entry.body["record"])
            again = self._again(record, entry)
        except CountersignError as error:
            return str(error)
        drawn = self._draw(entry)
        if encode(again) == encode(entry):
            return drawn
        fields = [name for name in entry.body if entry.body[name] != again.body.get(name)]
        return ", ".join(fields) or "body"

    def erased(self, entry: Entry) -> bool:
        """Whether a person was erased from what the decision rests on."""
        return erased.names_erased(self._conn, **entry.body["record"])

    def _draw(self, entry: Entry) -> str:
        """What is wrong with a close's draw, "" when it follows from the committed seed."""
        draw = entry.body.get("draw")
        if not draw:
            return ""
        week, q_ppm, _, reviewed, _ = draw
        if week not in self._seeds:
            return "draw: its week has no seed that was committed"
        follows = review.draw(self._seeds[week], week, entry.subject, q_ppm).reviewed == bool(reviewed)
        return "" if follows else "draw: does not follow from the week's seed"

    def _again(self, record: FindingRecord, entry: Entry) -> Entry:
        model = self._model(record.verdict.model)
        given = _gate.decode(record.gate)
        missing = bool(given.sources_unavailable)
        texts = artefacts(record.finding)
        verdict = model.verdict(record.features, novelty_ppm=given.novelty_ppm, missing=missing, texts=texts)
        asked = msgspec.structs.replace(given, label=verdict.label, probability_ppm=probability_ppm(verdict))
        fresh = msgspec.structs.replace(record, verdict=verdict, decision=self._gate(entry.body["policy"]).decide(asked))
        where = entry.body["record"]
        body = bodies.finding_decided(
            fresh,
            blob=where["blob"],
            place=where["place"],
            policy=entry.body["policy"],
            pseudonyms=self._pseudonyms,
            draw=entry.body.get("draw", ()),
        )
        return msgspec.structs.replace(entry, body=body)

    def _record(self, where: Mapping[str, int | str]) -> FindingRecord:
        blob = str(where["blob"])
        if self._blob[0] != blob:
            self._blob = (blob, evidence.get(self._conn, blob, Records))
        return _record.decode(self._blob[1].records[int(where["place"])])

    def _gate(self, ident: str) -> Gate:
        if ident not in self._gates:
            texts = policies.of_decision(self._conn, ident)
            same = texts is None or texts.hash == default_gate().engine.hash
            self._gates[ident] = default_gate() if texts is None or same else Gate(PolicyEngine(texts))
        return self._gates[ident]

    def _model(self, ident: str) -> Model:
        if ident not in self._models:
            for _, entry in ledger.stream_kind(self._conn, Kind.MODEL_ACTIVATED):
                if entry.subject == ident:
                    data = evidence.get(self._conn, entry.body["blob"], bytes)
                    self._models[ident] = Model.from_bytes(data)
            if ident not in self._models:
                raise VerificationError("the model that scored it is not in the ledger", where=ident[:16])
        return self._models[ident]
