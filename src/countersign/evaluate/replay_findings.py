"""Decisions of findings, made again from their records: verdict, gate and draw, and the whole policy set's own answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import msgspec
from sqlalchemy import Connection, select

from countersign.autonomy import review
from countersign.errors import NotFoundError, VerificationError
from countersign.evaluate.replay_asked import Asked
from countersign.evaluate.replay_past import FAULTS, Engines, Unrecorded
from countersign.ledger import bodies, decisions
from countersign.ledger.canonical import decode, encode
from countersign.model.decisions import Action
from countersign.model.entries import Entry, Kind
from countersign.model.records import FindingRecord, Records
from countersign.policy.facts import GateInput, request
from countersign.policy.gate import Gate, default_gate
from countersign.store import erased, evidence, key_table
from countersign.store import tables as t
from countersign.triage.model import Model, probability_ppm
from countersign.triage.text import artefacts

_record = msgspec.msgpack.Decoder(FindingRecord)
_given = msgspec.msgpack.Decoder(GateInput)


def pseudonyms(conn: Connection) -> Mapping[str, str]:
    """Entity key → pseudonym, as far as they were not erased."""
    return {row.value: row.pseudonym for row in conn.execute(select(t.pseudonyms.c.value, t.pseudonyms.c.pseudonym))}


def readable(conn: Connection, kind: Kind) -> Iterator[Entry]:
    """Entries of a kind of which there are few; one that cannot be read is named where it is replayed."""
    for data in conn.execute(
        select(t.entries.c.bytes).where(t.entries.c.kind == kind.value).order_by(t.entries.c.idx)
    ).scalars():
        with suppress(*FAULTS):
            yield decode(data)


def seeds(conn: Connection) -> dict[str, bytes]:
    """Seed of each week that agrees with its commitment: from the ledger once opened, else the site's own secret."""
    found = {row.week: bytes(row.seed) for row in conn.execute(select(t.seeds.c.week, t.seeds.c.seed))}
    for entry in readable(conn, Kind.REVIEW_OPENED):
        with suppress(*FAULTS):
            found[entry.subject] = bytes.fromhex(entry.body["seed"])
    committed = {entry.subject: entry.body.get("commitment") for entry in readable(conn, Kind.REVIEW_COMMITTED)}
    return {week: seed for week, seed in found.items() if opens(seed, week, committed.get(week))}


def opens(seed: bytes, week: str, commitment: object) -> bool:
    """Whether a seed is the one that was committed to."""
    return len(seed) == review.SEED_BYTES and review.commitment(seed, week) == commitment


class Findings:
    """Everything that decisions rest on besides their records is read once: models, sets, seeds, pseudonyms."""

    def __init__(self, conn: Connection) -> None:
        self._conn = conn
        self._models: dict[str, Model] = {}
        self._gates: dict[str, Gate] = {}
        self._blob: tuple[str, Records] = ("", Records([], [], []))
        self._engines = Engines(conn)
        self._activated = {entry.subject: entry for entry in readable(conn, Kind.POLICY_ACTIVATED)}
        self._learned = {entry.subject: entry for entry in readable(conn, Kind.MODEL_ACTIVATED)}
        self._seeds = seeds(conn)
        self._pseudonyms = pseudonyms(conn)
        self._gone = key_table.erased(conn)

    def differs(self, entry: Entry) -> str:
        """What differs between the entry and its recomputation, "" when nothing does. Raises CountersignError, or
        Unrecorded where the record was erased."""
        record = self._record(entry.body["record"])
        again = self._again(record, entry)
        made = encode(again)
        if made == encode(entry):
            return self._answers_otherwise(record, entry)
        body = decode(made).body
        fields = [name for name in entry.body if entry.body[name] != body.get(name)]
        if erased.names_erased(self._conn, **entry.body["record"]):
            raise Unrecorded("a person was erased from its record")
        if fields == ["links"] and self._erased(entry, body):
            raise Unrecorded("the pseudonym of a person whom it names was erased")
        return ", ".join(fields) or "body"

    def draw(self, entry: Entry) -> str:
        """What is wrong with a close's draw, "" when it follows from the committed seed."""
        week, q_ppm, _, reviewed, _ = entry.body["draw"]
        if week not in self._seeds:
            return "draw: its week has no seed that was committed"
        follows = review.draw(self._seeds[week], week, entry.subject, q_ppm).reviewed == bool(reviewed)
        return "" if follows else "draw: does not follow from the week's seed"

    def asked(self, index: int, entry: Entry) -> Asked:
        """What the policy was asked, and what the ledger says that it answered. Raises as ``differs`` does."""
        given = _given.decode(self._record(entry.body["record"]).gate)
        return self._asked(given, index, entry)

    def gate(self, name: str) -> Gate:
        """The gate that decided under this name. Raises CountersignError."""
        if name not in self._gates:
            if name not in self._activated:
                raise NotFoundError("the policy that decided is not in the ledger", where=name[:40])
            engine = self._engines.of(self._activated[name])
            self._gates[name] = default_gate() if engine is default_gate().engine else Gate(engine)
        return self._gates[name]

    def _asked(self, given: GateInput, index: int, entry: Entry) -> Asked:
        name = entry.body["policy"]
        closed = entry.body["action"] == Action.CLOSE.value
        return Asked(index, entry.subject, name, self.gate(name).engine.hash, request(given), closed)

    def _answers_otherwise(self, record: FindingRecord, entry: Entry) -> str:
        """The clauses, each asked by itself, gave this decision; the set as a whole must answer the same."""
        asked = self._asked(_given.decode(record.gate), -1, entry)
        return asked.differs(self.gate(entry.body["policy"]).engine)

    def _again(self, record: FindingRecord, entry: Entry) -> Entry:
        model = self._model(record.verdict.model)
        given = _given.decode(record.gate)
        missing = bool(given.sources_unavailable)
        texts = artefacts(record.finding)
        verdict = model.verdict(record.features, novelty_ppm=given.novelty_ppm, missing=missing, texts=texts)
        asked = msgspec.structs.replace(given, label=verdict.label, probability_ppm=probability_ppm(verdict))
        fresh = msgspec.structs.replace(record, verdict=verdict, decision=self.gate(entry.body["policy"]).decide(asked))
        where = entry.body["record"]
        body = bodies.decision(
            fresh,
            blob=where["blob"],
            place=where["place"],
            policy=entry.body["policy"],
            pseudonyms=self._pseudonyms,
            draw=entry.body.get("draw", ()),
        )
        return msgspec.structs.replace(entry, body=msgspec.json.decode(decisions.write(body)))

    def _record(self, where: Mapping[str, Any]) -> FindingRecord:
        blob = str(where["blob"])
        if self._blob[0] != blob:
            try:
                self._blob = (blob, evidence.get(self._conn, blob, Records))
            except NotFoundError:
                raise Unrecorded("its record is not in the evidence store") from None
        return _record.decode(self._blob[1].records[int(where["place"])])

    def _erased(self, entry: Entry, again: Mapping[str, Any]) -> bool:
        """Whether the links differ in nothing but pseudonyms that an erasure took."""
        pairs = list(zip(entry.body["links"], again["links"], strict=False))
        same = len(pairs) == len(entry.body["links"]) == len(again["links"])
        return same and all(one == two or (list(one[:2]) == list(two[:2]) and one[2] in self._gone) for one, two in pairs)

    def _model(self, ident: str) -> Model:
        if ident not in self._models:
            if ident not in self._learned:
                raise VerificationError("the model that scored it is not in the ledger", where=ident[:16])
            data = evidence.get(self._conn, self._learned[ident].body["blob"], bytes)
            self._models[ident] = Model.from_bytes(data, where=f"model {ident[:16]}")
        return self._models[ident]
