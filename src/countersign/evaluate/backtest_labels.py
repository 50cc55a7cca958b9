"""What a word of an export says about an alert: threat, benign, or nothing. Pure.

A tool's word for "closed" says that somebody was done with it, not that it was harmless; it is taken as benign, because that
is how most tools close noise, and counted apart so that a site sees how much of its truth is only that.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from countersign.errors import UsageError


class Truth(StrEnum):
    """What people found. UNJUDGED: somebody looked and did not say, or nobody looked."""

    THREAT = "threat"
    BENIGN = "benign"
    UNJUDGED = "not judged"


THREAT = (
    "1 true yes threat malicious attack compromised confirmed important tp truepositive "
    "truepositivewithimpact truepositivewithoutimpact"
)
BENIGN = (
    "0 false no benign noise irrelevant legitimate expected authorized clean fp bp falsepositive benignpositive "
    "benigntruepositive falsealarm truenegative closed"
)
UNJUDGED = (
    "undetermined indeterminate inconclusive duplicate duplicated test testing other unknown unspecified notapplicable none "
    "na new open reopened inprogress pending assigned acknowledged active updated imported merged escalated resolved "
    "furtherinvestigationrequired automatedclosure ignored"
)
ONLY_CLOSED = "closed"
ANY_OTHER = "*"
_NOT_WORD = re.compile(r"[\W_]+")
_REASON = re.compile(r"\s+[-–—]\s+|\s*[(:]")


def plain(value: str) -> str:
    """``True Positive``, ``true_positive`` and ``TruePositive`` are one word."""
    return _NOT_WORD.sub("", value).casefold()


@dataclass(frozen=True, slots=True)
class Labels:
    """A site's table: the usual words, overridden by its mapping, overridden by what the command names."""

    table: dict[str, Truth]
    any_other: Truth | None = None

    def of(self, value: str) -> Truth | None:
        """What the value says; None for one that nobody has explained. An empty one says nothing.

        The value as it stands, then without what follows a dash, bracket or colon (``False Positive - inaccurate data``).
        """
        word = value.strip()
        if not word:
            return Truth.UNJUDGED
        for form in (word, plain(word), plain(_REASON.split(word, maxsplit=1)[0])):
            if form in self.table:
                return self.table[form]
        return self.any_other


def labels(*layers: Mapping[Truth, Sequence[str]]) -> Labels:
    """The usual words and these layers, the later ones counting more. ``*`` stands for every value not named; with it the
    usual words no longer count, because the site has said what every value means.

    Raises UsageError when one layer calls a value two things.
    """
    named: dict[str, Truth] = {}
    other: Truth | None = None
    for layer in layers:
        new = [(form, truth) for truth, values in layer.items() for value in values for form in _forms(value)]
        if (twice := next((form for form, truth in new if dict(new)[form] is not truth), None)) is not None:
            raise UsageError(f"{twice!r} cannot mean two things", where="label values", todo="name it once")
        other = dict(new).get(ANY_OTHER, other)
        named |= dict(new)
    usual = {} if other else {word: truth for truth, words in _USUAL.items() for word in words.split()}
    return Labels(usual | named, other)


def _forms(value: str) -> set[str]:
    return {form for form in (value.strip(), plain(value)) if form}


_USUAL = {Truth.THREAT: THREAT, Truth.BENIGN: BENIGN, Truth.UNJUDGED: UNJUDGED}
