"""Text in its one canonical form: what may pass from an alert into a proposal, and from there to a target (P10)."""

from __future__ import annotations

import ipaddress
import re

DOMAIN_CHARS_MAX = 253
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)
_ACE = "xn--"


def is_address(text: str) -> bool:
    """Whether this is an IPv4 or IPv6 address as ``ipaddress`` writes it, without a zone index."""
    try:
        return str(ipaddress.ip_address(text)) == text and "%" not in text
    except ValueError:
        return False


def is_domain(text: str) -> bool:
    """Whether this is a name of two labels or more, each a lower-case A-label (RFC 5890), without a dot at its end. Whether
    anybody registered it is not asked here."""
    labels = text.split(".")
    return (
        len(text) <= DOMAIN_CHARS_MAX
        and len(labels) > 1
        and all(_is_label(label) for label in labels)
        and not labels[-1].isdigit()
        and not is_address(text)
    )


def _is_label(label: str) -> bool:
    if not _LABEL.fullmatch(label) or (label[2:4] == "--" and not label.startswith(_ACE)):
        return False
    return not label.startswith(_ACE) or _is_ace(label)


def _is_ace(label: str) -> bool:
    """Whether the label after its prefix is Punycode of something beyond ASCII, spelled the one way."""
    try:
        decoded = label.removeprefix(_ACE).encode("ascii").decode("punycode")
        return not decoded.isascii() and decoded.encode("punycode").decode("ascii") == label.removeprefix(_ACE)
    except UnicodeError:
        return False
