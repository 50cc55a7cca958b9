"""The only place that knows concrete classes: it opens a data directory and puts the rooms together."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, cast

import msgspec
import structlog
from sqlalchemy import Connection, Engine

from countersign import __version__
from countersign.authority.agents import AGENTS, Operation
from countersign.authority.grant import Grant
from countersign.authority.lease import VerifiedLease
from countersign.autonomy.scopes import DEFAULT_SCOPES, Scope
from countersign.config import Config, ScopeName, data_dir, load
from countersign.enrich import Enricher, SiteData, make_enricher
from countersign.enrich.facts import surroundings
from countersign.errors import CountersignError, EnvironmentFault
from countersign.flow import Batch, Judged
from countersign.judge import Judge
from countersign.model.alerts import Severity
from countersign.model.entities import Entity
from countersign.model.entries import Kind
from countersign.model.evidence import Evidence
from countersign.model.findings import Finding
from countersign.policy import requests
from countersign.policy.engine import PolicyEngine
from countersign.policy.gate import Gate, default_gate
from countersign.policy.requests import Leased
from countersign.policy.shipped import default_engine, default_texts
from countersign.policy.texts import PolicyTexts
from countersign.ports import Clock
from countersign.sources import make_source
from countersign.store import (
    agents,
    inventory,
    keys,
    ledger,
    migrate,
    models,
    opening,
    policies,
    rotation,
    settling,
    switches,
    witnesses,
)
from countersign.store.autonomy import InForce
from countersign.store.commands import Commands
from countersign.store.engine import make_engine, reading, writing
from countersign.store.gear import Tools
from countersign.store.hotpath import HotPath
from countersign.store.leases import Leases, public_of
from countersign.store.sealer import Sealer
from countersign.store.sealing import Sealing
from countersign.store.tiles import TileDir
from countersign.store.witnesses import Heard
from countersign.triage.model import Model

log = structlog.get_logger()

ROLES_MAX = 50_000
AGENT_KEY = "keys/agents.key"
SESSION_KEY = "keys/session.key"
KEY_BYTES = 32


class SystemClock:
    """The machine's clock."""

    def now_ms(self) -> int:
        """Milliseconds since the epoch, UTC."""
        return time.time_ns() // 1_000_000


@dataclass(eq=False)
class Site:
    """One opened data directory: configuration, database, keys, and the rooms built on them. model: the one in force,
    which ``follow`` keeps up with activations, whoever made them, as it does the policy; followed: index of the entry that
    each comes from."""

    data: Path
    config: Config
    engine: Engine
    log_key: keys.LiveKey
    agent_key: bytes
    clock: Clock
    model: Model
    gate: Gate = field(default_factory=default_gate)
    followed: tuple[int, int] = (-2, -2)

    @cached_property
    def scopes(self) -> dict[str, Scope]:
        """The scopes with the limits that the configuration sets."""
        return {name: _limited(scope, self.config) for name, scope in DEFAULT_SCOPES.items()}

    @property
    def in_force(self) -> InForce:
        """Model and policy that decide at present, another process's activation included."""
        with reading(self.engine) as conn:
            self.follow(conn)
        return self.deciding

    @property
    def policy(self) -> PolicyEngine:
        """The engine of the policy set in force, as of the last ``follow``."""
        return self.gate.engine

    @property
    def deciding(self) -> InForce:
        """The same as of the last ``follow``."""
        return InForce(self.model.id, self.policy_name(self.policy.texts), self.model.edges)

    def policy_name(self, texts: PolicyTexts) -> str:
        """Name of a policy set in decisions: its hash, and what the scopes of this site allow."""
        return policy_id(self.scopes, texts)

    def follow(self, conn: Connection) -> None:
        """Take the model and the policy that were activated last. A model that cannot be read stops no alert: the present
        one goes on, and the next start records which takes its place."""
        index = (ledger.last_index(conn, Kind.MODEL_ACTIVATED), ledger.last_index(conn, Kind.POLICY_ACTIVATED))
        if index == self.followed:
            return
        newest = models.newest(conn)
        try:
            if newest is not None and newest.subject != self.model.id:
                self.model = models.load(conn, newest)
        except CountersignError as error:
            log.error("the activated model cannot be read; the present one goes on", why=str(error))
        self.take_policy(conn)
        self.followed = index

    def take_policy(self, conn: Connection) -> str:
        """Decide by the set in force from here on; returns why it is not the one that people chose, if so."""
        texts, why = policies.in_force(conn, default_texts())
        if why:
            log.error("the activated policy cannot be read; the shipped one decides", why=why)
        if texts.hash != self.policy.hash:
            self.gate = default_gate() if texts.hash == default_engine().hash else Gate(PolicyEngine(texts))
        return why

    @cached_property
    def tiles(self) -> TileDir:
        """The published log."""
        return TileDir(self.data / "tlog")

    @cached_property
    def sealer(self) -> Sealer:
        """Makes tiles and checkpoints out of committed entries."""
        return Sealer(self.engine, self.tiles, self.log_key)

    @cached_property
    def witnesses(self) -> tuple[witnesses.Named, ...]:
        """Who cosigns checkpoints. Raises ConfigError."""
        return witnesses.configured(self.config.ledger, self.log_key.public_key)

    def heard(self, conn: Connection) -> Heard:
        """What people must hear of the witnesses."""
        return witnesses.heard(conn, self.witnesses, self.config.ledger.quorum)

    @cached_property
    def sealing(self) -> Sealing:
        """Whether committed entries are sealed in time; without that nothing is closed and no action starts."""
        chosen = self.config.ledger
        limit_ms = max(chosen.seal_limit_ms, 2 * chosen.seal_ms)
        return Sealing(self.engine, self.clock, self.sealer.checkpoint, self.seal, limit_ms)

    @cached_property
    def commands(self) -> Commands:
        """What people do."""
        operator = os.environ.get("USER", "operator")
        return Commands(self.engine, self.clock, operator, lambda: self.in_force, self.hot_path.peek)

    @cached_property
    def hot_path(self) -> HotPath:
        """Works the inbox off."""
        return HotPath(self.engine, self.clock, Gear(self).tools())

    @cached_property
    def leases(self) -> Leases:
        """Mints and checks what agents may do."""
        return Leases(self.agent_key, lambda name: secret_file(agent_file(self.data, name)))

    def case_grant(self, case: str) -> Grant:
        """What the investigator needs to draft a case's summary and responses, as of now."""
        return self.leases.case(self.engine, case, self.clock.now_ms())

    @property
    def session_key(self) -> bytes:
        """Key that signs console sessions."""
        return secret_file(self.data / SESSION_KEY)

    def tidy(self) -> int:
        """End proposals that expired or whose target changed; returns how many."""
        with reading(self.engine) as conn:
            if not settling.due(conn, self.clock.now_ms()):
                return 0
        with writing(self.engine) as conn:
            return settling.settle(conn, self.clock.now_ms())

    def seal(self) -> None:
        """Cover every committed entry with a signed checkpoint."""
        self.sealer.seal()

    def close(self) -> None:
        """Let the database go."""
        self.engine.dispose()


class Gear:
    """The tools that the hot path is handed: leases, lookups that follow the inventory, judge, switches."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._imported = -2
        self._deciding = ("", "")
        self._enricher: Enricher
        self._judge: Judge
        self._roles: dict[str, str] = {}

    def tools(self) -> Tools:
        """What ``store.batch`` asks for."""
        return Tools(
            source=lru_cache(maxsize=64)(_source),
            lease=self.lease,
            issued=lambda granted, alerts: self._site.leases.issued(granted, alerts=alerts),
            answer=self.answer,
            judge=self.judge,
            killed=switches.stopped,
            prepare=self.prepare,
            role=self.role,
            in_force=lambda: self._site.deciding,
            sealed=self._site.sealing.in_time,
            keep_sealed=lambda: self._site.sealing.keep().in_time,
        )

    def prepare(self, conn: Connection) -> None:
        """Follow inventory and model: make lookups and judge anew when an import, an erasure or an activation came since the
        last batch."""
        self._site.follow(conn)
        imported = max(ledger.last_index(conn, kind) for kind in (Kind.INVENTORY_IMPORTED, Kind.PERSON_ERASED))
        deciding = (self._site.model.id, self._site.policy.hash)
        if imported == self._imported and deciding == self._deciding:
            return
        if imported != self._imported:
            self._enricher = make_enricher(SiteData(inventory.load(conn), self._site.data, self._site.config.geo.files))
            self._roles.clear()
        offset = self._site.config.utc_offset_minutes
        model, gate = self._site.model, self._site.gate.decide
        self._judge = Judge(model, surroundings, self._enricher.required, offset, self._site.scopes, gate)
        self._imported, self._deciding = imported, deciding

    def judge(self, batch: Batch) -> list[Judged]:
        """Verdicts and decisions with the judge of the moment."""
        return self._judge(batch)

    def lease(self, conn: Connection, task: str, now_ms: int) -> Grant:
        """The lease of one micro-batch, narrowed for each lookup in use, and checked; the policy says once a source whether
        it may be asked. A source that is refused is unavailable, which closes nothing, and the refusal is recorded."""
        names = [name for name, _ in self._enricher.versions]
        granted = self._site.leases.batch(conn, task, now_ms, names)
        refused = {key: why for key, proof in granted.proofs.items() if (why := self._refused(proof, now_ms))}
        return granted.without(refused) if refused else granted

    def _refused(self, proof: VerifiedLease, now_ms: int) -> str:
        """Why the policy does not let a source be asked under this proof; "" when it does, or when it is no lookup."""
        if proof.operation is not Operation.LOOKUP:
            return ""
        leased = Leased(proof.agent, proof.task, proof.operation.value, proof.resource, proof.expires_ms)
        most = [one.value for one in AGENTS[proof.agent].operations]
        asked = requests.read(leased, resource=proof.resource, task=proof.task, now_ms=now_ms, killed=False, operations=most)
        answer = self._site.policy.decide(asked)
        return "" if answer.allowed else f"policy: {answer.why}"

    def role(self, finding: Finding, granted: Grant) -> str:
        """What the inventory says that the finding's host is for; "" when it does not know the host, or may not be asked."""
        host = finding.host
        if not host or not granted.holds(Operation.LOOKUP):
            return ""
        role = self._roles.get(host)
        if role is None:
            named = tuple(entity for entity in finding.entities if entity.value == host)
            if len(self._roles) >= ROLES_MAX:
                self._roles.clear()
            role = self._roles[host] = surroundings(self.answer(named, granted), host).host_role
        return role

    def answer(self, entities: Sequence[Entity], granted: Grant) -> tuple[Evidence, ...]:
        """Evidence under the batch's lease; where that was refused, every source is unavailable, which closes nothing."""
        if granted.refusals and not granted.holds(Operation.LOOKUP):
            return self._enricher.silent(entities, "the enricher has no lease")
        return self._enricher.answer(entities, granted)


def _source(name: str, header: bytes, mapping: str) -> Any:  # noqa: ANN401 - narrowed by Tools
    return make_source(name, header=header, mapping=mapping)


def open_site(chosen: Path | None = None, *, clock: Clock | None = None) -> Site:
    """Open a data directory, creating what is missing: directory, keys, schema, the ledger's first entry."""
    data = data_dir(chosen)
    try:
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise EnvironmentFault(f"data directory cannot be made ({error.strerror})", where=str(data)) from error
    config = load(data)
    engine = make_engine(config.database or f"sqlite:///{data / 'countersign.sqlite'}")
    try:
        return _open(data, config, engine, clock or SystemClock())
    except BaseException:
        engine.dispose()
        raise


def _open(data: Path, config: Config, engine: Engine, clock: Clock) -> Site:
    migrate.upgrade(engine)
    log_key = keys.load_or_create(data, config.ledger.origin)
    rotation.finish(data, TileDir(data / "tlog"))
    agent_key = secret_file(data / AGENT_KEY)
    with writing(engine) as conn:
        opening.open_ledger(conn, log_key.name, str(log_key.vkey), __version__, clock.now_ms())
        model = models.in_force(conn, _prior_bytes(), clock.now_ms())
        site = Site(data=data, config=config, engine=engine, log_key=log_key, agent_key=agent_key, clock=clock, model=model)
        _ = site.witnesses  # what is wrong with them is said now
        public = {name: public_of(secret_file(agent_file(data, name))) for name in AGENTS}
        agents.register_built_in(conn, public, clock.now_ms())
        why = site.take_policy(conn)
        texts, names = site.policy.texts, site.gate.conditions
        policies.record(conn, texts, site.policy_name(texts), names, default_texts(), why, clock.now_ms())
    return site


def agent_file(data: Path, name: str) -> Path:
    """Where an agent's private key is kept."""
    return data / "keys" / "agents" / f"{name}.key"


def policy_id(scopes: Mapping[str, Scope], texts: PolicyTexts) -> str:
    """Name of the policy in force: the hash of its set and of what the scopes allow."""
    limits = hashlib.sha256(msgspec.json.encode([dataclasses.astuple(scope) for scope in scopes.values()])).hexdigest()
    return f"cedar/{texts.hash}/{limits[:16]}"


def _limited(scope: Scope, config: Config) -> Scope:
    limits = config.scopes.get(cast(ScopeName, scope.name))
    if limits is None:
        return scope
    severity = limits.severity_max
    return dataclasses.replace(
        scope,
        severity_max=scope.severity_max if severity is None else Severity[severity.upper()],
        severity_unknown=scope.severity_unknown if limits.severity_unknown is None else limits.severity_unknown,
        closes_per_hour=scope.closes_per_hour if limits.closes_per_hour is None else limits.closes_per_hour,
    )


def _prior_bytes() -> bytes:
    return (Path(__file__).parent / "triage" / "prior.json").read_bytes()


def secret_file(path: Path) -> bytes:
    """32 random bytes kept in a file of mode 0600; made on first use, whole or not at all."""
    if not path.exists():
        keys.create_private(path, f"{secrets.token_hex(KEY_BYTES)}\n".encode())
    if path.stat().st_mode & 0o077:
        raise EnvironmentFault("key is open to others", where=str(path), todo=f"run chmod 600 {path}")
    try:
        key = bytes.fromhex(path.read_text("ascii").strip())
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise EnvironmentFault("key is damaged", where=str(path), todo="restore it from a backup")
    return key
