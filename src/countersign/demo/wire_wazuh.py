"""Wazuh ``alerts.json`` lines: the fields the manager writes, with rule ids, names and groups of its own ruleset.

Rules stand in ``rules.toml``.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from countersign.demo.estate import ADDRESS, DOMAIN, NETBIOS
from countersign.demo.wire import RULES, compact, hash_of, iso_millis, syslog_time

_PROVIDERS = {
    "Security": "Microsoft-Windows-Security-Auditing",
    "System": "Service Control Manager",
    "Microsoft-Windows-Sysmon/Operational": "Microsoft-Windows-Sysmon",
}
_AGENTS = {name: f"{i + 1:03d}" for i, name in enumerate(ADDRESS)}


def alert(time_ms: int, host: str, rule: str, *, data: dict[str, Any], decoder: str, location: str, **more: object) -> bytes:
    """One line of ``alerts.json``. ``more``: further top-level fields, such as ``full_log``."""
    body: dict[str, Any] = {
        "timestamp": iso_millis(time_ms) + "+0000",
        "rule": _rule(rule, data),
        "agent": {"id": _AGENTS[host], "name": host, "ip": ADDRESS[host]},
        "manager": {"name": "wazuh.manager"},
        "id": f"{time_ms // 1000}.{abs(hash_of(time_ms, host, rule, more.get('full_log', ''), data)) % 10**9}",
        "decoder": {"name": decoder},
        "data": data,
        "location": location,
    }
    return compact(body | more)


def syslog(time_ms: int, host: str, rule: str, text: str, *, program: str, data: dict[str, Any]) -> bytes:
    """An alert read from a syslog line, with the predecoder's fields."""
    stamp = syslog_time(time_ms)
    return alert(
        time_ms,
        host,
        rule,
        data=data,
        decoder=program,
        location="/var/log/auth.log" if program in {"sshd", "sudo", "pam", "useradd"} else "/var/log/syslog",
        predecoder={"program_name": program, "timestamp": stamp, "hostname": host},
        full_log=f"{stamp} {host} {program}[{time_ms // 1000 % 32768}]: {text}",
    )


def weblog(time_ms: int, host: str, rule: str, source: str, request: str, *, status: int, agent: str) -> bytes:
    """An alert read from an Apache access log; ``request`` (method and path) and ``agent`` are what the client sent."""
    method, _, url = request.partition(" ")
    stamp = datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%d/%b/%Y:%H:%M:%S +0000")
    line = f'{source} - - [{stamp}] "{method} {url} HTTP/1.1" {status} {300 + len(url)} "-" "{agent}"'
    return alert(
        time_ms,
        host,
        rule,
        data={"protocol": method, "srcip": source, "id": str(status), "url": url},
        decoder="web-accesslog",
        location="/var/log/apache2/access.log",
        full_log=line,
    )


def windows(time_ms: int, host: str, rule: str, eventdata: dict[str, str]) -> bytes:
    """An alert read from a Windows event channel."""
    event, channel = RULES["wazuh"][rule]["event"], RULES["wazuh"][rule]["channel"]
    system = {
        "providerName": _PROVIDERS[channel],
        "eventID": str(event),
        "level": "0",
        "systemTime": iso_millis(time_ms) + "Z",
        "eventRecordID": str(time_ms // 1000 % 10_000_000),
        "channel": channel,
        "computer": f"{host}.{DOMAIN}",
        "severityValue": "AUDIT_SUCCESS" if channel == "Security" else "INFORMATION",
    }
    data = {"win": {"system": system, "eventdata": eventdata}}
    return alert(time_ms, host, rule, data=data, decoder="windows_eventchannel", location="EventChannel")


def logon(time_ms: int, host: str, rule: str, user: str, *, source: str, kind: str = "3") -> bytes:
    """A Windows logon; whether it worked is the rule's matter."""
    eventdata = {
        "targetUserName": user,
        "targetDomainName": NETBIOS,
        "logonType": kind,
        "ipAddress": source,
        "authenticationPackageName": "NTLM" if rule == "92652" else "Kerberos",
    }
    return windows(time_ms, host, rule, eventdata)


def _rule(rule: str, data: dict[str, Any]) -> dict[str, Any]:
    known = RULES["wazuh"][rule]
    eventdata = data.get("win", {}).get("eventdata", {})
    filled = {"user": eventdata.get("targetUserName", ""), "image": eventdata.get("sourceImage", "")}
    body: dict[str, Any] = {
        "level": known["level"],
        "description": known["description"].format(**filled),
        "id": rule,
        "firedtimes": 1,
        "mail": known["level"] >= 12,
        "groups": known["groups"],
    }
    if known["techniques"]:
        body["mitre"] = _mitre(known["techniques"])
    return body


def _mitre(techniques: list[str]) -> dict[str, list[str]]:
    known = [RULES["techniques"][technique] for technique in techniques]
    tactics = dict.fromkeys(tactic for row in known for tactic in row["tactics"])
    return {"id": techniques, "tactic": list(tactics), "technique": [row["name"] for row in known]}
