"""Each case of C2SP tlog-witness, over HTTP against a book on disk: status, body, media type, and what is remembered."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from countersign.errors import ConfigError, ConflictError, EnvironmentFault
from countersign.ledger.cosignature import cosign, cosignatures, with_signatures
from countersign.ledger.merkle import EMPTY_ROOT, consistency_proof
from countersign.ledger.note import Checkpoint, VerifierKey, b64, open_checkpoint, sign_note
from countersign.ledger.witness import PROOF_MAX, SIZE_TYPE, Request, origin_hash, parse_lines
from countersign.store.keys import LogKey
from countersign.witness.book import BOOK_FILE, EVIDENCE_MAX, Book, create
from countersign.witness.server import BODY_BYTES_MAX, create_app
from tests.ledger_log import KEY, OTHER_KEY, MemoryLog, blobs
from tests.witnesses import request

ENTRIES = blobs(400)
LOG = {size: MemoryLog(ENTRIES[:size]) for size in (0, 3, 200, 300, 301, 400)}
FORK = {size: MemoryLog([*ENTRIES[:250], *blobs(150, 250, "other")][:size]) for size in (300, 400)}
START = 300


class Witness:
    def __init__(self, data: Path) -> None:
        create(data, "witness.test/w1")
        self.now_s = 1_700_000_000
        self.book = Book(data, lambda: self.now_s)
        self.book.trust(KEY.vkey)
        self.client = TestClient(create_app(self.book))

    def post(self, body: bytes) -> Any:
        return self.client.post("/add-checkpoint", content=body)

    @property
    def size(self) -> int:
        return self.book.known()[0].size


@pytest.fixture
def fresh(tmp_path: Path) -> Witness:
    return Witness(tmp_path / "w")


@pytest.fixture
def witness(fresh: Witness) -> Witness:
    """One that has cosigned 300 entries."""
    assert fresh.post(request(LOG[START], 0)).status_code == 200
    return fresh


def cosigned(witness: Witness, log: MemoryLog, old: int) -> None:
    """The answer is one line, a cosignature of the checkpoint that was sent; it is remembered."""
    answer = witness.post(request(log, old))
    assert answer.status_code == 200, answer.text
    signed = with_signatures(log.checkpoint() or b"", parse_lines(answer.content))
    (found,) = cosignatures(signed, [witness.book.vkey])
    assert found.at_s == witness.now_s
    assert witness.size == open_checkpoint(signed, [KEY.vkey]).size


def test_the_first_the_next_and_the_same_again_are_cosigned(fresh: Witness) -> None:
    cosigned(fresh, LOG[0], 0)
    cosigned(fresh, LOG[3], 0)
    cosigned(fresh, LOG[200], 3)
    cosigned(fresh, LOG[300], 200)
    fresh.now_s += 1
    cosigned(fresh, LOG[300], 300)
    cosigned(fresh, LOG[400], 300)


def signed(log: MemoryLog, *keys: LogKey) -> bytes:
    """A log's checkpoint signed by these keys instead."""
    text = open_checkpoint(log.checkpoint() or b"", [KEY.vkey]).text
    return sign_note(text, keys[0]) if keys else f"{text}\n".encode()


def other_origin() -> bytes:
    stranger = LogKey("log.test/stranger", bytes([9]) * 32)
    return Request(0, (), sign_note(Checkpoint(stranger.name, 3, LOG[3].checkpoint() and b"\1" * 32).text, stranger)).body


def spoilt(body: bytes, old: bytes, new: bytes) -> bytes:
    assert old in body
    return body.replace(old, new, 1)


def forged() -> bytes:
    """Our name and key id over another text: the signature does not hold."""
    return spoilt(request(LOG[400], START), b"\n400\n", b"\n401\n")


def empty_with_a_root() -> bytes:
    return Request(0, (), sign_note(Checkpoint(KEY.name, 0, b"\1" * 32).text, KEY)).body


PROOF = consistency_proof(START, 400, LOG[400])
GOOD = request(LOG[400], START)
REFUSED: dict[str, tuple[int, Callable[[], bytes]]] = {
    "nothing": (400, lambda: b""),
    "no empty line": (400, lambda: spoilt(GOOD, b"\n\n", b"\n")),
    "no old size": (400, lambda: spoilt(GOOD, b"old 300\n", b"")),
    "old size with a zero in front": (400, lambda: spoilt(GOOD, b"old 300", b"old 0300")),
    "old size with a sign": (400, lambda: spoilt(GOOD, b"old 300", b"old +300")),
    "old size of other digits": (400, lambda: spoilt(GOOD, b"old 300", "old ３００".encode())),
    "two spaces": (400, lambda: spoilt(GOOD, b"old ", b"old  ")),
    "carriage return": (400, lambda: spoilt(GOOD, b"old 300\n", b"old 300\r\n")),
    "proof not base64": (400, lambda: spoilt(GOOD, b"old 300\n", b"old 300\n!\n")),
    "proof hash too short": (400, lambda: spoilt(GOOD, b"old 300\n", b"old 300\nAAAA\n")),
    "proof too long": (400, lambda: request(LOG[400], START, [b"\0" * 32] * (PROOF_MAX + 1))),
    "no signature": (400, lambda: Request(START, (), signed(LOG[400])).body),
    "no checkpoint": (400, lambda: Request(START, (), sign_note("only\ntwo\n", KEY)).body),
    "no newline at the end": (400, lambda: GOOD[:-1]),
    "old size over the checkpoint's": (400, lambda: request(LOG[200], START)),
    "unknown log": (404, other_origin),
    "unknown key": (403, lambda: request(LOG[400], START, signed=signed(LOG[400], OTHER_KEY))),
    "signature that does not hold": (403, forged),
    "rollback": (409, lambda: request(LOG[200], 3)),
    "stale old size": (409, lambda: request(LOG[400], 200)),
    "old size zero again": (409, lambda: request(LOG[400], 0)),
    "old size ahead": (409, lambda: request(LOG[400], 301)),
    "fork that is longer": (422, lambda: request(FORK[400], START)),
    "fork of the same size": (422, lambda: request(FORK[300], START)),
    "proof missing": (422, lambda: request(LOG[400], START, [])),
    "proof with one too many": (422, lambda: request(LOG[400], START, [*PROOF, b"\0" * 32])),
    "proof out of order": (422, lambda: request(LOG[400], START, PROOF[::-1])),
    "proof at the same size": (422, lambda: request(LOG[300], START, [b"\0" * 32])),
}


@pytest.mark.parametrize(("status", "body"), REFUSED.values(), ids=REFUSED)
def test_everything_else_is_refused_and_nothing_forgotten(witness: Witness, status: int, body: Callable[[], bytes]) -> None:
    answer = witness.post(body())
    assert answer.status_code == status, answer.text
    if status == 409:
        assert (answer.content, answer.headers["content-type"]) == (b"300\n", SIZE_TYPE)
    else:
        assert SIZE_TYPE not in answer.headers["content-type"]
    assert witness.size == START
    cosigned(witness, LOG[400], START)


def test_before_the_first_a_proof_and_a_false_empty_root_are_refused(fresh: Witness) -> None:
    assert fresh.post(request(LOG[3], 0, [b"\0" * 32])).status_code == 422
    assert fresh.post(empty_with_a_root()).status_code == 422
    assert fresh.post(request(LOG[400], 3)).content == b"0\n"
    assert open_checkpoint(LOG[0].checkpoint() or b"", [KEY.vkey]).root == EMPTY_ROOT


def test_signatures_of_strangers_are_passed_over(witness: Witness) -> None:
    log = LOG[400]
    text = open_checkpoint(log.checkpoint() or b"", [KEY.vkey]).text
    many = [cosign(text, LogKey(f"stranger.test/{n}", bytes([n + 1]) * 32), 5) for n in range(16)]
    assert witness.post(request(log, START, signed=with_signatures(log.checkpoint() or b"", many))).status_code == 200


def test_a_log_may_have_two_keys_and_an_origin_of_another_name(witness: Witness) -> None:
    witness.book.trust(VerifierKey(OTHER_KEY.name, OTHER_KEY.public_key))
    assert witness.post(request(LOG[400], START, signed=signed(LOG[400], OTHER_KEY))).status_code == 200
    named = LogKey("signer.test/k", bytes([8]) * 32)
    witness.book.trust(named.vkey, "log.test/two")
    note = sign_note(Checkpoint("log.test/two", 0, EMPTY_ROOT).text, named)
    assert witness.post(Request(0, (), note).body).status_code == 200


def test_what_contradicts_is_kept_once_and_not_without_end(witness: Witness) -> None:
    for _ in range(2):
        assert witness.post(request(FORK[400], START)).status_code == 422
    ((at_s, why, note),) = witness.book.refused(KEY.name)
    assert (at_s, note) == (witness.now_s, FORK[400].checkpoint())
    proof = consistency_proof(START, 400, FORK[400])
    assert all(b64(node) in why for node in proof), "others can see the same"
    assert witness.post(Request(START, (), FORK[300].checkpoint() or b"").body).status_code == 422
    for number in range(EVIDENCE_MAX + 5):
        fork = sign_note(Checkpoint(KEY.name, START, bytes([number]) * 32).text, KEY)
        witness.post(Request(START, (), fork).body)
    assert len(witness.book.refused(KEY.name)) == EVIDENCE_MAX == witness.book.known()[0].refused


def test_a_true_checkpoint_with_a_wrong_proof_accuses_nobody(witness: Witness) -> None:
    true, proof = LOG[400].checkpoint() or b"", tuple(consistency_proof(START, 400, LOG[400]))
    for wrong in ((), proof[:-1], proof[::-1], (*proof, b"\0" * 32), (b"\0" * 32, *proof[1:])):
        stranger = cosign("x\n", LogKey(f"stranger.test/{len(wrong)}", b"\7" * 32), 5)
        assert witness.post(Request(START, wrong, with_signatures(true, [stranger])).body).status_code == 422
    assert witness.post(Request(START, (b"\0" * 32,), LOG[START].checkpoint() or b"").body).status_code == 422
    (known,) = witness.book.known()
    assert (known.refused, known.unshown) == (0, 2)
    for number in range(EVIDENCE_MAX + 5):
        note = sign_note(Checkpoint(KEY.name, 500 + number, b"\1" * 32).text, KEY)
        witness.post(Request(START, (), note).body)
    assert witness.book.known()[0].unshown == EVIDENCE_MAX
    assert witness.post(request(FORK[400], START)).status_code == 422
    assert witness.book.known()[0].refused == 1, "what shows a fork is kept, however much there is of the other"
    cosigned(witness, LOG[400], START)
    assert true not in [note for _, _, note in witness.book.refused(KEY.name)], "cosigned, it is no suspect"


def test_who_compares_is_shown_the_last_checkpoint_with_both_signatures(witness: Witness) -> None:
    shown = witness.client.get(f"/{origin_hash(KEY.name)}/checkpoint")
    assert open_checkpoint(shown.content, [KEY.vkey]).size == START
    assert len(cosignatures(shown.content, [witness.book.vkey])) == 1
    assert witness.client.get(f"/{origin_hash('log.test/none')}/checkpoint").status_code == 404


def test_other_methods_and_bodies_without_end_are_refused(witness: Witness) -> None:
    assert witness.client.get("/add-checkpoint").status_code == 405
    assert witness.post(b"x" * (BODY_BYTES_MAX + 1)).status_code == 413


def test_a_clock_that_went_back_cosigns_nothing(witness: Witness) -> None:
    witness.now_s -= 1
    assert witness.post(GOOD).status_code == 503
    witness.now_s += 1
    assert witness.post(GOOD).status_code == 200


def test_of_many_at_once_each_branch_of_a_fork_never_both(witness: Witness) -> None:
    """Sixteen threads, half of them with the other branch: at every size only one root is cosigned."""
    bodies = [request(log[400], START) for log in (LOG, FORK)] + [request(LOG[301], START), request(LOG[300], START)]
    found: list[tuple[bytes, int]] = []

    def send(body: bytes) -> None:
        found.append((body, witness.post(body).status_code))

    threads = [threading.Thread(target=send, args=(bodies[n % len(bodies)],)) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 16
    assert {status for body, status in found if body == bodies[1]} <= {409, 422}
    assert witness.size in (301, 400)
    sizes = [size for size in (301, 400) if (request(LOG[size], START), 200) in found]
    assert max(sizes) == witness.size


def test_a_book_that_is_gone_or_of_another_key_is_not_begun_anew(tmp_path: Path) -> None:
    one, two = Witness(tmp_path / "one"), Witness(tmp_path / "two")
    one.post(request(LOG[3], 0))
    (tmp_path / "one" / BOOK_FILE).rename(tmp_path / "aside")
    with pytest.raises(EnvironmentFault, match="is gone"):
        Book(tmp_path / "one", lambda: 1)
    assert one.post(request(LOG[200], 3)).status_code == 503
    assert not (tmp_path / "one" / BOOK_FILE).exists()
    with pytest.raises(ConflictError, match="already"):
        create(tmp_path / "one", "witness.test/w1")
    (tmp_path / "two" / BOOK_FILE).replace(tmp_path / "one" / BOOK_FILE)
    with pytest.raises(ConfigError, match="another key"):
        Book(tmp_path / "one", lambda: 1)
    assert two.book.vkey != one.book.vkey


def test_a_log_cannot_witness_itself(fresh: Witness) -> None:
    with pytest.raises(ConfigError, match="itself"):
        fresh.book.trust(VerifierKey("log.test/self", fresh.book.key.public_key))
