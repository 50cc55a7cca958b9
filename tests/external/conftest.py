"""Logs that code of others is held against, made through the front door: ``countersign ingest`` of a fresh site.

``large`` has 100,000 entries (``COUNTERSIGN_EXTERNAL_ENTRIES`` for fewer on a developer's machine); ``small`` is the one
that can be checked whole with a shell. Alerts are small, of a source of a site's own, and unlike each other: each is a
finding and so an entry.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests import fakes

ENTRIES = int(os.environ.get("COUNTERSIGN_EXTERNAL_ENTRIES", "100000"))
SMALL = 600
MAPPING = """
format = "json"
trusted = ["rule", "host"]
message = ["text"]
[time]
field = "time"
format = "iso"
[rule]
field = "rule"
[title]
field = "rule"
[product]
constant = "Sensor"
[[entity]]
type = "host"
role = "target"
field = "host"
"""


@dataclass(frozen=True)
class Log:
    """A published log with its key and size; ``older`` are files with checkpoints that it had before."""

    data: Path
    tlog: Path
    vkey: str
    size: int
    older: tuple[Path, ...] = ()

    def copy(self, folder: Path) -> Log:
        """Its published part, in links: replace a file, never write into it."""
        return replace(self, tlog=Path(shutil.copytree(self.tlog, folder, copy_function=os.link)))


def made(folder: Path, alerts: int, parts: int) -> Log:
    """A site that took so many alerts in so many files; the checkpoint after each is kept."""
    data, older = fakes.data_directory(folder / "data"), []
    mapping = folder / "sensor.toml"
    mapping.write_text(MAPPING, "utf-8")
    for part in range(parts):
        file = folder / f"alerts-{part}.jsonl"
        with file.open("w") as lines:
            for number in range(part * alerts // parts, (part + 1) * alerts // parts):
                alert = {
                    "time": fakes.stamp(fakes.NOON_MS + number * 10),
                    "rule": f"r{number % 7} 100% §",
                    "host": f"h{number}",
                }
                lines.write(json.dumps(alert) + "\n")
        args = ("ingest", file, "--source", "generic", "--mapping", mapping, "--data", data)
        done = fakes.run(*args, timeout_s=900)
        assert done.returncode == 0, done.stderr.decode()
        older.append(folder / f"checkpoint-{part}")
        shutil.copy(data / "tlog" / "checkpoint", older[-1])
    size = int((data / "tlog" / "checkpoint").read_text("utf-8").splitlines()[1])
    return Log(data, data / "tlog", (data / "log.vkey").read_text("utf-8").strip(), size, tuple(older))


@pytest.fixture(scope="session")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Log]:
    folder = tmp_path_factory.mktemp("large")
    yield made(folder, ENTRIES, parts=3)
    shutil.rmtree(folder)  # half a gigabyte


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Log:
    return made(tmp_path_factory.mktemp("small"), SMALL, parts=2)
