"""The log's own Ed25519 key: ``keys/log.key`` (mode 0600) and, for everybody, ``log.vkey``.

The key file is one line, ``PRIVATE+KEY+name+hash+base64``, as the signed-note tools of the Go project read it. It carries
the log's name (its origin), which therefore cannot change during the life of the log.
"""

from __future__ import annotations

import base64
import binascii
import os
import secrets
import stat
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from countersign.errors import ConfigError, EnvironmentFault
from countersign.ledger.note import ALGORITHM_ED25519, VerifierKey, is_key_name, parse_vkey

KEY_FILE = "keys/log.key"
NEXT_FILE = "keys/log.next"
RETIRED = "keys/retired"
VKEY_FILE = "log.vkey"
_PREFIX = "PRIVATE+KEY+"
_LOOSE = stat.S_IRWXG | stat.S_IRWXO


class LogKey:
    """Signs checkpoints in the log's name (``ports.Signer``)."""

    def __init__(self, name: str, seed: bytes) -> None:
        self.name = name
        self._seed = seed
        self._key = Ed25519PrivateKey.from_private_bytes(seed)

    def sign(self, message: bytes) -> bytes:
        """Ed25519 signature, 64 bytes."""
        return self._key.sign(message)

    @property
    def public_key(self) -> bytes:
        """32 bytes."""
        return self._key.public_key().public_bytes_raw()

    @property
    def vkey(self) -> VerifierKey:
        """What others need to check this log."""
        return VerifierKey(self.name, self.public_key)

    def __repr__(self) -> str:
        """Never the secret."""
        return f"LogKey({self.vkey})"

    def encoded(self) -> str:
        """The secret key as text; it belongs in the key file and nowhere else."""
        secret = base64.b64encode(ALGORITHM_ED25519 + self._seed).decode()
        return f"{_PREFIX}{self.name}+{self.vkey.key_id.hex()}+{secret}"


class LiveKey:
    """The key in a file as it is at this moment: a process that runs on while the key is rotated signs with the new one."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen = (-1, -1)
        self._key: LogKey

    @property
    def key(self) -> LogKey:
        """The key itself. Raises as ``load`` does."""
        try:
            found = self._path.stat()
        except OSError as error:
            raise EnvironmentFault("log key cannot be read", where=str(self._path), todo="restore it") from error
        if self._seen != (found.st_ino, found.st_mtime_ns):
            self._key = load(self._path)
            self._seen = (found.st_ino, found.st_mtime_ns)
        return self._key

    @property
    def name(self) -> str:
        """The log's name."""
        return self.key.name

    @property
    def public_key(self) -> bytes:
        """32 bytes."""
        return self.key.public_key

    @property
    def vkey(self) -> VerifierKey:
        """What others need to check this log."""
        return self.key.vkey

    def sign(self, message: bytes) -> bytes:
        """Ed25519 signature, 64 bytes."""
        return self.key.sign(message)


def load_or_create(data: Path, origin: str = "") -> LiveKey:
    """The key of the log in ``data``; made on first use, named ``origin`` or ``countersign.local/<8 hex digits>``.

    Raises ConfigError when the file is damaged, readable by others, or of another origin, and EnvironmentFault when it
    is gone although a log was signed with it.
    """
    path = data / KEY_FILE
    if not path.exists():
        _create(data, origin or f"countersign.local/{secrets.token_hex(4)}")
    key = load(path)
    if origin and key.name != origin:
        raise ConfigError(f"log is named {key.name}, not {origin}", where=str(path), todo="an origin is fixed for life")
    publish(data, key)
    return LiveKey(path)


def load(path: Path, what: str = "log key") -> LogKey:
    """Read a key file; refuses one that others may read. what: how errors call it."""
    try:
        mode = path.stat().st_mode
        text = path.read_text(encoding="utf-8").removesuffix("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise EnvironmentFault(f"{what} cannot be read", where=str(path), todo="check the path and its rights") from error
    if mode & _LOOSE:
        todo = f"run chmod 600 {path}"
        raise ConfigError(f"{what} is open to others (mode {stat.S_IMODE(mode):04o})", where=str(path), todo=todo)
    return _parse(text, path, what)


def _parse(text: str, path: Path, what: str) -> LogKey:
    parts = text.removeprefix(_PREFIX).split("+", 2)
    try:
        raw = base64.b64decode(parts[2], validate=True) if len(parts) == 3 else b""
    except (binascii.Error, ValueError):
        raw = b""
    if text.startswith(_PREFIX) and is_key_name(parts[0]) and len(raw) == 33 and raw[:1] == ALGORITHM_ED25519:
        key = LogKey(parts[0], raw[1:])
        if key.vkey.key_id.hex() == parts[1]:
            return key
    raise ConfigError(f"{what} is damaged", where=str(path), todo="restore it from a backup")


def _create(data: Path, origin: str) -> None:
    """Write a new key file, unless another process was faster; never beside an existing log."""
    if (data / "tlog" / "checkpoint").exists():
        where, todo = str(data / KEY_FILE), "restore it from a backup: a new key cannot continue this log"
        raise EnvironmentFault("log key is gone", where=where, todo=todo)
    if not is_key_name(origin):
        raise ConfigError(f"{origin!r} cannot name a log", where="origin", todo="use neither white space nor plus")
    create_private(data / KEY_FILE, f"{LogKey(origin, secrets.token_bytes(32)).encoded()}\n".encode())


def create_private(path: Path, content: bytes) -> None:
    """Write a new file that only its owner may read, whole or not at all, unless another process was faster."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.parent.chmod(0o700)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    _write_private(temporary, content)
    try:
        os.link(temporary, path)  # unlike a rename, never replaces a key that is there
    except FileExistsError:
        pass
    finally:
        temporary.unlink()
    _flush(path.parent)


def publish(data: Path, key: LogKey) -> None:
    """Write ``log.vkey`` when it is missing or names a key that was rotated out; another one that differs is an error."""
    path, line = data / VKEY_FILE, f"{key.vkey}\n"
    published = path.read_text(encoding="utf-8") if path.exists() else ""
    if not published or published in {f"{one}\n" for one in retired(data)}:
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        temporary.write_text(line, encoding="utf-8")
        temporary.replace(path)
        _flush(data)
    elif published != line:
        raise ConfigError("published key is not that of this log", where=str(path), todo=f"it should read {key.vkey}")


def retired(data: Path) -> list[VerifierKey]:
    """The verifier keys that were rotated out."""
    return [parse_vkey(path.read_text(encoding="utf-8").strip()) for path in sorted((data / RETIRED).glob("*.vkey"))]


def retire(data: Path, key: LogKey) -> None:
    """Put ``keys/log.next`` in the place of ``key``, of which only the public half is kept, and publish it."""
    folder = data / RETIRED
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / f"{key.vkey.key_id.hex()}.vkey"
    if not path.exists():
        _write_private(path, f"{key.vkey}\n".encode())
        _flush(folder)
    (data / NEXT_FILE).replace(data / KEY_FILE)
    _flush((data / KEY_FILE).parent)
    publish(data, load(data / KEY_FILE))


def next_key(data: Path, name: str) -> LogKey:
    """The key that is to come, made on first use and kept until it is in force."""
    path = data / NEXT_FILE
    if not path.exists():
        create_private(path, f"{LogKey(name, secrets.token_bytes(32)).encoded()}\n".encode())
    return load(path)


def _write_private(path: Path, data: bytes) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _flush(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
