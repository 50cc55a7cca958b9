"""One error root with stable codes, so that scripts can tell failures apart.

Every error says what is wrong, where (file, line, field) and what to do. ``exit_code`` follows the command
contract: 1 a check failed, 2 wrong use or bad input, 3 environment.
"""

from __future__ import annotations

from typing import ClassVar


class CountersignError(Exception):
    """Root of everything this product raises on purpose."""

    code: ClassVar[str] = "countersign"
    exit_code: ClassVar[int] = 2

    def __init__(self, what: str, *, where: str = "", todo: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.todo = todo

    def __str__(self) -> str:
        """One line: where, what, what to do."""
        head = f"{self.where}: {self.what}" if self.where else self.what
        line = f"{head}; {self.todo}" if self.todo else head
        return " ".join(line.split())


class SourceError(CountersignError):
    """One alert could not be read. ``where`` is the field path inside it."""

    code = "source.unreadable"


class ConfigError(CountersignError):
    """A file a person wrote (configuration, mapping, inventory) is wrong; ``where`` is file:line: key."""

    code = "config.invalid"


class UsageError(CountersignError):
    """A command or request was used wrongly."""

    code = "usage"


class NotFoundError(CountersignError):
    """The thing named does not exist."""

    code = "not_found"


class ErasedError(NotFoundError):
    """What is asked for was erased, with an entry in the ledger that says so. entry: its index."""

    code = "erased"

    def __init__(self, entry: int, *, where: str = "") -> None:
        super().__init__(f"erased by entry {entry}", where=where)
        self.entry = entry


class ConflictError(CountersignError):
    """The thing was changed by somebody else, or its state does not allow this step."""

    code = "conflict"


class VerificationError(CountersignError):
    """A signature, proof, entry or replay does not hold."""

    code = "verification.failed"
    exit_code = 1


class EnvironmentFault(CountersignError):
    """Database, disk, port or optional extra is not there."""

    code = "environment"
    exit_code = 3


class RefusedError(CountersignError):
    """Whoever asks has not proved who they are, or may not."""

    code = "refused"


class TargetFault(EnvironmentFault):
    """A system that an action is for does not play along. kind: which way, one of a few fixed words."""

    code = "target.fault"
    UNREACHABLE, CREDENTIALS, DENIED, TIMEOUT, REFUSED, MISSING = (
        "unreachable",
        "wrong credentials",
        "permission denied",
        "no answer in time",
        "refused",
        "not there",
    )

    def __init__(self, kind: str, what: str, *, where: str = "", todo: str = "") -> None:
        super().__init__(what, where=where, todo=todo)
        self.kind = kind
