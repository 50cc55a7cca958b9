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

from countersign.model.entities import EntityType
from countersign.model.findings import Finding
from countersign.model.verdicts import PICO, Contribution

SCHEME = 1
"""Version of what ``grams`` yields; a model of another scheme is refused."""
CHARS_MAX = 2_000
"""Most characters read of one artefact."""
GRAM_CHARS = 5
BITS = 18
"""Hashes are numbers below 2**18."""
SHOWN_MAX = 8
"""Grams shown by name; the others are one contribution."""
PREFIX = "text:"
REST = f"{PREFIX}rest"
MOST_PICO = 4 * PICO
"""Most that all text of a finding may add."""

Texts = tuple[str, ...]
_MASK = (1 << BITS) - 1
_READ = frozenset({EntityType.PROCESS, EntityType.FILE, EntityType.URL})
_WORD = re.compile(r"\w+")
_DIGIT = re.compile(r"\d")
_SPACE = re.compile(r"\s+")


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
        self._part = part
        self._weights = dict(zip(part.buckets, part.weights, strict=True))

    def contributions(self, texts: Iterable[str]) -> tuple[Contribution, ...]:
        """The strongest grams and the rest as one, all above 0; their sum is what the text adds, at most the cap. The
        value of each is the number of the hash, of the rest how many grams it sums up."""
        weights = self._weights
        found = sorted((b for b in buckets(texts) if b in weights), key=lambda b: (-weights[b], b))
        left = self._part.most
        shown = []
        for bucket in found[:SHOWN_MAX]:
            pico = min(weights[bucket], left)
            if pico:
                shown.append(Contribution(f"{PREFIX}{bucket}", bucket, pico))
            left -= pico
        rest = min(left, sum(weights[bucket] for bucket in found[SHOWN_MAX:]))
        return (*shown, Contribution(REST, len(found) - SHOWN_MAX, rest)) if rest else tuple(shown)

    def pico(self, texts: Iterable[str]) -> int:
        """What the text adds to the score: the sum of its contributions."""
        weights = self._weights
        return min(self._part.most, sum(weights.get(bucket, 0) for bucket in buckets(texts)))


def artefacts(finding: Finding) -> Texts:
    """The texts of a finding: title, message, and the command lines, files and URLs it names; no host, address or person."""
    named = (entity.value for entity in finding.entities if entity.type in _READ)
    return tuple(text for text in dict.fromkeys((finding.title, finding.message, *named)) if text)


def normal(text: str) -> str:
    """NFKC and case folding, digits as 0, white space as one blank; at most ``CHARS_MAX`` characters."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text[:CHARS_MAX]).casefold())
    return _SPACE.sub(" ", _DIGIT.sub("0", folded))[:CHARS_MAX]


def grams(text: str) -> frozenset[str]:
    """Words, pairs of neighbouring words and runs of ``GRAM_CHARS`` characters of a normal text, each with its kind's
    letter in front. Those of a text are among those of the text with more after a blank."""
    words = _WORD.findall(text)
    found = {f"w{word}" for word in words}
    found.update(f"p{one} {two}" for one, two in pairwise(words))
    found.update(f"c{text[i : i + GRAM_CHARS]}" for i in range(len(text) - GRAM_CHARS + 1))
    return frozenset(found)


def bucket_of(gram: str) -> int:
    """Number of the hash of one gram."""
    return crc32(gram.encode("utf-8", "surrogatepass")) & _MASK


def buckets(texts: Iterable[str]) -> frozenset[int]:
    """Numbers of all grams of some texts."""
    return frozenset(bucket_of(gram) for text in texts for gram in grams(normal(text)))


def is_text(contribution: Contribution) -> bool:
    """Whether it is one of the text's."""
    return contribution.feature.startswith(PREFIX)


def readable(finding: Finding, contributions: Sequence[Contribution]) -> tuple[Contribution, ...]:
    """The same with the gram itself as value: the longest of the finding's own that has this number. For screens only: the
    words are an attacker's, and may name a person."""
    if not any(map(is_text, contributions)):
        return tuple(contributions)
    own = sorted((gram for text in artefacts(finding) for gram in grams(normal(text))), key=lambda g: (len(g), g))
    names: dict[int | str, str] = {bucket_of(gram): gram[1:] for gram in own}
    return tuple(
        msgspec.structs.replace(c, value=names.get(c.value, c.value)) if is_text(c) and c.feature != REST else c
        for c in contributions
    )
