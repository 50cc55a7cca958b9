"""Bad input through the front door: every line is accounted for, what cannot be read is kept and told, nothing blocks."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from countersign.bootstrap import Site, open_site
from countersign.errors import ConflictError, NotFoundError
from countersign.feed import Feeder
from countersign.model.alerts import Delivery
from countersign.store import evidence
from countersign.store import tables as t
from countersign.store.engine import reading
from tests import fakes
from tests.fakes import deliver, run, run_json, wazuh

HOSTILE = "<script>alert(1)</script>{{7*7}}${jndi:ldap://x}{% raw %}`id`'\"--;\u202egnp.exe\u2066\x1b[2J\r\u0085\u2028"


def hostile_fields() -> bytes:
    """Markup, template syntax, bidi overrides and control characters in every text field there is."""
    data = dict.fromkeys(("srcip", "dstip", "srcuser", "dstuser", "url", "hostname", "program", "command"), HOSTILE)
    more: dict[str, Any] = {
        "agent": {"id": HOSTILE, "name": HOSTILE, "ip": HOSTILE},
        "decoder": {"name": HOSTILE},
        "predecoder": {"hostname": HOSTILE, "program_name": HOSTILE},
        "full_log": HOSTILE,
        "previous_output": HOSTILE,
        "location": HOSTILE,
        "syscheck": {"path": HOSTILE, "event": HOSTILE, "uname_after": HOSTILE, "sha256_after": HOSTILE},
    }
    return wazuh(
        HOSTILE, host=HOSTILE, rule=HOSTILE, title=HOSTILE, data=data, mitre={"id": [HOSTILE], "tactic": [HOSTILE]}, **more
    )


GOOD: dict[str, bytes] = {
    "hostile text in every field": hostile_fields(),
    "a key twice": wazuh("twice").replace(b'"rule": {', b'"rule": {"id": "1", "level": 1}, "rule": {'),
    "an escaped NUL": wazuh("nul", title="a\x00b", data={"srcuser": "x\x00", "srcip": "203.0.113.9"}),
    "a surrogate pair": wazuh("pair", title="\U0001f600").replace(b"\xf0\x9f\x98\x80", b"\\ud83d\\ude00"),
    "a byte order mark": wazuh("bom"),
    "a carriage return at the end": wazuh("cr") + b"\r",
}
BAD: dict[str, tuple[bytes, str]] = {
    "cut off": (wazuh("cut")[:-30], "not valid JSON"),
    "no JSON": (b"Nov 23 10:00:00 host sshd[1]: hello", "not valid JSON"),
    "a bare value": (b"null", "Expected `object`"),
    "UTF-16": ('{"rule": 1}'.encode("utf-16-le"), "byte"),
    "Latin-1": (wazuh("l1", title="caf").replace(b"caf", b"caf\xe9"), "not UTF-8 at byte"),
    "a NUL byte": (wazuh("raw nul").replace(b"sshd", b"ss\x00d", 1), "NUL byte at offset"),
    "a lone surrogate": (wazuh("lone").replace(b"sshd", b"\\ud800", 1), "not valid JSON"),
    "over 10 MB": (wazuh("big", full_log="x" * 10_000_000), "the limit is"),
    "nested deeply": (b'{"rule": {"id": "1", "level": 3}, "data": ' + b'{"a":' * 100_000 + b"1" + b"}" * 100_001, "nested"),
    "no rule": (b'{"timestamp": "2026-01-01T00:00:00Z"}', "missing required field"),
    "no time": (b'{"rule": {"id": "1", "level": 3}}', "missing"),
    "1970": (wazuh("1970", at_ms=0), "between 1990 and 2100"),
    "2100": (wazuh("2100", at_ms=4_102_444_800_000), "between 1990 and 2100"),
    "year 99999": (wazuh("y").replace(b"2026-", b"99999-", 1), "not an ISO 8601 time"),
    "another type": (wazuh("t").replace(b'"level": 5', b'"level": [5]'), "Expected `int`"),
    "a level out of range": (wazuh("lvl", level=99), "not between 0 and 16"),
    "a huge number": (wazuh("n").replace(b'"level": 5', b'"level": 1e999'), ""),
}


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Good and bad lines in turns; no two lines are alike."""
    file = tmp_path / "corpus.json"
    good, bad = list(GOOD.values()), [raw for raw, _ in BAD.values()]
    lines = [wazuh("first"), *(line for pair in zip(bad, good * 3, strict=False) for line in pair)]
    file.write_bytes(b"\xef\xbb\xbf" + b"\n".join(lines) + b"\n")
    return file


def held(site: Site) -> dict[str, tuple[str, str, int]]:
    """SHA-256 → (field, error, position) of what waits in quarantine, after comparing with the bytes that were kept."""
    with reading(site.engine) as conn:
        rows = conn.execute(select(t.quarantine).where(t.quarantine.c.state == "waiting")).all()
        for row in rows:
            kept = evidence.get(conn, row.blob, Delivery).raws[row.item]
            assert hashlib.sha256(kept).hexdigest() == row.sha256
    return {row.sha256: (row.field, row.error, row.position) for row in rows}


def test_every_line_of_a_hostile_file_is_accounted_for(corpus: Path, data: Path) -> None:
    written = len(BAD) * 2 + 1
    done = run_json("ingest", corpus, "--source", "wazuh", "--data", data)
    assert (done["lines"], done["quarantined"], done["ignored"]) == (written, len(BAD), 0)
    assert done["accepted"] == len(GOOD) + 1
    assert done["duplicates"] == len(BAD) - len(GOOD)
    site = open_site(data)
    found = held(site)
    for number, (name, (raw, words)) in enumerate(BAD.items()):
        _, error, position = found[hashlib.sha256(raw).hexdigest()]
        assert words in error, name
        assert error.isprintable(), name
        assert position == number * 2 + 2, name
    fakes.assert_rebuilds(site)
    fakes.verified(site)
    site.close()
    listed = run("quarantine", "list", "--data", data)
    assert listed.returncode == 0
    assert b"corpus.json:2" in listed.stdout
    for command in (("queue",), ("case", "show", "C-1001"), ("sources",), ("case", "export", "C-1001")):
        shown = run(*command, "--data", data)
        assert shown.returncode == 0, shown.stderr.decode()
        for live in ("\x1b", "\u202e", "\u2066"):
            assert live not in shown.stdout.decode() or command[1:2] == ("export",), command
    assert run_json("replay", "--data", data)["problems"] == []


def test_hostile_text_comes_through_as_it_was(site: Site) -> None:
    deliver(site, [hostile_fields()])
    with reading(site.engine) as conn:
        finding = conn.execute(select(t.findings)).one()
    assert finding.title == HOSTILE
    assert finding.host == HOSTILE.strip().lower().rstrip(".")


MAPPING = """
format = "json"
product.constant = "Door"
time.field = "{time}"
rule.field = "kind"
"""


def test_a_resubmission_with_a_corrected_mapping_goes_through(site: Site) -> None:
    raws = [json.dumps({"when": "2026-05-01T10:00:00Z", "kind": f"k{i}"}).encode() for i in range(3)]
    assert deliver(site, raws, "generic", mapping=MAPPING.format(time="wen")).quarantined == 3
    with reading(site.engine) as conn:
        first, second, third = conn.execute(select(t.quarantine.c.id).order_by(t.quarantine.c.id)).scalars()
    site.commands.resubmit(first, mapping=MAPPING.format(time="when"))
    site.commands.resubmit(second)  # without a fix it comes back
    site.commands.resubmit(third, mapping="time = ")  # with a worse one too
    report = site.hot_path.drain()
    assert (report.accepted, report.quarantined) == (1, 2)
    assert len(held(site)) == 2
    assert fakes.alerts_in_findings(site.engine) == 1
    with pytest.raises(ConflictError, match="before"):
        site.commands.resubmit(first)
    fakes.assert_rebuilds(site)
    fakes.verified(site)


def waiting_numbers(site: Site) -> list[int]:
    with reading(site.engine) as conn:
        statement = select(t.quarantine.c.id).where(t.quarantine.c.state == "waiting")
        return list(conn.execute(statement.order_by(t.quarantine.c.id)).scalars())


def test_what_another_worker_took_of_a_resubmission_is_counted(site: Site) -> None:
    raws = [json.dumps({"when": "2026-05-01T10:00:00Z", "kind": f"k{i}"}).encode() for i in range(3)]
    assert deliver(site, raws, "generic", mapping=MAPPING.format(time="wen")).quarantined == 3
    numbers = waiting_numbers(site)

    def one_by_one() -> Iterator[int]:
        for number in numbers:
            yield number
            site.hot_path.drain()  # as the worker of `serve` beside the command

    feeder = Feeder(site)
    feeder.resubmit(one_by_one(), mapping=MAPPING.format(time="when"))
    summary = feeder.finish()
    assert (summary.lines, summary.accepted, summary.quarantined, summary.waiting) == (3, 3, 0, 0)


def test_what_stands_before_a_number_that_is_not_there_is_sent_through(site: Site) -> None:
    raw = json.dumps({"when": "2026-05-01T10:00:00Z", "kind": "k"}).encode()
    deliver(site, [raw], "generic", mapping=MAPPING.format(time="wen"))
    with pytest.raises(NotFoundError):
        Feeder(site).resubmit([*waiting_numbers(site), 10**6], mapping=MAPPING.format(time="when"))
    assert fakes.alerts_in_findings(site.engine) == 1


def test_the_command_replays_what_waits(tmp_path: Path) -> None:
    data, file, good = fakes.data_directory(tmp_path / "data"), tmp_path / "a.json", tmp_path / "good.toml"
    bad = tmp_path / "bad.toml"
    bad.write_text(MAPPING.format(time="wen"))
    good.write_text(MAPPING.format(time="when"))
    file.write_text("".join(json.dumps({"when": "2026-05-01T10:00:00Z", "kind": f"k{i}"}) + "\n" for i in range(4)))
    assert run_json("ingest", file, "--source", "generic", "--mapping", bad, "--data", data)["quarantined"] == 4
    assert b"2 of 4 are listed" in run("quarantine", "list", "--limit", "2", "--data", data).stderr
    listed = run_json("quarantine", "list", "--data", data)
    assert [(row["origin"], row["position"], row["field"]) for row in listed] == [("a.json", i, "wen") for i in (1, 2, 3, 4)]
    one = run_json("quarantine", "replay", str(listed[0]["id"]), "--mapping", good, "--data", data)
    nothing = dict.fromkeys(("duplicates", "ignored", "quarantined", "waiting"), 0)
    assert one == {"resubmitted": 1, "accepted": 1} | nothing
    rest = run_json("quarantine", "replay", "--all", "--mapping", good, "--data", data)
    assert rest == {"resubmitted": 3, "accepted": 3} | nothing
    assert run_json("quarantine", "list", "--data", data) == []
    assert run_json("rebuild", "--check", "--data", data)["ok"] is True
