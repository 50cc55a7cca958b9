"""What the five wire shapes have in common: one line per message, times as each product writes them."""

from __future__ import annotations

import tomllib
from datetime import UTC, datetime
from importlib import resources
from typing import Any

import msgspec

RULES: dict[str, dict[str, Any]] = tomllib.loads(
    resources.files("countersign.demo").joinpath("rules.toml").read_text("utf-8")
)
"""Detections by tool and id, from ``rules.toml``."""
_encode = msgspec.json.Encoder().encode


def compact(body: dict[str, Any]) -> bytes:
    """One JSON line, without the newline."""
    return _encode(body)


def iso_millis(time_ms: int) -> str:
    """``2026-01-31T09:10:11.120``, UTC, no zone: each product appends its own."""
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{time_ms % 1000:03d}"


def syslog_time(time_ms: int) -> str:
    """``Jan 31 09:10:11`` (RFC 3164; days below ten are padded with a space)."""
    moment = datetime.fromtimestamp(time_ms / 1000, UTC)
    return f"{moment:%b} {moment.day:2d} {moment:%H:%M:%S}"


def hash_of(*parts: object) -> int:
    """The same number on every machine (unlike ``hash``), for byte offsets in ids."""
    total = 0
    for byte in repr(parts).encode():
        total = (total * 131 + byte) % (2**61 - 1)
    return total
