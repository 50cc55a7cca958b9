"""A small site written straight through the tables: what the console must show, hostile strings among it."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
from sqlalchemy import Connection, Engine, insert, update

from countersign.ledger.canonical import encode
from countersign.model.alerts import Delivery, Severity
from countersign.model.cases import Link, LinkReason
from countersign.model.decisions import Action, Condition, Decision, Outcome
from countersign.model.entities import Entity, EntityType, Role
from countersign.model.entries import Actor, Entry, Kind
from countersign.model.evidence import Evidence, LookupStatus
from countersign.model.findings import Finding
from countersign.model.records import FindingRecord
from countersign.model.verdicts import PICO, Change, Contribution, Counterfactual, Label, Verdict
from countersign.store import evidence, projection
from countersign.store import tables as t

NOW_MS = 1_795_000_000_000
HOSTILE = (
    '<img src=x onerror="document.title=\'owned\'"><script>document.title="owned"</script>',
    "{{ 7*7 }}{% for x in y %} ${7*7} #{7*7} <%= 7*7 %>",
    "invoice\u202egnp.exe from https://evil.example/a?b=<c> \u200b\u0000\u001b[31mred\u001b[0m",
    "javascript:alert(1) \" ' > </title></textarea><svg onload=alert(1)>",
)
KINDS: tuple[tuple[str, str, str, str, Severity, Label, int, int], ...] = (
    ("LSASS memory read by unsigned process", "T1003.001", "TA0006", "edr", Severity.CRITICAL, Label.THREAT, 810, 930),
    ("Service account added to Domain Admins", "T1098", "TA0003", "wazuh", Severity.CRITICAL, Label.THREAT, 880, 990),
    (
        "Outbound TLS to a newly registered domain",
        "T1071.001",
        "TA0011",
        "suricata",
        Severity.HIGH,
        Label.INSUFFICIENT,
        180,
        720,
    ),
    ("Office application started encoded PowerShell", "T1059.001", "TA0002", "edr", Severity.HIGH, Label.THREAT, 640, 890),
    ("Scheduled task created over WMI", "T1053.005", "TA0003", "wazuh", Severity.MEDIUM, Label.INSUFFICIENT, 120, 510),
    ("Many failed sign-ins, then one success", "T1110.003", "TA0006", "generic", Severity.MEDIUM, Label.THREAT, 520, 790),
    ("ET SCAN Suspicious inbound to PostgreSQL port", "T1046", "TA0007", "suricata", Severity.LOW, Label.BENIGN, 2, 9),
    ("Package manager ran outside the maintenance window", "", "", "wazuh", Severity.LOW, Label.BENIGN, 8, 34),
)
HOSTS = ("dc-02", "fin-db-01", "build-runner-7", "web-edge-4", "wks-1183", "cfo-laptop")


def fill(engine: Engine, cases: int = 48, *, hostile: bool = True, now_ms: int = NOW_MS) -> None:
    """Write a site of ``cases`` cases; the first ones are hostile."""
    t.metadata.create_all(engine)
    with engine.begin() as conn:
        conn.execute(insert(t.ledger_head), {"id": 1, "size": 0, "next_case": 1001 + cases})
        append(conn, Kind.LEDGER_OPENED, "ledger", "", Actor("system", "countersign"), {}, now_ms - 90_000_000)
        conn.execute(insert(t.pseudonyms), [{"value": "person:ops-lead", "pseudonym": "person~0a1b2c3d4e5f"}])
        for i in range(cases):
            add_case(conn, i, hostile=hostile, now_ms=now_ms)
        _quarantine(conn)


def append(conn: Connection, kind: Kind, subject: str, case: str, actor: Actor, body: dict[str, Any], time_ms: int) -> int:
    """One ledger entry; returns its index."""
    idx = conn.execute(t.ledger_head.select()).one().size
    entry = Entry(kind, time_ms, actor, subject, "test", body)
    row = {"idx": idx, "kind": kind.value, "subject": subject, "case_id": case, "time_ms": time_ms, "bytes": encode(entry)}
    conn.execute(insert(t.entries), row)
    conn.execute(update(t.ledger_head).values(size=idx + 1))
    return int(idx)


def add_case(conn: Connection, i: int, *, hostile: bool = True, now_ms: int = NOW_MS, case_id: str = "") -> str:
    """One case with one to five findings; returns its id."""
    ident = case_id or f"C-{1001 + i}"
    records = [_record(i, n, ident, now_ms, hostile=hostile) for n in range(1 + (i * 7) % 5)]
    entry = 0
    for record in records:
        entry = _decided(conn, record, now_ms)
    top = max(records, key=lambda r: r.verdict.pico)
    closed = not case_id and i % 6 == 5
    agent = closed and i % 12 == 11
    if closed and not agent:
        actor = Actor("human", "person~0a1b2c3d4e5f")
        entry = append(conn, Kind.CASE_DISPOSED, ident, ident, actor, {"disposition": "benign"}, now_ms - i * 60_000)
    conn.execute(insert(t.cases), _case(i, ident, records, top, entry, now_ms, closed=closed, agent=agent))
    return ident


def _case(
    i: int,
    ident: str,
    records: list[FindingRecord],
    top: FindingRecord,
    entry: int,
    now_ms: int,
    *,
    closed: bool,
    agent: bool,
) -> dict[str, Any]:
    finding, verdict = top.finding, top.verdict
    return {
        "id": ident,
        "status": "open" if not closed else "closed_agent" if agent else "closed_human",
        "title": finding.title,
        "severity": int(finding.severity),
        "host": finding.host,
        "products": ",".join(sorted({r.finding.product for r in records})),
        "tactics": ",".join(dict.fromkeys(x for r in records for x in r.finding.tactics)),
        "techniques": ",".join(dict.fromkeys(x for r in records for x in r.finding.techniques)),
        "stages": ",".join(dict.fromkeys(x for r in records for x in r.finding.tactics)),
        "findings": len(records),
        "closed": len(records) if agent else 0,
        "alerts": sum(r.finding.count for r in records),
        "first_seen_ms": min(r.finding.first_seen_ms for r in records),
        "last_seen_ms": max(r.finding.last_seen_ms for r in records),
        "opened_ms": now_ms - (i * 977_000) % 46_000_000,
        "updated_ms": now_ms,
        "top_finding": finding.id,
        "scope": top.decision.scope,
        "label": verdict.label.value,
        "pico": verdict.pico,
        "rank": verdict.pico,
        "p0_ppm": verdict.p0_ppm,
        "p1_ppm": verdict.p1_ppm,
        "advice": top.decision.advice.value,
        "why": top.decision.why,
        "owner": "ops-lead" if i % 4 == 1 else "",
        "disposition": "benign" if closed else "",
        "reason": "known scanner, change 4711" if closed else "",
        "disposed_by": "" if agent or not closed else "person~0a1b2c3d4e5f",
        "disposed_ms": now_ms - i * 60_000 if closed else 0,
        "merged_into": "",
        "entry": entry,
    }


def _decided(conn: Connection, record: FindingRecord, now_ms: int) -> int:
    f, v = record.finding, record.verdict
    raw = msgspec.json.encode(
        {
            "timestamp": f.first_seen_ms,
            "rule": {"id": f.rule, "description": f.title},
            "data": {"srcuser": f.message, "cmd": "powershell -enc JABz", "list": [1, {"x": f.message}]},
        }
    )
    blob = evidence.pack("delivery", Delivery(f.source, "alerts.json", (41, 42), (b'{"other":1}', raw)))
    evidence.put(conn, [blob])
    entry = append(conn, Kind.FINDING_DECIDED, f.id, record.case, Actor("agent", "triage"), {"label": v.label.value}, now_ms)
    packed = projection.pack_records([record], [[(blob.digest, 1)]])
    held = evidence.pack("records", packed)
    evidence.put(conn, [held])
    projection.write_findings(conn, [projection.Decided(entry, now_ms, record, held.digest, 0)])
    return entry


def _record(i: int, n: int, case: str, now_ms: int, *, hostile: bool) -> FindingRecord:
    title, technique, tactic, source, severity, label, p0, p1 = KINDS[(i + n * 3) % len(KINDS)]
    if hostile and i < len(HOSTILE) and n == 0:
        title, label, p0, p1, severity = HOSTILE[i], Label.THREAT, 960, 999, Severity.CRITICAL
    when = now_ms - (i * 977_000) % 46_000_000 - n * 41_000
    host = HOSTS[(i + n // 3) % len(HOSTS)]
    message = HOSTILE[i] if hostile and i < len(HOSTILE) else f"process {1000 + i} opened a handle with access 0x1410"
    finding = Finding(
        id="F-" + hashlib.sha256(f"{case}/{n}".encode()).hexdigest()[:16],
        source=source,
        product=source,
        rule=str(86000 + (i + n * 3) % 8),
        title=title,
        severity=severity,
        window_ms=when,
        first_seen_ms=when,
        last_seen_ms=when + 30_000,
        count=1 + (i * 13 + n) % 90,
        tactics=(tactic,) if tactic else (),
        techniques=(technique,) if technique else (),
        entities=_entities(i, n, host, message if hostile and i < len(HOSTILE) else ""),
        tainted=("data.srcuser", "data.list.x"),
        message=message,
    )
    verdict = _verdict(label, p0 * 1000, p1 * 1000, i)
    links = (Link(finding.id, case, LinkReason.FIRST if n == 0 else LinkReason.SAME_HOST, f"host:{host}"),)
    pattern = f"P-{(i + n * 3) % len(KINDS):016x}"
    return FindingRecord(
        finding=finding,
        pattern=pattern,
        case=case,
        links=links,
        evidence=_lookups(host, i),
        features=(1,) * 22,
        rarity=0,
        verdict=verdict,
        decision=_decision(label, p1, i),
        gate=b"",
        first=True,
        added=1,
    )


def _entities(i: int, n: int, host: str, hostile: str) -> tuple[Entity, ...]:
    found = [
        Entity(EntityType.HOST, host, Role.TARGET),
        Entity(EntityType.USER, ("svc-backup", "payroll-1", "deploy")[(i + n) % 3], Role.ACTOR),
        Entity(EntityType.IP, f"185.203.118.{40 + (i + n) % 9}", Role.ACTOR),
        Entity(EntityType.PROCESS, ("powershell.exe", "rundll32.exe", "python3")[n % 3], Role.OBSERVED),
        Entity(EntityType.HASH, hashlib.sha256(f"{i}{n}".encode()).hexdigest(), Role.OBSERVED),
    ]
    if n % 2:
        found.append(Entity(EntityType.DOMAIN, "cdn-telemetry-live.example", Role.OBSERVED))
    if hostile:
        found.append(Entity(EntityType.FILE, hostile, Role.OBSERVED))
    return tuple(found)


def _lookups(host: str, i: int) -> tuple[Evidence, ...]:
    def digest(text: str) -> str:
        return hashlib.sha256(text.encode()).hexdigest()

    high = (("criticality", "high"), ("owner", "Finance"))
    gone = LookupStatus.UNAVAILABLE if i % 3 == 0 else LookupStatus.NOT_FOUND
    address = f"ip:185.203.118.{40 + i % 9}"
    return (
        Evidence(
            "assets",
            f"host:{host}",
            LookupStatus.FOUND,
            high,
            digest(host),
            f"{host}: domain controller, Finance, criticality high",
            1,
        ),
        Evidence("geo", address, gone, (), digest(address), "" if i % 3 == 0 else "no country known", 0),
        Evidence(
            "warninglists", "process:python3", LookupStatus.FOUND, (), digest("w"), "on the list of common interpreters", -1
        ),
    )


def _verdict(label: Label, p0_ppm: int, p1_ppm: int, i: int) -> Verdict:
    lean = 1 if label is Label.THREAT else -1
    terms = (
        Contribution("pair_firings", 0, 1_400_000_000_000 * lean),
        Contribution("host_rules_15m", 4, 920_000_000_000),
        Contribution("asset_criticality", 3, 610_000_000_000),
        Contribution("rule_firings", 812, -740_000_000_000),
        Contribution("off_hours", 1, 250_000_000_000),
        Contribution("severity", 5, 430_000_000_000 * lean),
        Contribution("pair_gap_s", -1, 180_000_000_000),
        Contribution("pattern_share_ppm", 20_000, -1_100_000_000_000),
        Contribution("tool", "wazuh", -60_000_000_000),
    )
    pico = sum(c.pico for c in terms) - PICO + (p0_ppm + p1_ppm - 500_000) * 3_000_000 - i * 1_000_000_000
    change = Counterfactual(
        True, (Change("pair_firings", 0, 14, -2_000_000_000_000), Change("off_hours", 1, 0, -1)), -5 * PICO
    )
    return Verdict(label, pico, -PICO, p0_ppm, p1_ppm, terms, change, 41_000, "prior-2026.11")


def _decision(label: Label, p1: int, i: int) -> Decision:
    held, failed = Outcome.HELD, Outcome.FAILED
    conditions = (
        Condition("stage", failed, "advise", "supervised or autonomous"),
        Condition("kill_switch", held, "off", "off"),
        Condition("alarm", held, "none", "none"),
        Condition("threshold", held if p1 < 10 else failed, f"up to {p1 / 10:g} %, {label.value}", "at most 1.0 %, benign"),
        Condition("assets", failed, "high", "below high"),
        Condition("entities_known", held, "0 unknown", "all in the inventory or external"),
        Condition("pattern", Outcome.UNEVALUATED, "", "3 benign reviews under 90 days, p above 5 %"),
        Condition(
            "sources",
            held if i % 3 else failed,
            "all answered" if i % 3 else "geo unavailable",
            "every required source answered",
        ),
        Condition("case", failed, "2 undecided, 1 threat", "no other finding undecided or a threat"),
        Condition("severity", held, "medium", "known, at most medium"),
    )
    why = (
        "high-value asset",
        "probability of a threat above the threshold",
        "a source did not answer",
        "pattern not judged before",
    )[i % 4]
    advice = Action.CLOSE if label is Label.BENIGN and i % 2 else Action.ESCALATE
    return Decision(Action.ESCALATE, advice, "endpoint", "advise", conditions, why)


def _quarantine(conn: Connection) -> None:
    raw = b'{"rule": {"id": "86601", "level": '
    blob = evidence.pack("delivery", Delivery("wazuh", "alerts.json", (812,), (raw,)))
    evidence.put(conn, [blob])
    body = {"error": "x"}
    for n, state in enumerate(("waiting", "resubmitted")):
        entry = append(conn, Kind.ALERT_QUARANTINED, "wazuh", "", Actor("system", "intake"), body, NOW_MS)
        row = {
            "id": entry,
            "source": "wazuh",
            "origin": HOSTILE[0] if n else "alerts.json",
            "position": 812 + n,
            "blob": blob.digest,
            "item": 0,
            "sha256": hashlib.sha256(raw).hexdigest(),
            "field": "rule.level",
            "error": "JSON ends inside a value at byte 34; send the whole line again",
            "received_ms": NOW_MS,
            "state": state,
        }
        conn.execute(insert(t.quarantine), row)
