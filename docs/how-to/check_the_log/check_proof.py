"""Check that entries stand in the log with sigstore-python: its checkpoint and Merkle code.

    python check_proof.py VKEY PROOF ENTRY [PROOF ENTRY...]

VKEY is the line in log.vkey; PROOF and ENTRY come from `countersign proof`. What sigstore knows as a log of its own (Rekor)
is made here from our key, whose id is the one in C2SP signed-note. Needs `pip install sigstore` (seen with 4.5).
"""

import sys
from base64 import b64decode, b64encode
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from sigstore._internal.merkle import verify_merkle_inclusion
from sigstore._internal.rekor.checkpoint import LogCheckpoint, verify_checkpoint
from sigstore._internal.trust import Keyring
from sigstore.errors import VerificationError
from sigstore.models import TransparencyLogEntry
from sigstore_models.common.v1 import LogId, PublicKey, PublicKeyDetails, TimeRange
from sigstore_models.rekor.v1 import Checkpoint, InclusionProof, KindVersion
from sigstore_models.rekor.v1 import TransparencyLogEntry as Inner

ED25519 = bytes.fromhex("302a300506032b6570032100")  # RFC 8410


def main(vkey: str, files: list[str]) -> None:
    """Check each pair of files."""
    name, ident, encoded = vkey.strip().split("+", 2)
    key = b64decode(encoded)
    log_id = sha256(f"{name}\n".encode() + key).digest()
    if log_id[:4].hex() != ident or key[:1] != b"\1":
        raise VerificationError("verifier key is damaged")
    valid = TimeRange(start=datetime(1970, 1, 1, tzinfo=UTC))
    public = PublicKey(raw_bytes=b64encode(ED25519 + key[1:]), key_details=PublicKeyDetails.PKIX_ED25519, valid_for=valid)
    keyring = Keyring([public])
    for proof, entry in zip(files[::2], files[1::2], strict=True):
        index = check(name, log_id, keyring, Path(proof).read_text("utf-8"), Path(entry).read_bytes())
        print(f"verified: entry {index} of {name}")


def check(name: str, log_id: bytes, keyring: Keyring, proof: str, entry: bytes) -> str:
    """Raise VerificationError unless the proof holds; returns the index of the entry."""
    head, _, envelope = proof.partition("\n\n")
    form, *lines = (line for line in head.split("\n") if not line.startswith("extra "))
    if form != "c2sp.org/tlog-proof@v1" or not lines or not lines[0].startswith("index "):
        raise VerificationError("not a proof")
    index, path = lines[0].removeprefix("index "), lines[1:]
    signed = LogCheckpoint.from_text(envelope.partition("\n\n")[0])
    if signed.origin != name or not 0 <= int(index) < signed.log_size:
        raise VerificationError("checkpoint of another log, or not of this entry")
    root = b64encode(bytes.fromhex(signed.log_hash))
    note, size = Checkpoint(envelope=envelope), str(signed.log_size)
    inclusion = InclusionProof(log_index=index, root_hash=root, tree_size=size, hashes=path, checkpoint=note)
    inner = Inner(
        log_index=index,
        log_id=LogId(key_id=b64encode(log_id)),
        kind_version=KindVersion(kind="entry", version="1"),
        inclusion_proof=inclusion,
        canonicalized_body=b64encode(entry),
    )
    found = TransparencyLogEntry(inner)
    verify_checkpoint(keyring, found)
    verify_merkle_inclusion(found)
    return index


try:
    main(sys.argv[1], sys.argv[2:])
except (VerificationError, InvalidSignature, ValueError) as error:
    sys.exit(f"NOT VERIFIED: {str(error)[:100]}")
