"""Timestamps beside the tiles: ``stamps/SIZE.note`` is the signed checkpoint, ``stamps/SIZE.tsr`` the answer over it, and
``stamps.json`` lists the sizes, so that whoever reads over HTTP finds them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
from cryptography import x509

from countersign.errors import ConfigError, VerificationError
from countersign.ledger.stamps import Stamp
from countersign.store.rotation import Beside
from countersign.store.tiles import TileDir

FILE = "stamps.json"
FOLDER = "stamps"
_decode = msgspec.json.Decoder(list[Annotated[int, msgspec.Meta(ge=0)]]).decode


def sizes(log: Beside) -> list[int]:
    """Sizes of the checkpoints that were stamped, ascending: those that the list names, and of a directory also those that
    lie there. Raises VerificationError where the list cannot be read."""
    listed = log.beside(FILE)
    try:
        found = set(_decode(listed)) if listed is not None else set()
    except msgspec.DecodeError as error:
        raise VerificationError(f"list of timestamps cannot be read: {error}", where=FILE) from error
    return sorted(found | (_lying(log) if isinstance(log, TileDir) else set()))


def _lying(tiles: TileDir) -> set[int]:
    names = (path.stem for path in (tiles.root / FOLDER).glob("*.note"))
    return {int(name) for name in names if name.isascii() and name.isdigit()}


def read(log: Beside, size: int) -> Stamp:
    """The stamp of one checkpoint; what is not there is empty in it."""
    path = f"{FOLDER}/{size}"
    return Stamp(size, log.beside(f"{path}.note") or b"", log.beside(f"{path}.tsr") or b"")


def write(tiles: TileDir, stamp: Stamp) -> None:
    """Publish a stamp; the answer first and the list last, so that nothing is ever named before it is there."""
    tiles.write([(f"{FOLDER}/{stamp.size}.tsr", stamp.token)])
    tiles.write([(f"{FOLDER}/{stamp.size}.note", stamp.signed)])
    enlist(tiles)


def enlist(tiles: TileDir) -> None:
    """Publish the list of the stamps that lie there, if it is not so already."""
    if found := _lying(tiles):
        tiles.write([(FILE, msgspec.json.encode(sorted(found)) + b"\n")])


def roots(path: str) -> list[x509.Certificate]:
    """Certificates of a PEM file; none when no file is named. Raises ConfigError."""
    if not path:
        return []
    try:
        return x509.load_pem_x509_certificates(Path(path).read_bytes())
    except (OSError, ValueError) as error:
        todo = "name a PEM file with the authority's root certificate"
        raise ConfigError("certificates cannot be read", where=f"ledger.timestamps.ca: {path}", todo=todo) from error
