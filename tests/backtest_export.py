"""A made-up site's closed alerts, in the shape of Wazuh's CSV: routine for days, an attack, and on request a miss."""

from __future__ import annotations

import random
from datetime import UTC, datetime

HEADER = "timestamp,id,rule.id,rule.description,rule.level,agent.name,agent.ip,data.srcip,status,status_time"
START_S = 1_767_571_200  # Monday 5 January 2026
HOUR_S = 3_600
ROUTINE = (
    ("5501", "Login session opened", 3, 420),
    ("31101", "Web server 400 error", 5, 600),
    ("533", "Listened ports changed", 4, 1500),
    ("1002", "Unknown problem in the system", 2, 900),
)
HOSTS = ("web-1", "web-2", "mail-1", "db-1")
ATTACK = (("5763", "Brute force", 10), ("100200", "Web shell", 12), ("5402", "First sudo", 3))


def row(at_s: int, number: int, rule: tuple[str, str, int], host: str, status: str, told_s: int = 2 * HOUR_S) -> str:
    """One CSV record."""
    seen, told = (datetime.fromtimestamp(s, UTC).isoformat() for s in (at_s, at_s + told_s))
    ident, name, level = rule
    return f"{seen},{number},{ident},{name},{level},{host},10.0.0.{HOSTS.index(host) + 1},,{status},{told}"


def export(days: int, *, attack_hour: int = 0, missed_hour: int = 0, missed: int = 1, unjudged: bool = False) -> str:
    """The file. attack_hour: an attack of rules that nobody has seen. missed_hour: from then on so many routine alerts are
    threats, which nothing but the label tells. unjudged: every seventh alert is a duplicate, which says nothing."""
    rng = random.Random(days)
    made = [
        (START_S + at + rng.randrange(120), (ident, name, level), host, "false_positive")
        for ident, name, level, every in ROUTINE
        for host in HOSTS
        for at in range(rng.randrange(every), days * 24 * HOUR_S, every)
    ]
    if attack_hour:
        start = START_S + attack_hour * HOUR_S
        made += [(start + 60 * i, rule, "web-1", "true_positive") for i, rule in enumerate(ATTACK)]
    made.sort()
    left = missed
    lines = [HEADER]
    for number, (at, rule, host, status) in enumerate(made):
        late = bool(missed_hour) and left > 0 and at >= START_S + missed_hour * HOUR_S and status == "false_positive"
        left -= late
        silent = "duplicate" if unjudged and number % 7 == 0 else status
        lines.append(row(at, number, rule, host, "true_positive" if late else silent))
    return "\n".join(lines) + "\n"
