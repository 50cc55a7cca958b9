"""Offline proof of one entry."""

from __future__ import annotations

import pytest

from countersign.errors import NotFoundError, VerificationError
from countersign.ledger.proof import format_proof, make_proof, parse_proof, verify_proof
from countersign.ledger.tiles import entries_path
from tests.ledger_log import KEY, OTHER_KEY, MemoryLog, blobs, flip

ENTRIES = blobs(300)
LOG = MemoryLog(ENTRIES)
KEYS = [KEY.vkey]


@pytest.mark.parametrize("index", [0, 1, 127, 255, 256, 299])
def test_a_proof_checks_without_the_log(index: int) -> None:
    proof, entry = make_proof(LOG, index, KEYS)
    text = format_proof(proof)
    assert entry == ENTRIES[index]
    assert parse_proof(text) == proof
    assert verify_proof(text, entry, KEYS).size == 300
    with pytest.raises(VerificationError):
        verify_proof(text, ENTRIES[(index + 1) % 300], KEYS)
    with pytest.raises(VerificationError):
        verify_proof(text, entry, [OTHER_KEY.vkey])


def test_every_flipped_bit_of_a_proof_is_refused() -> None:
    proof, entry = make_proof(LOG, 299, KEYS)
    data = format_proof(proof).encode()
    for bit in range(8 * len(data)):
        try:
            text = flip(data, bit).decode()
        except UnicodeDecodeError:
            continue
        with pytest.raises(VerificationError):
            verify_proof(text, entry, KEYS)


def test_what_is_not_sealed_has_no_proof() -> None:
    for index in (-1, 300):
        with pytest.raises(NotFoundError, match="0 to 299"):
            make_proof(LOG, index, KEYS)
    with pytest.raises(NotFoundError, match="empty"):
        make_proof(MemoryLog(), 0, KEYS)
    bare = MemoryLog()
    del bare.files["checkpoint"]
    with pytest.raises(NotFoundError, match="no checkpoint"):
        make_proof(bare, 0, KEYS)


def test_a_damaged_log_proves_nothing() -> None:
    log = MemoryLog(ENTRIES)
    log.files[entries_path(0)] = flip(log.files[entries_path(0)], 8 * 40)
    with pytest.raises(VerificationError):
        make_proof(log, 0, KEYS)
    del log.files[entries_path(0)]
    with pytest.raises(VerificationError, match="bundle"):
        make_proof(log, 0, KEYS)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "c2sp.org/tlog-proof@v2\nindex 0\n\nx\n",
        "c2sp.org/tlog-proof@v1\n\nx\n",
        "c2sp.org/tlog-proof@v1\nindex 00\n\nx\n",
        "c2sp.org/tlog-proof@v1\nindex -1\n\nx\n",
        "c2sp.org/tlog-proof@v1\nindex x\n\nx\n",
        "c2sp.org/tlog-proof@v1\nindex \n\nx\n",
        "c2sp.org/tlog-proof@v1\nextra *\nindex 0\n\nx\n",
        "c2sp.org/tlog-proof@v1\nindex 0\nextra eA==\n\nx\n",
        "c2sp.org/tlog-proof@v1\nindex 0\nAAAA\n\nx\n",
        "c2sp.org/tlog-proof@v1\nindex 0\n" + "A" * 43 + "=\n" * 2,
        "c2sp.org/tlog-proof@v1\nindex 0\n" + ("A" * 43 + "=\n") * 64 + "\nx\n",
    ],
)
def test_malformed_proofs_are_refused(text: str) -> None:
    with pytest.raises(VerificationError):
        parse_proof(text)
