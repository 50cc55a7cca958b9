"""Write ``<source>/<sample>.bad/*``: a good message of each source, broken in one way, the file named by what is wrong.

Run from the repository root: ``python tests/vectors/sources/make_bad.py``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
SAMPLES = {"wazuh": "good.jsonl", "suricata": "good.jsonl", "ocsf": "good.jsonl", "generic": "mail-gateway.jsonl"}
TIME = {"wazuh": ("timestamp",), "suricata": ("timestamp",), "ocsf": ("time",), "generic": ("ts",)}
RULE = {"wazuh": ("rule",), "suricata": ("alert",), "ocsf": ("finding_info",), "generic": ("rule",)}
TEXT = {"wazuh": ("full_log",), "suricata": ("alert", "signature"), "ocsf": ("message",), "generic": ("message", "subject")}


def broken(source: str, good: bytes) -> dict[str, bytes]:
    """One faulty message per name; every one of them must be refused with a clear error."""
    numeric = source == "ocsf"
    return {
        "truncated": good[: len(good) // 2],
        "empty-object": b"{}",
        "array": b"[" + good + b"]",
        "scalar": b"42",
        "not-json": b"<13>Jan 31 09:10:11 web-1 sshd[1]: plain syslog",
        "utf-16": good.decode().encode("utf-16"),
        "latin-1": changed(good, TEXT[source], "caf\u00e9").decode().encode("latin-1", "replace"),
        "nul-byte": good.replace(b"{", b"{\x00", 1),
        "deep-nesting": good[:-1] + b',"zz":' + b"[" * 10_000 + b"]" * 10_000 + b"}",
        "deep-nesting-objects": good[:-1] + b',"zz":' + b'{"a":' * 10_000 + b"1" + b"}" * 50_000 + b"}",
        "lone-surrogate": good[:-1] + b',"zz":"\\ud800"}',
        "trailing-text": good + b" x",
        "missing-time": changed(good, TIME[source], None),
        "missing-rule": changed(good, RULE[source], None),
        "rule-of-wrong-type": changed(good, RULE[source], 7),
        "time-in-1970": changed(good, TIME[source], 0 if numeric else "1970-01-01T00:00:00+00:00"),
        "time-in-2100": changed(good, TIME[source], 4_102_444_800_000 if numeric else "2100-01-01T00:00:00+00:00"),
        "time-not-a-time": changed(good, TIME[source], "yesterday"),
        "time-of-wrong-type": changed(good, TIME[source], {"at": 1}),
        "time-out-of-any-range": changed(good, TIME[source], 10**30 if numeric else "99999-01-01T00:00:00+00:00"),
    }


def changed(good: bytes, path: tuple[str, ...], value: object) -> bytes:
    """The message with one field set, or removed when ``value`` is None."""
    body: dict[str, Any] = json.loads(good)
    inner = body
    for key in path[:-1]:
        inner = inner[key]
    if value is None:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def main() -> None:
    """Write all files."""
    for source, sample in SAMPLES.items():
        good = (HERE / source / sample).read_bytes().splitlines()[0]
        folder = (HERE / source / sample).with_suffix(".bad")
        folder.mkdir(exist_ok=True)
        for name, raw in broken(source, good).items():
            (folder / name).write_bytes(raw)


if __name__ == "__main__":
    main()
