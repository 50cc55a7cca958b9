"""Alerts for benchmarks, made up on the spot: 3 KB each, new and unlike the others."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator
from itertools import islice
from typing import Any

from countersign.model.alerts import CHUNK_ALERTS_MAX, Delivery

ALERT_BYTES = 3_000
EVENT_GAP_MS = 250
HOSTS, RULES = 400, 300


def distinct_alerts(n: int, seed: int = 1) -> Iterator[bytes]:
    """n Wazuh alerts of 3 KB, each new and unlike the others: its own id, user, address and text on one of 400 hosts."""
    draw = random.Random(seed)  # noqa: S311 - test data
    start = 1_700_000_000_000
    for i in range(n):
        yield _alert(i, start + i * EVENT_GAP_MS, draw)


def _alert(i: int, time_ms: int, draw: random.Random) -> bytes:
    host, rule = f"host-{draw.randrange(HOSTS):03}", 100_000 + draw.randrange(RULES)
    address = f"203.0.{draw.randrange(256)}.{draw.randrange(256)}"
    alert: dict[str, Any] = {
        "rule": {
            "id": str(rule),
            "level": draw.randrange(3, 13),
            "description": f"Bench detection {rule}",
            "groups": ["syslog", "bench"],
            "mitre": {"id": ["T1110"], "tactic": ["Credential Access"], "technique": ["Brute Force"]},
        },
        "agent": {"id": f"{draw.randrange(HOSTS):03}", "name": host, "ip": "10.1.2.3"},
        "id": f"{time_ms // 1000}.{i}",
        "decoder": {"name": "sshd"},
        "data": {"srcip": address, "dstuser": f"user{i}", "srcport": str(draw.randrange(65_536))},
        "location": "/var/log/auth.log",
    }
    return padded(alert, time_ms, f"Failed password for user{i} from {address} ", draw, ALERT_BYTES)


def padded(alert: dict[str, Any], time_ms: int, text: str, draw: random.Random, size: int) -> bytes:
    """The alert with its time, and a log line of random words that brings it to ``size`` bytes."""
    seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time_ms / 1000))
    alert = {"timestamp": f"{seconds}.{time_ms % 1000:03}+0000", "manager": {"name": "manager"}} | alert
    short = len(json.dumps(alert)) + len(', "full_log": ""')
    words = (f"{draw.getrandbits(32):08x}" for _ in range(size))
    alert["full_log"] = (text + " ".join(islice(words, size // 9 + 1)))[: size - short]
    return json.dumps(alert).encode()


def deliveries(alerts: Iterator[bytes]) -> Iterator[Delivery]:
    """Chunks of a Wazuh file, as the reader would give them."""
    done = 0
    while chunk := tuple(islice(alerts, CHUNK_ALERTS_MAX)):
        yield Delivery("wazuh", "bench", tuple(range(done + 1, done + 1 + len(chunk))), chunk)
        done += len(chunk)
