"""The pack as files: what they hold is decided here, how they come onto the disk as well: all of it, or nothing."""

from __future__ import annotations

import hashlib
import io
import os
import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterable, Mapping
from importlib.resources import files
from pathlib import Path

import msgspec

from countersign.errors import ConflictError, EnvironmentFault, UsageError
from countersign.ledger.note import VerifierKey, open_checkpoint
from countersign.ledger.proof import format_proof, make_proof, verify_proof
from countersign.ledger.record import LogReader
from countersign.reporting.model import Cited, Piece, Report

SUMS = "SHA256SUMS"
_BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_DATE = (1980, 1, 1, 0, 0, 0)
"""Of files in the archive: the same pack gives the same bytes."""


class Pinned:
    """A log under one checkpoint, whatever is sealed meanwhile: all proofs of a pack lead to the same root."""

    def __init__(self, log: LogReader, key: VerifierKey) -> None:
        self._log = log
        self._signed = log.checkpoint()
        if self._signed is None:
            raise ConflictError("log has no checkpoint yet", where="report", todo="seal it, then ask again")
        self.head = open_checkpoint(self._signed, [key])
        self.key = key

    def checkpoint(self) -> bytes:
        """The one that was there at the start."""
        assert self._signed is not None  # noqa: S101 - checked when it was read
        return self._signed

    def tile(self, level: int, index: int, width: int) -> bytes | None:
        """A hash tile."""
        return self._log.tile(level, index, width)

    def bundle(self, index: int, width: int) -> bytes | None:
        """An entry bundle."""
        return self._log.bundle(index, width)


def proved(log: Pinned, entries: Iterable[Cited]) -> dict[str, bytes]:
    """Every entry with its proof, checked before it goes out. Raises ConflictError when the checkpoint does not cover one,
    VerificationError when the log does not hold it as the database does."""
    found: dict[str, bytes] = {}
    for one in entries:
        if one.index >= log.head.size:
            what = f"checkpoint covers {log.head.size:,} entries, not this one"
            raise ConflictError(what, where=f"entry {one.index}", todo="see why the log is not sealed; `countersign verify`")
        proof, _ = make_proof(log, one.index, [log.key])
        text = format_proof(proof)
        verify_proof(text, one.data, [log.key])
        found[f"entries/{one.index}.json"] = one.data
        found[f"proofs/{one.index}.tlog-proof"] = text.encode()
    return found


def beside(pieces: Iterable[Piece]) -> dict[str, bytes]:
    """Matter beside the log: what recomputes its commitment, and what can be read."""
    found: dict[str, bytes] = {}
    for piece in pieces:
        found[f"evidence/{piece.digest}.salt"] = piece.salt
        found[f"evidence/{piece.digest}.bin"] = piece.data
        found |= {f"evidence/{name}": data for name, data in piece.plain}
    return found


def manual() -> dict[str, bytes]:
    """VERIFY.md, and the script that its blocks make."""
    text = files("countersign.reporting").joinpath("templates/VERIFY.md").read_text("utf-8")
    script = "#!/bin/sh\n# The blocks of VERIFY.md, one after the other; that file says what each does.\n\n"
    return {"VERIFY.md": text.encode(), "verify.sh": (script + "\n".join(_BLOCK.findall(text))).encode()}


def described(report: Report) -> bytes:
    """The report for programs."""
    return msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n"


def summed(found: Mapping[str, bytes]) -> dict[str, bytes]:
    """The files with their digests, by name."""
    lines = (f"{hashlib.sha256(found[name]).hexdigest()}  {name}\n" for name in sorted(found))
    return {**found, SUMS: "".join(lines).encode()}


def zipped(found: Mapping[str, bytes], folder: str) -> bytes:
    """One archive in which the files lie in a folder."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(found):
            info = zipfile.ZipInfo(f"{folder}/{name}", _DATE)
            info.external_attr = (0o755 if name.endswith(".sh") else 0o644) << 16
            archive.writestr(info, found[name], zipfile.ZIP_DEFLATED)
    return held.getvalue()


def check_free(out: Path) -> None:
    """Raises UsageError when something is there already: a pack replaces nothing."""
    if out.exists():
        raise UsageError("is there already", where=str(out), todo="name another folder with --out, or move it away")
    if not out.name:
        raise UsageError("not a folder to make", where=str(out), todo="name a new folder with --out")


def write(found: Mapping[str, bytes], out: Path) -> None:
    """All files into a new folder, whole or not at all. Raises UsageError, EnvironmentFault."""
    check_free(out)
    half: Path | None = None
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        half = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
        for name, data in found.items():
            path = half / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            path.chmod(0o755 if name.endswith(".sh") else 0o644)
        half.chmod(0o755)
        os.rename(half, out)
    except OSError as error:
        raise EnvironmentFault(
            f"cannot be written ({error.strerror})", where=str(out), todo="check path, room and rights"
        ) from error
    finally:
        if half is not None and half.exists():
            shutil.rmtree(half, ignore_errors=True)


def write_file(data: bytes, path: Path) -> None:
    """One file, whole or not at all. Raises EnvironmentFault."""
    half = path.with_name(f".{path.name}.part")
    try:
        half.write_bytes(data)
        os.replace(half, path)
    except OSError as error:
        half.unlink(missing_ok=True)
        raise EnvironmentFault(
            f"cannot be written ({error.strerror})", where=str(path), todo="check path and rights"
        ) from error
