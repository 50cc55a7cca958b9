"""A site's own policy files: ``<data>/policy/*.cedar`` over the set that ships. Only a candidate: what decides comes from
the ledger, once people have activated it.

A file of a shipped name takes that file's place; any other is added. An empty file takes a shipped one out.
"""

from __future__ import annotations

from pathlib import Path

from countersign.errors import ConfigError, UsageError
from countersign.policy.shipped import ENDING, default_texts
from countersign.policy.texts import PolicyTexts

FOLDER = "policy"
BYTES_MAX = 1_000_000


def candidate(data: Path) -> PolicyTexts:
    """The shipped set with the site's files over it. Raises ConfigError where a file cannot be read."""
    shipped = default_texts()
    return PolicyTexts({**shipped.files, **_files(data / FOLDER)}, shipped.schema)


def folder(path: Path) -> PolicyTexts:
    """A whole set from one folder, in place of the shipped one. Raises UsageError when it holds none."""
    files = _files(path)
    if not files:
        raise UsageError(f"no *{ENDING} files", where=str(path), todo="name a folder that holds a policy set")
    return PolicyTexts(files, default_texts().schema)


def _files(path: Path) -> dict[str, str]:
    if not path.is_dir():
        return {}
    return {file.name: _text(file) for file in sorted(path.iterdir()) if file.suffix == ENDING}


def _text(file: Path) -> str:
    try:
        data = file.read_bytes()
        if len(data) > BYTES_MAX:
            raise ConfigError(f"longer than {BYTES_MAX} bytes", where=str(file), todo="split it")
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ConfigError("not UTF-8", where=f"{file}:{line}", todo="save it as UTF-8") from error
    except OSError as error:
        raise ConfigError(f"cannot be read ({error.strerror})", where=str(file), todo="check its rights") from error
