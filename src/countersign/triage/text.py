"""Text terms: n-grams of what an alert says, hashed, each with a weight that can only add to the score (P10).

Words of an attacker raise a finding's priority or leave it alone: no weight is negative, a gram counts once however often
it stands there, and each artefact is read by itself, so text that is added takes nothing away. The whole is capped: a wall
of text cannot push everything else aside. Hash: the low bits of CRC-32 (ISO 3309, RFC 1952 section 8) of the gram in UTF-8
with a letter for its kind in front. Digits read as 0; hosts, addresses and people are not read: weights learn words, not
identities. Verdict and ledger hold the number of the hash; ``readable`` finds the gram in the finding's own text.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from itertools import pairwise
from zlib import crc32

import msgspec
import numpy as np
from numpy.typing import NDArray

from countersign.model.entities import EntityType
from countersign.model.findings import Finding
from countersign.model.verdicts import PICO, Contribution

SCHEME = 1
"""Version of what ``hashes`` yields; a model of another scheme is refused."""
CHARS_MAX = 2_000
"""Most characters read of one artefact."""
RUN_OCTETS = 5
BITS = 18
"""Hashes are numbers below 2**18."""
SHOWN_MAX = 8
"""Grams shown by name; the others are one contribution."""
PREFIX = "text:"
REST = f"{PREFIX}rest"
MOST_PICO = 4 * PICO
"""Most that all text of a finding may add."""

Texts = tuple[str, ...]
Numbers = NDArray[np.int64]
_MASK = (1 << BITS) - 1
_READ = frozenset({EntityType.PROCESS, EntityType.FILE, EntityType.URL})
_RUN = b"c"
_ONES = 0xFFFFFFFF
_WORD = re.compile(r"\w+")
_DIGIT = re.compile(r"\d")
_SPACE = re.compile(r"\s+")


def _crc_table() -> NDArray[np.uint32]:
    """The 256 remainders of the polynomial (RFC 1952 section 8)."""
    rows = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        rows = np.where(rows & 1, np.uint32(0xEDB88320) ^ (rows >> np.uint32(1)), rows >> np.uint32(1))
    return rows


_TABLE = _crc_table()


class TextPart(msgspec.Struct, frozen=True):
    """The text part of a model document. buckets: rising numbers of hashed grams. weights: for each, above 0, in
    pico-logits. most: cap on their sum."""

    scheme: int
    most: int
    buckets: tuple[int, ...]
    weights: tuple[int, ...]
    reason: str = ""

    def __post_init__(self) -> None:
        if self.scheme != SCHEME or not 0 < self.most <= MOST_PICO:
            raise ValueError("the text part is not of this version's scheme")
        rising = all(a < b for a, b in pairwise(self.buckets))
        if len(self.weights) != len(self.buckets) or not rising or any(not 0 <= b <= _MASK for b in self.buckets):
            raise ValueError("the text part's buckets must rise, be hashes and have a weight each")
        if any(weight <= 0 for weight in self.weights):
            raise ValueError("text may only raise a score: every weight must be above 0")


class Reader:
    """A text part ready to read with."""

    def __init__(self, part: TextPart) -> None:
        self._most = part.most
        self._table = np.zeros(1 << BITS, dtype=np.int64)
        self._table[list(part.buckets)] = part.weights

    def contributions(self, texts: Iterable[str]) -> tuple[Contribution, ...]:
        """The strongest grams and the rest as one, all above 0; their sum is what the text adds, at most the cap. The
        value of each is the number of the hash, of the rest how many grams it sums up."""
        numbers = self._known(texts)
        weights = self._table[numbers]
        order = np.lexsort((numbers, -weights))
        found = list(zip(numbers[order].tolist(), weights[order].tolist(), strict=True))
        left = self._most
        shown = []
        for bucket, weight in found[:SHOWN_MAX]:
            if pico := min(weight, left):
                shown.append(Contribution(f"{PREFIX}{bucket}", bucket, pico))
            left -= pico
        rest = min(left, sum(weight for _, weight in found[SHOWN_MAX:]))
        return (*shown, Contribution(REST, len(found) - SHOWN_MAX, rest)) if rest else tuple(shown)

    def pico(self, texts: Iterable[str]) -> int:
        """What the text adds to the score: the sum of its contributions."""
        return min(self._most, int(self._table[self._known(texts)].sum()))

    def _known(self, texts: Iterable[str]) -> Numbers:
        """Those of the texts' hashes that have a weight, each once: few, so that only few are sorted."""
        numbers = _hashes(texts)
        return np.unique(numbers[self._table[numbers] > 0])


def artefacts(finding: Finding) -> Texts:
    """The texts of a finding: title, message, and the command lines, files and URLs it names; no host, address or person."""
    named = (entity.value for entity in finding.entities if entity.type in _READ)
    return tuple(text for text in dict.fromkeys((finding.title, finding.message, *named)) if text)


def normal(text: str) -> str:
    """NFKC and case folding, digits as 0, white space as one blank; at most ``CHARS_MAX`` characters."""
    text = text[:CHARS_MAX]
    if text.isascii():  # the same, sooner
        folded = text.lower()
    else:
        folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return _SPACE.sub(" ", _DIGIT.sub("0", folded))[:CHARS_MAX]


def words(text: str) -> frozenset[str]:
    """Words and pairs of neighbouring words of a normal text, each with its kind's letter in front."""
    found = _WORD.findall(text)
    return frozenset([f"w{word}" for word in found] + [f"p{one} {two}" for one, two in pairwise(found)])


def bucket_of(gram: str) -> int:
    """Number of the hash of one gram."""
    return crc32(gram.encode("utf-8", "surrogatepass")) & _MASK


def hashes(texts: Iterable[str]) -> Numbers:
    """Numbers of all grams of some texts, each once, rising. Those of a text are among those of the text with more after a
    blank."""
    return np.unique(_hashes(texts))


def _hashes(texts: Iterable[str]) -> Numbers:
    """As they come, some more than once."""
    parts = [np.zeros(0, dtype=np.int64)]
    for text in texts:
        own = normal(text)
        parts.append(np.array([bucket_of(gram) for gram in words(own)], dtype=np.int64))
        parts.append(_runs(own.encode("utf-8", "surrogatepass")))
    return np.concatenate(parts)


def buckets(texts: Iterable[str]) -> frozenset[int]:
    """The same as a set."""
    return frozenset(hashes(texts).tolist())


def _runs(data: bytes) -> Numbers:
    """CRC-32 of every run of ``RUN_OCTETS`` octets with its kind's letter in front, all at once, an octet a round."""
    count = max(0, len(data) - RUN_OCTETS + 1)
    octets = np.frombuffer(data, dtype=np.uint8).astype(np.uint32)
    state = np.full(count, crc32(_RUN) ^ _ONES, dtype=np.uint32)
    for i in range(RUN_OCTETS):
        state = _TABLE[(state ^ octets[i : i + count]) & 0xFF] ^ (state >> np.uint32(8))
    return ((state ^ np.uint32(_ONES)) & np.uint32(_MASK)).astype(np.int64)


def is_text(contribution: Contribution) -> bool:
    """Whether it is one of the text's."""
    return contribution.feature.startswith(PREFIX)


def readable(finding: Finding, contributions: Sequence[Contribution]) -> tuple[Contribution, ...]:
    """The same with the gram itself as value: the finding's own word, or else run, that has this number. For screens only:
    the words are an attacker's, and may name a person."""
    if not any(map(is_text, contributions)):
        return tuple(contributions)
    names: dict[int | str, str] = {}
    for text in map(normal, artefacts(finding)):
        data = text.encode("utf-8", "surrogatepass")
        runs = (data[i : i + RUN_OCTETS] for i in range(len(data) - RUN_OCTETS + 1))
        names |= {crc32(_RUN + run) & _MASK: run.decode("utf-8", "replace") for run in runs}
        names |= {bucket_of(gram): gram[1:] for gram in sorted(words(text))}
    return tuple(
        msgspec.structs.replace(c, value=names.get(c.value, c.value)) if is_text(c) and c.feature != REST else c
        for c in contributions
    )
