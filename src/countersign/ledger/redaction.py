"""Take one person's names out of values: whatever is decoded goes in, the same shape with a token in their place comes out.

A name is found in any case, with any percent, quoted-printable, backslash (JSON, ``\\x``, octal) or HTML escape of its
characters, in UTF-16 (every other octet nought), in Latin-1, and inside Base64 (over several lines, too) and hexadecimal
text. It must stand by itself: letters or digits right before or after it make it another word. Names of others that contain
it (``keep``) are left as they are. Pure.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

from countersign.errors import UsageError

NAME_CHARS_MIN = 3
ENCODED_CHARS_MIN = 4
"""Shorter names are not looked for inside Base64 and hexadecimal text, where chance spells them."""
TOKEN_PREFIX = "erased~"  # noqa: S105 - what stands in a name's place, not a secret
_DEPTH_MAX = 4
_BASE64 = re.compile(r"(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{8,}={0,2}(?![A-Za-z0-9+/_=-])")
_LINES = re.compile(
    r"(?<![A-Za-z0-9+/])[A-Za-z0-9+/]{48,76}(\r?\n|(?:\\r)?\\n)(?:[A-Za-z0-9+/]{48,76}\1)*[A-Za-z0-9+/]{1,76}={0,2}"
)
_HEX = re.compile(r"(?<![0-9A-Fa-f])(?:[0-9A-Fa-f]{2}){4,}(?![0-9A-Fa-f])")
_DUMP = re.compile(r"(?<![0-9A-Fa-f])[0-9A-Fa-f]{2}([ :-])(?:[0-9A-Fa-f]{2}\1){2,}[0-9A-Fa-f]{2}(?![0-9A-Fa-f])")
_BEFORE = (
    r"(?:(?<![^\W_])|(?<=%[0-9A-Fa-f]{2})|(?<=\\[nrtbf])|(?<=[\\%]u[0-9A-Fa-f]{4})|(?<=\\x[0-9A-Fa-f]{2})|(?<=\\[0-3][0-7]{2}))"
    r"(?<![^\W_]\x00)"
)
_AFTER = r"(?!\x00?[^\W_])"
_BEFORE_MAIL = _BEFORE + r"(?<![.+_-])"
_AFTER_MAIL = _AFTER + r"(?!\x00?[.-]\x00?[^\W_])"
_RUNS = re.compile(rb"[a-z0-9]+")
_QUOTED = re.compile(rb"=([0-9A-Fa-f]{2})()()()()")
_SOFT = re.compile(rb"=(?:\r?\n|(?:\\r)?\\n)")
_ESCAPE = re.compile(
    rb"(?:%(?:25)?|\\+x)([0-9A-Fa-f]{2})|(?:\\+|%)u([0-9A-Fa-f]{4})|&#0*([0-9]{1,7});|&#[xX]0*([0-9A-Fa-f]{1,6});"
    rb"|\\+([0-3][0-7]{2})"
)
_BETWEEN = r"(?:\x00|=(?:\r?\n|(?:\\r)?\\n))?"
"""The other octet of UTF-16, or where quoted-printable breaks a line, also within a string of JSON."""
_SPACE = r"(?:\s+|%(?:25)?20|\+|_|=20|\\+x20|\\+040|(?:\\+|%)u0020|&#0*32;|&#x0*20;|&nbsp;)"
_WHITE = re.compile(r"\\[bfnrt]")
_JSON_START = re.compile(r"\s*[{\[\"]")
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode


class Redactor:
    """Finds and replaces. names: of the person, each at least ``NAME_CHARS_MIN`` characters. keep: names of others.
    encoded: whether to look inside Base64 and hexadecimal text as well."""

    def __init__(self, names: Iterable[str], token: str, keep: Iterable[str] = (), *, encoded: bool = True) -> None:
        wanted = sorted({_plain(name) for name in names}, key=lambda name: (-len(name), name))
        if short := [name for name in wanted if len(name) < NAME_CHARS_MIN]:
            todo = f"give at least {NAME_CHARS_MIN} characters"
            raise UsageError(f"{short[0]!r} is too short to be told from other text", where="person", todo=todo)
        self._token = token
        self._find = re.compile("|".join(_patterns(wanted)) or r"(?!)", re.IGNORECASE)
        if self._find.search(token):
            raise UsageError("the name is part of what stands in its place", where="person", todo="give the whole name")
        self._keep: re.Pattern[str] | None = None
        kept = sorted({_plain(name) for name in keep} - set(wanted), key=lambda name: (-len(name), name))
        if kept := [name for name in kept if self._find.search(name)]:
            self._keep = re.compile("|".join(_patterns(kept)), re.IGNORECASE)
        self._encoded = encoded and bool(wanted) and max(map(len, wanted)) >= ENCODED_CHARS_MIN
        self._runs = tuple({max(_RUNS.findall(name.lower().encode()), key=len, default=b"") for name in wanted})

    def hits(self, text: str) -> bool:
        """Whether the text names the person."""
        return self.text(text) != text

    def text(self, text: str, depth: int = 0) -> str:
        """The text with the token in place of every name."""
        if len(text) < NAME_CHARS_MIN:
            return text
        if self._likely(text) and self._find.search(text):
            text = self._replaced(text)
        if self._encoded and depth < _DEPTH_MAX:
            text = _LINES.sub(lambda m: self._lines(m[0], m[1], depth + 1), text)
            text = _BASE64.sub(lambda m: self._base64(m[0], depth + 1), text)
            text = _HEX.sub(lambda m: self._hex(m[0], "", depth + 1), text)
            text = _DUMP.sub(lambda m: self._hex(m[0], m[1], depth + 1), text)
        return text

    def _likely(self, text: str) -> bool:
        """Whether looking closely can find anything: the longest plain run of a name must be there once escapes are read.
        Saves nearly all of the time."""
        data = text.encode("utf-8", "surrogatepass").replace(b"\x00", b"").lower()
        data = _SOFT.sub(b"", data)
        read = (escape.sub(_unescaped, data).lower() for escape in (_ESCAPE, _QUOTED))  # apart: ``=ad`` may begin a name
        return any(run in way for way in (data, *read) for run in self._runs)

    def value(self, value: Any) -> Any:  # noqa: ANN401 - any decoded value
        """Strings, bytes, lists and mappings, keys included, however deep."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, bytes):
            return self.packed(value)
        if isinstance(value, list | tuple):
            return [self.value(one) for one in value]
        if isinstance(value, dict):
            return {self.value(key): self.value(held) for key, held in value.items()}
        return value

    def packed(self, data: bytes) -> bytes:
        """Bytes: what is msgpack within is read as such, everything else as text."""
        if self._silent(data):
            return data
        try:
            inner = _decode(data)
        except (msgspec.DecodeError, RecursionError):
            return self.raw(data)
        if isinstance(inner, int | float | bool | None):  # a byte or two of text reads as a number
            return self.raw(data)
        return _encode(self.value(inner))

    def raw(self, data: bytes) -> bytes:
        """One raw message. JSON stays JSON; what is not touched keeps its bytes."""
        if self._silent(data):
            return data
        text = _text(data)
        again = self._json(text) if _JSON_START.match(text) else None
        if again is None:
            again = self.text(text)
        if self._silent(_octets(again)):
            return _octets(again)
        return _encode_json(self._token)  # an escape within an escape: the message goes as a whole

    def _silent(self, data: bytes) -> bool:
        """Whether no name is in the bytes, whatever they are; without JSON's escapes too, which may cut Base64 in pieces (a
        solidus) or stick to it (the letter of a tab)."""
        text = _text(data)
        if self.hits(text):
            return False
        return "\\" not in text or not self.hits(_WHITE.sub(" ", text.replace("\\/", "/")))

    def _json(self, text: str) -> str | None:
        try:
            held = json.loads(text)
            return json.dumps(self.value(held), separators=(",", ":"))
        except (ValueError, RecursionError):
            return None

    def _replaced(self, text: str) -> str:
        spans = [m.span() for m in self._keep.finditer(text)] if self._keep is not None else []
        return self._find.sub(lambda m: m[0] if _within(m.span(), spans) else self._instead(m[0]), text)

    def _instead(self, found: str) -> str:
        if "\x00" not in found:
            return self._token
        wide = "".join(f"{c}\x00" for c in self._token)
        return wide if found.endswith("\x00") else wide[:-1]

    def _base64(self, found: str, depth: int) -> str:
        bare = found.rstrip("=")
        ways = (b"-_",) if "-" in bare or "_" in bare else (b"+/",)
        for way in ways:
            try:
                data = base64.b64decode(bare + "=" * (-len(bare) % 4), altchars=way, validate=True)
            except (binascii.Error, ValueError):
                continue
            if (again := self._inner(data, depth)) is not None:
                text = base64.b64encode(again, altchars=way).decode()
                return text if found.endswith("=") or len(bare) % 4 == 0 else text.rstrip("=")
        return found

    def _lines(self, found: str, between: str, depth: int) -> str:
        """Base64 over several lines, all of the length of the first but for the last."""
        whole, width = found.replace(between, ""), found.index(between)
        again = self._base64(whole, depth)
        return found if again == whole else between.join(again[i : i + width] for i in range(0, len(again), width))

    def _hex(self, found: str, between: str, depth: int) -> str:
        """between: what stands after every two digits."""
        again = self._inner(bytes.fromhex(found.replace(between, "") if between else found), depth)
        if again is None:
            return found
        text = again.hex(between) if between else again.hex()
        return text.upper() if found.upper() == found else text

    def _inner(self, data: bytes, depth: int) -> bytes | None:
        """What an encoded text holds without the name; None when it holds none."""
        text = _text(data)
        again = self.text(text, depth)
        return None if again == text else _octets(again)


def account_forms(name: str, value: str) -> bool:
    """Whether ``value`` is ``name``, or the same account as another system writes it: ``DOMAIN\\NAME``, ``NAME@DOMAIN``."""
    name, value = _plain(name).casefold(), _plain(value).casefold()
    return value == name or value.endswith(("\\" + name, "/" + name)) or value.startswith(name + "@")


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", name).strip()


def _patterns(names: Sequence[str]) -> Iterator[str]:
    """A pattern for each name, composed and decomposed."""
    for name in names:
        before, after = (_BEFORE_MAIL, _AFTER_MAIL) if "@" in name else (_BEFORE, _AFTER)
        spelt = dict.fromkeys(unicodedata.normalize(form, name) for form in ("NFC", "NFD"))
        yield from (before + _BETWEEN.join(map(_character, one)) + after for one in spelt)


def _character(char: str) -> str:
    """Every way in which a character may be written."""
    if char.isspace():
        return _SPACE
    ways = [re.escape(char)]
    if char == "\\":
        ways = [r"\\\\\\\\", r"\\\\", r"\\", "/"]  # escaped twice, once, not at all; and as a path
    for form in dict.fromkeys((char, char.lower(), char.upper())):
        ways += _octet_ways(form.encode("utf-8", "surrogatepass"))
        if len(form) == 1 and "\x80" <= form <= "\xff":  # Latin-1, and as it comes out of what is read as UTF-8
            ways += [*_octet_ways(form.encode("latin-1")), chr(0xDC00 + ord(form))]
        units = form.encode("utf-16-be", "surrogatepass")
        ways.append("".join(rf"(?:\\+|%)u{units[i : i + 2].hex()}" for i in range(0, len(units), 2)))
        ways += [f"&#0*{ord(one)};" for one in form if len(form) == 1]
        ways += [f"&#x0*{ord(one):x};" for one in form if len(form) == 1]
    return f"(?:{'|'.join(dict.fromkeys(ways))})"


def _octet_ways(octets: bytes) -> list[str]:
    """How escapes of single octets write them."""
    forms = ("%{:02x}", "%25{:02x}", "={:02x}", r"\\+x{:02x}", r"\\+{:03o}")
    return ["".join(map(form.format, octets)) for form in forms]


def _unescaped(found: re.Match[bytes]) -> bytes:
    """The character that an escape stands for, as far as it is ASCII."""
    octet, unit, number, sixteen, eight = found.groups()
    code = int(number) if number else int(eight, 8) if eight else int(octet or unit or sixteen, 16)
    return bytes([code]) if code < 128 else b"?"


def _within(span: tuple[int, int], spans: Sequence[tuple[int, int]]) -> bool:
    return any(low <= span[0] and span[1] <= high for low, high in spans)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _octets(text: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # half a surrogate pair that JSON spelt out
        return text.encode("utf-8", "surrogatepass")


def _encode_json(text: str) -> bytes:
    return msgspec.json.encode({"erased": text})
