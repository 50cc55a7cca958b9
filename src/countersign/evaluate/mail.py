"""Real mail, read and never rendered or followed: how much of it the text terms can read, and whether they learn at all.

Phishing of 2022-2024 and legitimate mail of 2002 differ by twenty years of mail software, so a model told one from the
other would know the years and nothing else: neither is ever trained or scored against the other (evaluation.md). Within
one corpus a fact that the headers state and the text does not, whether a mail is a reply, is what the older mails train and
the newer test.
"""

from __future__ import annotations

import email
import re
import tarfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from email.header import decode_header
from email.message import Message
from email.utils import parsedate_to_datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np

from countersign.errors import ConfigError, UsageError
from countersign.evaluate import learn_text
from countersign.evaluate.metrics import auc_ppm
from countersign.triage.text import Reader, Texts, buckets

MAIL_BYTES_MAX = 8 * 1024 * 1024
MAILS_MAX = 50_000
PARTS_MAX = 64
TESTED_SHARE = 3
"""One in so many, the newest, is the test."""
GROUP_MIN = 30
"""Fewest mails of each kind, in training and in test, for a figure to be given."""
RESAMPLES = 400
_ANSWER = re.compile(r"^(?:\s*(?:re|fw|fwd|aw)\s*(?:\[\d+\])?:)+\s*", re.IGNORECASE)
"""What a mail program puts before the subject of a reply: it would give the answer away."""
NOTES = (
    "coverage and machinery only: phishing and ham are never set against each other, as their years alone tell them apart",
    "no miss rate for phishing: the shipped model reads no text, and only a site's own labels can teach a model to",
    "telling replies says that the text terms learn and rank; it is no task of a SOC, and no rate of false positives",
)


@dataclass(frozen=True, slots=True)
class Mail:
    """One mail as it was read. reply: whether its headers say that it answers another.
    at_s: when it says it was sent, None when it does not."""

    name: str
    reply: bool
    at_s: int | None
    texts: Texts
    kinds: frozenset[str]


def evaluate(folder: Path) -> dict[str, Any]:
    """Every ``*.tar.xz`` of a folder, each by itself. Raises UsageError when there is none, ConfigError for a broken one."""
    files = sorted(folder.glob("*.tar.xz"))
    if not files:
        raise UsageError("no *.tar.xz file here", where=str(folder), todo="name the folder of mail corpora")
    return {"corpora": [corpus(path) for path in files], "notes": list(NOTES)}


def corpus(path: Path) -> dict[str, Any]:
    """Figures of one corpus."""
    mails, unreadable = [], []
    for name, raw in members(path):
        try:
            mails.append(read(name, raw))
        except Exception as error:  # mail of attackers breaks parsers in ways that no list names; it is counted by name
            unreadable.append(f"{name}: {type(error).__name__}")
    kinds = Counter(kind for mail in mails for kind in mail.kinds)
    grams = sorted(len(buckets(mail.texts)) for mail in mails)
    return {
        "corpus": path.name.split(".")[0],
        "mails": len(mails) + len(unreadable),
        "read": len(mails),
        "unreadable": unreadable[:20],
        "with_subject": kinds["subject"],
        "with_text": kinds["plain"] + kinds["html"] - kinds["both"],
        "html_only": kinds["html"] - kinds["both"],
        "with_date": sum(mail.at_s is not None for mail in mails),
        "grams_median": grams[len(grams) // 2] if grams else 0,
        "replies_told": ranked(mails),
    }


def members(path: Path) -> Iterator[tuple[str, bytes]]:
    """(name, bytes) of the files in an archive, in memory: nothing is written, links and devices are passed over."""
    try:
        with tarfile.open(path, "r:xz") as archive:
            for count, member in enumerate(archive):
                held = archive.extractfile(member) if member.isfile() and member.size <= MAIL_BYTES_MAX else None
                if count >= MAILS_MAX:
                    return
                if held is not None:
                    yield member.name.rsplit("/", 1)[-1], held.read()
    except (tarfile.TarError, EOFError, OSError) as error:
        raise ConfigError(f"not readable as tar.xz: {error}", where=path.name, todo="fetch the file again") from None


def read(name: str, raw: bytes) -> Mail:
    """Subject and text of one mail. HTML is stripped of its tags; nothing in it is fetched, run or shown."""
    message = email.message_from_bytes(raw)
    subject = _ANSWER.sub("", _header(message.get("Subject", "")))
    parts = [part for _, part in zip(range(PARTS_MAX), message.walk(), strict=False) if not part.is_multipart()]
    plain = " ".join(_text(part) for part in parts if part.get_content_type() == "text/plain").strip()
    html = " ".join(_stripped(_text(part)) for part in parts if part.get_content_type() == "text/html").strip()
    kinds = {"subject": bool(subject), "plain": bool(plain), "html": bool(html), "both": bool(plain and html)}
    texts = tuple(text for text in (subject, plain or html) if text)
    reply = message.get("In-Reply-To") is not None or message.get("References") is not None
    return Mail(name, reply, _sent(message), texts, frozenset(kind for kind, there in kinds.items() if there))


def _header(value: object) -> str:
    try:
        return " ".join(_decoded(data, charset) for data, charset in decode_header(str(value))).strip()
    except ValueError:  # a header that says it is encoded and is not
        return str(value).strip()


def _text(part: Message) -> str:
    data = part.get_payload(decode=True)
    return _decoded(data, part.get_content_charset()) if isinstance(data, bytes) else ""


def _decoded(data: bytes | str, charset: str | None) -> str:
    if isinstance(data, str):
        return data
    try:
        return data.decode(charset or "utf-8", "replace")
    except (LookupError, ValueError):  # a charset that nobody knows
        return data.decode("latin-1")


def _sent(message: Message) -> int | None:
    try:
        return int(parsedate_to_datetime(str(message.get("Date", ""))).timestamp())
    except (ValueError, TypeError, OverflowError, OSError):
        return None


class _Words(HTMLParser):
    """Text between the tags, without scripts and styles."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.said: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Scripts and styles are no text."""
        self._hidden += tag in {"script", "style"}

    def handle_endtag(self, tag: str) -> None:
        """And end here."""
        self._hidden = max(0, self._hidden - (tag in {"script", "style"}))

    def handle_data(self, data: str) -> None:
        """What a reader would see."""
        if not self._hidden:
            self.said.append(data)


def _stripped(html: str) -> str:
    words = _Words()
    words.feed(html)
    return " ".join(" ".join(words.said).split())


def ranked(mails: Sequence[Mail]) -> dict[str, Any] | None:
    """AUC of replies over first mails, trained on the older and tested on the newer; None where either kind is too rare.
    Mails without a date are left out."""
    dated = sorted((m for m in mails if m.at_s is not None), key=lambda m: (m.at_s or 0, m.name))
    cut = len(dated) - len(dated) // TESTED_SHARE
    older, newer = dated[:cut], dated[cut:]
    if min(sum(m.reply is kind for m in part) for part in (older, newer) for kind in (True, False)) < GROUP_MIN:
        return None
    truth = [m.reply for m in older]
    learnt = learn_text.learn(
        [m.texts for m in older], [m.name for m in older], truth, [1.0] * len(older), [0] * len(older), "check"
    )
    if learnt is None:
        return None
    reader = Reader(learnt.part)
    return _auc([reader.pico(m.texts) for m in newer], [m.reply for m in newer]) | {
        "trained": len(older),
        "tested": len(newer),
        "grams": len(learnt.part.buckets),
    }


def _auc(scores: Sequence[int], truth: Sequence[bool]) -> dict[str, Any]:
    rng = np.random.default_rng(7)
    kinds = [[i for i, real in enumerate(truth) if real is kind] for kind in (True, False)]
    drawn = []
    for _ in range(RESAMPLES):
        chosen = [i for kind in kinds for i in rng.choice(kind, len(kind)).tolist()]
        drawn.append(auc_ppm([scores[i] for i in chosen], [truth[i] for i in chosen]))
    return {"auc": [auc_ppm(scores, truth), int(np.quantile(drawn, 0.025)), int(np.quantile(drawn, 0.975))]}
