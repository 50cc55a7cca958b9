"""Text that an attacker may have written, made safe and visible.

Everything is escaped. Characters that have no shape of their own, turn the reading direction or hide others (Unicode
categories Cc, Cf, Cs, Co, Cn, Zl, Zp and the blank letters) stand as ``⟦U+202E⟧`` tokens. See Unicode TR 36 and TR 39.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache

from markupsafe import Markup, escape

_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_BLANK = frozenset("\u115f\u1160\u2800\u3164\uffa0\u00a0\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a")
_PLAIN = re.compile(r"[ -~]+")
_KEPT_CHARS = 160
TEXT_CHARS_MAX = 20_000
"""Longest run of attacker text put on one page element; the raw view pages through all of it."""


def visible(text: str, *, lines: bool = False) -> Markup:
    """HTML of ``text``: escaped, hidden characters as tokens, isolated so that it cannot reorder its surroundings.
    With ``lines`` line feeds and tabs stay as they are (inside ``pre``)."""
    return _visible_short(text) if len(text) <= _KEPT_CHARS and not lines else _visible(text, lines=lines)


@lru_cache(maxsize=8192)
def _visible_short(text: str) -> Markup:
    """Titles, hosts and reasons come again and again on a page of a hundred rows."""
    return _visible(text, lines=False)


def _visible(text: str, *, lines: bool) -> Markup:
    cut = text[:TEXT_CHARS_MAX]
    if _PLAIN.fullmatch(cut):
        inner = escape(cut)
    else:
        inner = Markup().join(_token(part) if hidden else escape(part) for part, hidden in _runs(cut, lines=lines))
    more = Markup('<span class="cut">… {} more characters</span>').format(len(text) - len(cut)) if cut != text else ""
    return Markup("<bdi>{}</bdi>{}").format(inner, more)


def visible_text(text: str) -> str:
    """The same as plain text, for attributes, titles and SVG labels; the caller escapes it."""
    cut = text[:TEXT_CHARS_MAX]
    if _PLAIN.fullmatch(cut):
        return cut
    return "".join(f"⟦{_code(part)}⟧" if hidden else part for part, hidden in _runs(cut, lines=False))


def shorten(text: str, most: int) -> str:
    """At most ``most`` characters, the middle left out: both ends of a path, hash or domain tell it apart."""
    if len(text) <= most:
        return text
    head = (most - 1) * 3 // 5
    return f"{text[:head]}…{text[len(text) - (most - 1 - head) :]}"


def _runs(text: str, *, lines: bool) -> Iterator[tuple[str, bool]]:
    """(run of plain characters, False) and (one hidden character, True), in order."""
    start = 0
    for place, char in enumerate(text):
        if _is_hidden(char) and not (lines and char in "\n\t"):
            if start < place:
                yield text[start:place], False
            yield char, True
            start = place + 1
    if start < len(text):
        yield text[start:], False


@lru_cache(maxsize=4096)
def _is_hidden(char: str) -> bool:
    return char in _BLANK or unicodedata.category(char) in _HIDDEN


def _code(char: str) -> str:
    return f"U+{ord(char):04X}"


@lru_cache(maxsize=1024)
def _token(char: str) -> Markup:
    name = unicodedata.name(char, "control or unassigned character").lower()
    return Markup('<span class="hidden-char" title="{}">⟦{}⟧</span>').format(name, _code(char))
