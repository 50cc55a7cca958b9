"""Timestamps beside the tiles: ``stamps/SIZE.note`` is the signed checkpoint, ``stamps/SIZE.tsr`` the answer over it."""

from __future__ import annotations

from pathlib import Path

from cryptography import x509

from countersign.errors import ConfigError
from countersign.ledger.stamps import Stamp
from countersign.store.tiles import TileDir

FOLDER = "stamps"


def read(tiles: TileDir) -> list[Stamp]:
    """Every stamp of the log, the oldest first; a checkpoint whose answer is gone comes with an empty one."""
    names = sorted((path.stem for path in (tiles.root / FOLDER).glob("*.note")), key=lambda name: (len(name), name))
    return [
        Stamp(name, tiles.beside(f"{FOLDER}/{name}.note") or b"", tiles.beside(f"{FOLDER}/{name}.tsr") or b"")
        for name in names
    ]


def write(tiles: TileDir, stamp: Stamp) -> None:
    """Publish a stamp; the answer first, so that none is ever without its checkpoint's answer."""
    tiles.write([(f"{FOLDER}/{stamp.name}.tsr", stamp.token)])
    tiles.write([(f"{FOLDER}/{stamp.name}.note", stamp.signed)])


def roots(path: str) -> list[x509.Certificate]:
    """Certificates of a PEM file; none when no file is named. Raises ConfigError."""
    if not path:
        return []
    try:
        return x509.load_pem_x509_certificates(Path(path).read_bytes())
    except (OSError, ValueError) as error:
        todo = "name a PEM file with the authority's root certificate"
        raise ConfigError("certificates cannot be read", where=f"ledger.timestamps.ca: {path}", todo=todo) from error
