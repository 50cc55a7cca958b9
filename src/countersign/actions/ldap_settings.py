"""``[actions.disable_account]``: which directory holds the accounts, and how it is reached."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Literal
from urllib.parse import SplitResult, urlsplit

from countersign.actions.base import Settings
from countersign.errors import ConfigError

TABLE = "[actions.disable_account]"
_PORTS = {"ldap": 389, "ldaps": 636}
_ATTRIBUTES = {"openldap": "uid", "active_directory": "sAMAccountName"}
_HOW = "see docs/how-to/disable-accounts.md"


class DirectorySettings(Settings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """kind: what the directory is. url: ``ldaps://host[:port]``, or ``ldap://`` with starttls; plain ``ldap://`` on the
    machine itself alone. bind_dn and password: the account that Countersign signs in with; the password is a reference,
    ``env:NAME`` or ``file:PATH``. base: where accounts are searched, downwards. user_attribute: holds the name that the
    inventory calls the account by; empty: uid, or sAMAccountName. ca: file of the authority that signed the directory's
    certificate; empty: the system's own. kdc: ``host[:port]`` that is asked about accounts of an Active Directory; empty:
    the directory's host, port 88."""

    kind: Literal["", "openldap", "active_directory"] = ""
    url: str = ""
    starttls: bool = False
    bind_dn: str = ""
    password: str = ""
    base: str = ""
    user_attribute: str = ""
    ca: str = ""
    kdc: str = ""

    @property
    def attribute(self) -> str:
        """The attribute that names an account."""
        return self.user_attribute or _ATTRIBUTES[self.kind]

    @property
    def encrypted(self) -> bool:
        """Whether what is said reaches the directory under TLS."""
        return self.starttls or self.url.startswith("ldaps://")

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of the directory."""
        parts = urlsplit(self.url)
        return parts.hostname or "", parts.port or _PORTS[parts.scheme]


def checked(settings: DirectorySettings) -> DirectorySettings:
    """The settings, whole and safe to use. Raises ConfigError naming the key."""
    for key in ("kind", "bind_dn", "password", "base"):
        if not getattr(settings, key):
            raise _wrong(key, "is missing")
    _check_url(settings)
    if not settings.attribute.isascii() or not settings.attribute.replace("-", "").isalnum():
        raise _wrong("user_attribute", "is not the name of an attribute")
    if settings.ca and not Path(settings.ca).is_file():
        raise _wrong("ca", f"{settings.ca} is no file")
    if settings.kind == "active_directory":
        realm(settings.base)
        split_host(settings.kdc, 0)
    return settings


def _check_url(settings: DirectorySettings) -> None:
    try:
        parts = urlsplit(settings.url)
        port = parts.port
    except ValueError as error:
        raise _wrong("url", f"cannot be read ({error})") from error
    if parts.scheme not in _PORTS or not parts.hostname or port == 0 or _has_more(parts):
        raise _wrong("url", "is not ldaps://host[:port] or ldap://host[:port]")
    if settings.starttls and parts.scheme == "ldaps":
        raise _wrong("starttls", "is for ldap:// alone; ldaps:// is encrypted from the start")
    if not settings.encrypted and not _loopback(parts.hostname):
        raise _wrong("url", "would send passwords in clear; use ldaps://, or ldap:// with starttls = true")


def _has_more(parts: SplitResult) -> bool:
    return bool(parts.path.strip("/") or parts.query or parts.fragment or parts.username or parts.password)


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def realm(base: str) -> str:
    """``CORP.EXAMPLE`` of ``OU=People,DC=corp,DC=example``: a domain's Kerberos realm is its DNS name in capitals."""
    labels = []
    for part in reversed(base.split(",")):
        name, _, value = part.strip().partition("=")
        if name.strip().upper() != "DC":
            break
        labels.append(value.strip())
    if not all(labels) or not labels:
        raise _wrong("base", "does not end in the domain, such as DC=corp,DC=example")
    return ".".join(reversed(labels)).upper()


def split_host(text: str, port: int) -> tuple[str, int]:
    """Host and port of ``host[:port]``; ("", ``port``) when it is empty."""
    try:
        parts = urlsplit(f"//{text}")
        return parts.hostname or "", parts.port or port
    except ValueError as error:
        raise _wrong("kdc", f"is not host[:port] ({error})") from error


def _wrong(key: str, what: str) -> ConfigError:
    return ConfigError(what, where=f"{TABLE} {key}", todo=_HOW)
