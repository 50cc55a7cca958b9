"""A file on a target that is ours alone: a line or more for each name, rewritten whole, never patched.

What stands in it must be exactly what we would write for the names in it, so that nothing of anybody else is ever lost; its
names are sorted, so the same names make the same bytes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from countersign.actions.shells import Shell
from countersign.errors import TargetFault

MARK = "countersign writes this file; change nothing here"
SERIAL_MAX = 2**32 - 1
_NO_SUCH_FILE = b"No such file"


@dataclass(frozen=True)
class Form:
    """How names stand in a file. line: finds the name in the one line that each has. render: the whole file for sorted
    names and a serial number. serial: finds it, where there is one."""

    line: re.Pattern[str]
    render: Callable[[tuple[str, ...], int], str]
    serial: re.Pattern[str] | None = None

    def read(self, text: str) -> tuple[tuple[str, ...], int] | None:
        """(names, serial) of a file of ours; None for another's. A file with nothing in it is ours."""
        if not text.strip():
            return (), 0
        found = self.serial.search(text) if self.serial is not None else None
        names, serial = tuple(self.line.findall(text)), int(found[1]) if found else 0
        return (names, serial) if self.render(names, serial) == text else None


class OwnFile:
    """The file at a path on a target, and the command after which what is in it counts."""

    def __init__(self, shell: Shell, path: str, form: Form, reload: Iterable[str]) -> None:
        self._shell = shell
        self._path = path
        self._form = form
        self._reload = tuple(reload)

    def names(self) -> tuple[str, ...]:
        """What stands in it. Raises TargetFault."""
        return self._read()[0]

    def put(self, name: str) -> None:
        """With this name; no other changes. Raises TargetFault."""
        names, serial = self._read()
        self._write({*names, name}, serial)

    def drop(self, name: str) -> None:
        """Without this name; no other changes. Raises TargetFault."""
        names, serial = self._read()
        self._write({*names} - {name}, serial)

    def _read(self) -> tuple[tuple[str, ...], int]:
        ran = self._shell.ask(("cat", self._path))
        if ran.status and _NO_SUCH_FILE in ran.err:
            raise self._fault(TargetFault.MISSING, "is not there", "make it once, empty")
        if ran.status:
            raise self._fault(TargetFault.DENIED, "cannot be read", "give the user the right to")
        found = self._form.read(ran.out.decode("utf-8", "replace"))
        if found is None:
            raise self._fault(TargetFault.REFUSED, "holds what we did not write", "name a file of its own, or empty it")
        return found

    def _write(self, names: Iterable[str], serial: int) -> None:
        """Beside it and then in its place: a reader sees the one or the other."""
        text = self._form.render(tuple(sorted(names)), serial % SERIAL_MAX + 1)
        self._shell.must(("tee", f"{self._path}.new"), text.encode("ascii"))
        self._shell.must(("mv", "-f", f"{self._path}.new", self._path))
        self._shell.must(self._reload)

    def _fault(self, kind: str, what: str, todo: str) -> TargetFault:
        return TargetFault(kind, f"{self._path} {what}", where=self._shell.where, todo=todo)
