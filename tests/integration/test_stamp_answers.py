"""What authorities answer in other forms than DER: taken when ``openssl ts`` takes it, refused when it refuses it."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from hypothesis import given, settings
from hypothesis import strategies as st

from countersign.actions.der import elements, tlv
from countersign.bootstrap import open_site
from countersign.errors import VerificationError
from countersign.ledger.stamps import ask, check
from countersign.store.stamps import roots
from tests import fakes
from tests.examples import examples
from tests.integration.test_stamping import run, verified
from tests.timestamping import Authority, authority

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
SIGNING_CERTIFICATE, MESSAGE_DIGEST = bytes.fromhex("2a864886f70d010910020c"), bytes.fromhex("2a864886f70d010904")
SHA512 = bytes.fromhex("300d06096086480165030402030500")
Node = list[Any]
"""[tag, octets] or [tag, nodes]."""


def nodes(raw: bytes) -> list[Node]:
    return [[tag, nodes(value) if tag & 0x20 else value] for tag, value in elements(raw)]


def encoded(node: Node) -> bytes:
    return tlv(node[0], *([encoded(each) for each in node[1]] if isinstance(node[1], list) else [node[1]]))


class Reply:
    """An answer of ``openssl ts`` in its parts, in the order of DER; ``sign`` signs it anew."""

    def __init__(self, raw: bytes, key: Path) -> None:
        (self.whole,) = nodes(raw)
        signed = self.whole[1][1][1][1][1][0][1]
        self.algorithms, self.content, self.certificates = signed[1][1], signed[2][1], signed[3][1]
        self.info = signed[4][1][0][1]
        self.attributes = self.info[3][1]
        self.certificates.sort(key=encoded)
        self._key = key

    @property
    def octets(self) -> Node:
        found: Node = self.content[1][1][0]
        return found

    def attribute(self, oid: bytes) -> Node:
        return next(each for each in self.attributes if each[1][0][1] == oid)

    def sign(self) -> None:
        key = load_pem_private_key(self._key.read_bytes(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        self.info[5][1] = key.sign(tlv(0x31, *map(encoded, self.attributes)), ec.ECDSA(SHA256()))

    def out(self) -> bytes:
        return encoded(self.whole)


def _endless(node: Node, depth: int) -> bytes:
    """With marked ends down to this depth."""
    if depth and isinstance(node[1], list):
        return bytes((node[0], 0x80)) + b"".join(_endless(each, depth - 1) for each in node[1]) + b"\0\0"
    return encoded(node)


def _as_sent(reply: Reply) -> bytes:
    return reply.out()


def _from_the_root(reply: Reply) -> bytes:
    reply.certificates.reverse()
    return reply.out()


def _attributes_otherwise(reply: Reply) -> bytes:
    reply.attributes.reverse()
    reply.sign()
    return reply.out()


def _with_modifications(reply: Reply) -> bytes:
    reply.whole[1][0][1][0][1] = b"\1"
    return reply.out()


def _marked_ends(reply: Reply) -> bytes:
    return _endless(reply.whole, 5)


def _content_in_pieces(reply: Reply) -> bytes:
    octets = reply.octets
    octets[:] = [0x24, [[4, octets[1][:30]], [4, octets[1][30:]]]]
    return reply.out()


def _long_length(reply: Reply) -> bytes:
    body = b"".join(map(encoded, reply.whole[1]))
    return b"\x30\x84" + len(body).to_bytes(4) + body


def _more_algorithms(reply: Reply) -> bytes:
    reply.algorithms.insert(0, nodes(SHA512)[0])
    return reply.out()


def _default_written_out(reply: Reply) -> bytes:
    (info,) = nodes(reply.octets[1])
    info[1].insert(6, [1, b"\0"])
    reply.octets[1] = encoded(info)
    reply.attribute(MESSAGE_DIGEST)[1][1][1][0][1] = hashlib.sha256(reply.octets[1]).digest()
    reply.sign()
    return reply.out()


SOUND: dict[str, Callable[[Reply], bytes]] = {
    "as DER asks": _as_sent,
    "certificates in another order": _from_the_root,
    "signed attributes in another order": _attributes_otherwise,
    "granted with modifications": _with_modifications,
    "marked ends in place of lengths": _marked_ends,
    "content in pieces": _content_in_pieces,
    "a length longer than it need be": _long_length,
    "algorithms in another order": _more_algorithms,
    "a default written out": _default_written_out,
}


def _signed_in_another_order(reply: Reply) -> bytes:
    reply.attributes.reverse()
    return reply.out()


def _rejected(reply: Reply) -> bytes:
    reply.whole[1][0][1][0][1] = b"\2"
    return reply.out()


def _other_signature(reply: Reply) -> bytes:
    reply.info[5][1] = reply.info[5][1][:-1] + bytes([reply.info[5][1][-1] ^ 1])
    return reply.out()


def _other_time(reply: Reply) -> bytes:
    at = reply.octets[1].index(b"\x18\x0f") + 5  # the last digit of the year
    octets = bytearray(reply.octets[1])
    octets[at] ^= 1
    reply.octets[1] = bytes(octets)
    return reply.out()


def _no_certificate_named(reply: Reply) -> bytes:
    reply.attributes.remove(reply.attribute(SIGNING_CERTIFICATE))
    reply.sign()
    return reply.out()


def _another_certificate_named(reply: Reply) -> bytes:
    named = reply.attribute(SIGNING_CERTIFICATE)[1][1][1][0][1][0][1]
    named[0][1][0][1] = bytes(20)
    reply.sign()
    return reply.out()


def _another_named_beside(reply: Reply) -> bytes:
    named = reply.attribute(SIGNING_CERTIFICATE)[1][1][1][0][1][0][1]
    named.append([0x30, [[4, bytes(20)]]])
    reply.sign()
    return reply.out()


def _without(reply: Reply, name: str) -> bytes:
    subjects = {x509.load_der_x509_certificate(encoded(one)).subject.rfc4514_string(): one for one in reply.certificates}
    reply.certificates.remove(subjects[f"CN={name}"])
    return reply.out()


def _two_signers(reply: Reply) -> bytes:
    signers = reply.whole[1][1][1][1][1][0][1][4][1]
    signers.append(signers[0])
    return reply.out()


UNSOUND: dict[str, Callable[[Reply], bytes]] = {
    "attributes sent in another order than they were signed": _signed_in_another_order,
    "not granted": _rejected,
    "another signature": _other_signature,
    "another time": _other_time,
    "a signature that names no certificate": _no_certificate_named,
    "a signature that names another certificate": _another_certificate_named,
    "a signature that names one more that is not there": _another_named_beside,
    "without the signer's certificate": lambda reply: _without(reply, "tsa"),
    "without the certificate between": lambda reply: _without(reply, "between"),
    "two signers": _two_signers,
}


@dataclass
class Asked:
    """A question, the honest answer to it, and where the authority's keys are."""

    signed: bytes
    nonce: int | None
    answer: bytes
    folder: Path
    roots: list[x509.Certificate]

    def reply(self) -> Reply:
        return Reply(self.answer, self.folder / "tsa.key")

    def ours(self, token: bytes) -> bool:
        try:
            check(self.signed, token, self.roots, self.nonce)
        except VerificationError:
            return False
        return True

    def openssl(self, token: bytes) -> bool:
        (self.folder / "note").write_bytes(self.signed)
        (self.folder / "token").write_bytes(token)
        words = ["openssl", "ts", "-verify", "-data", "note", "-in", "token", "-CAfile", "ca.pem"]
        return subprocess.run(words, cwd=self.folder, capture_output=True, check=False).returncode == 0


@pytest.fixture(scope="module")
def tsa(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Authority]:
    with authority(tmp_path_factory.mktemp("answers") / "tsa", between=True) as made:
        yield made


@pytest.fixture(scope="module")
def asked(tsa: Authority) -> Asked:
    folder, signed = tsa.ca.parent, b"log.test/one\n1\nroot\n\n"
    question = ask(signed)
    (folder / "q").write_bytes(question.body)
    words = ["ts", "-reply", "-config", "tsa.cnf", "-queryfile", "q", "-out", "r", "-chain", "chain.pem"]
    subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)
    return Asked(signed, question.nonce, (folder / "r").read_bytes(), folder, roots(str(tsa.ca)))


@pytest.mark.parametrize("form", SOUND)
def test_what_openssl_takes_is_taken(asked: Asked, form: str) -> None:
    token = SOUND[form](asked.reply())
    assert asked.openssl(token)
    assert asked.ours(token)


@pytest.mark.parametrize("form", UNSOUND)
def test_what_openssl_refuses_is_refused(asked: Asked, form: str) -> None:
    token = UNSOUND[form](asked.reply())
    assert not asked.openssl(token)
    assert not asked.ours(token)


@pytest.mark.parametrize("form", ["certificates in another order", "marked ends in place of lengths"])
def test_such_an_answer_is_kept_as_it_came_and_verified(
    tsa: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    data = fakes.data_directory(tmp_path / "data")
    with (data / "countersign.toml").open("a") as file:
        file.write(f'\n[ledger.timestamps]\nurl = "{tsa.url}"\nca = "{tsa.ca}"\n')
    open_site(data).close()
    monkeypatch.setattr(tsa, "change", lambda raw: SOUND[form](Reply(raw, tsa.ca.parent / "tsa.key")))
    code, said = run("stamp", "--data", data)
    assert code == 0, said
    assert verified(data, tsa.ca)[0]
    (token,) = (data / "tlog" / "stamps").glob("*.tsr")
    words = ["openssl", "ts", "-verify", "-data", token.with_suffix(".note"), "-in", token, "-CAfile", tsa.ca]
    assert subprocess.run(words, capture_output=True, check=False).returncode == 0


def test_no_byte_that_matters_can_be_changed(asked: Asked) -> None:
    """Whatever is accepted with a changed byte says the same as before: its time and what it is over are signed."""
    honest = check(asked.signed, asked.answer, asked.roots, asked.nonce)
    accepted = 0
    for at in range(len(asked.answer)):
        token = bytearray(asked.answer)
        token[at] ^= 0x04
        try:
            assert check(asked.signed, bytes(token), asked.roots, asked.nonce) == honest, at
            accepted += 1
        except VerificationError:
            continue
    assert accepted < len(asked.answer) // 2, "most bytes matter"


HOSTILE = (b"\x30\x80" * 10_000, b"\x24\x80" * 50_000, b"\x30\x84\xff\xff\xff\xff", b"\x30" * 300_000)


@pytest.mark.parametrize("token", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_lengths_are_refused_at_once(asked: Asked, token: bytes) -> None:
    assert not asked.ours(token)


@settings(deadline=None, max_examples=examples(300))
@given(st.binary(max_size=200), st.integers(0, 4_000), st.integers(0, 60))
def test_whatever_comes_is_taken_or_refused_in_order(asked: Asked, noise: bytes, at: int, removed: int) -> None:
    assert not asked.ours(noise)
    asked.ours(asked.answer[:at] + noise + asked.answer[at + removed :])
