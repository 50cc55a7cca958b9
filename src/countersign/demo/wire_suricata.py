"""Suricata EVE lines: alerts with signatures of the Emerging Threats set, and the flow, DNS and TLS events around them.

Signatures stand in ``rules.toml``.
"""

from __future__ import annotations

from typing import Any

from countersign.demo.wire import RULES, compact, hash_of, iso_millis

_NAMES = ("mitre_tactic_id", "mitre_tactic_name", "mitre_technique_id", "mitre_technique_name")
_BLOCKED = frozenset({2402000, 2403300})


def alert(time_ms: int, signature: int, source: str, dest: str, dport: int, *, sport: int, **more: object) -> bytes:
    """One EVE ``alert``. ``more``: what the protocol parser adds (``http``, ``tls``, ``smb`` …), attacker-writable."""
    known = RULES["suricata"][str(signature)]
    detail: dict[str, Any] = {
        "action": "blocked" if signature in _BLOCKED else "allowed",
        "gid": 1,
        "signature_id": signature,
        "rev": known["rev"],
        "signature": known["signature"],
        "category": known["category"],
        "severity": known["severity"],
    }
    if "mitre" in known:
        detail["metadata"] = {name: [value] for name, value in zip(_NAMES, known["mitre"], strict=True)}
    return compact(_envelope(time_ms, "alert", "TCP", (source, sport), (dest, dport)) | {"alert": detail} | more)


def flow(time_ms: int, source: str, dest: str, dport: int, *, sport: int, octets: int) -> bytes:
    """An EVE ``flow``: well-formed, not an alert."""
    counts = {"pkts_toserver": 4 + octets // 900, "pkts_toclient": 6, "bytes_toserver": octets, "bytes_toclient": 2_100}
    flow_ = counts | {"start": iso_millis(time_ms - 1_500) + "000+0000", "state": "closed", "reason": "timeout"}
    return compact(_envelope(time_ms, "flow", "TCP", (source, sport), (dest, dport)) | {"flow": flow_})


def dns(time_ms: int, source: str, resolver: str, name: str, *, sport: int) -> bytes:
    """An EVE ``dns`` query: well-formed, not an alert."""
    query = {"type": "query", "id": hash_of(name, time_ms) % 65_536, "rrname": name, "rrtype": "A"}
    return compact(_envelope(time_ms, "dns", "UDP", (source, sport), (resolver, 53)) | {"dns": query})


def _envelope(time_ms: int, kind: str, proto: str, source: tuple[str, int], dest: tuple[str, int]) -> dict[str, Any]:
    return {
        "timestamp": iso_millis(time_ms) + "000+0000",
        "flow_id": hash_of(time_ms, kind, source, dest) % 2**51,
        "in_iface": "ens2f0",
        "event_type": kind,
        "src_ip": source[0],
        "src_port": source[1],
        "dest_ip": dest[0],
        "dest_port": dest[1],
        "proto": proto,
    }
