"""A directory over LDAP: sign in, find the one entry of an account, change it in one step; every way it can fail by name.

An account's name goes into the filter with every byte escaped, so that no character of it can mean anything; the entry
that comes back must bear that very name, and what is changed is the entry that the directory named.
"""

from __future__ import annotations

import math
import socket
import ssl
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import ldap3
from ldap3.core.exceptions import (
    LDAPCommunicationError,
    LDAPExceptionError,
    LDAPInvalidDnError,
    LDAPMaximumRetriesError,
    LDAPStartTLSError,
)
from ldap3.utils.dn import parse_dn

from countersign.actions.ldap_settings import DirectorySettings
from countersign.errors import TargetFault

Change = tuple[str, Sequence[bytes]]
"""Operation (ldap3's word for it) and values."""

_HOW = "see docs/how-to/disable-accounts.md"
_KINDS = {
    3: (TargetFault.TIMEOUT, "it ran out of time", ""),
    8: (TargetFault.REFUSED, "it wants an encrypted connection", "use ldaps:// or starttls"),
    10: (TargetFault.REFUSED, "it refers to another server", "name the server that holds the entries in url"),
    11: (TargetFault.REFUSED, "a limit of the directory is reached", ""),
    13: (TargetFault.REFUSED, "it wants an encrypted connection", "use ldaps:// or starttls"),
    16: (TargetFault.REFUSED, "the entry was changed by somebody else at the same time", "propose it anew"),
    17: (TargetFault.REFUSED, "it does not know the attribute", f"load the password policy overlay; {_HOW}"),
    32: (TargetFault.MISSING, "there is no such entry", "check base, and what the service account may read"),
    49: (TargetFault.CREDENTIALS, "it refuses the service account's name or password", "check bind_dn and password"),
    50: (TargetFault.DENIED, "the service account may not do that", f"give it the right; {_HOW}"),
    51: (TargetFault.UNREACHABLE, "it is busy", "try again later"),
    52: (TargetFault.UNREACHABLE, "it is unavailable", "try again later"),
}
"""LDAP result code (RFC 4511, appendix A) → kind, words, what to do."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry. values: by attribute in lower case, as the directory sent them."""

    dn: str
    values: dict[str, tuple[bytes, ...]]

    def first(self, attribute: str) -> bytes | None:
        """The attribute's first value."""
        return next(iter(self.values.get(attribute.lower(), ())), None)


STEP_TIMES = 2
"""A step signs in and asks or changes something: this many answers in the longest time that each may take."""


class VerifiedTls(ldap3.Tls):  # type: ignore[misc]  # ldap3 has no types
    """TLS whose certificate and host name Python's own ssl checks, IP addresses too."""

    def wrap_socket(self, connection: Any, do_handshake: bool = False) -> None:  # noqa: ANN401 - its shape
        """Encrypt the connection's socket. Raises OSError when the certificate is not the host's."""
        context = ssl.create_default_context(cafile=self.ca_certs_file)
        connection.socket = context.wrap_socket(connection.socket, server_hostname=connection.server.host)


class Directory:
    """Where the accounts are. Every connection lasts for one step."""

    def __init__(self, settings: DirectorySettings, password: str, timeout_s: float) -> None:
        self.settings = settings
        self.where = f"directory {settings.url}"
        self._password = password
        self.timeout_s = max(1, math.ceil(timeout_s))

    @contextmanager
    def session(self) -> Iterator[Session]:
        """Signed in as the service account. Raises TargetFault."""
        with self.connection(self.settings.bind_dn, self._password) as link:
            link.bind()
            if link.result["result"] != 0:
                raise self.fault(link.result)
            yield Session(self, link)

    @contextmanager
    def anonymous(self) -> Iterator[Session]:
        """Not signed in at all. Raises TargetFault."""
        with self.connection() as link:
            yield Session(self, link)

    @contextmanager
    def connection(self, user: str | None = None, password: str | None = None) -> Iterator[Any]:
        """Connected and encrypted, not signed in yet; whatever goes wrong inside is a TargetFault. It lasts no longer than
        ``STEP_TIMES`` answers may take: ldap3 wants each piece of an answer in time, and not the whole."""
        link = self._link(user, password)
        late = threading.Event()
        timer = threading.Timer(STEP_TIMES * self.timeout_s, _hang_up, (link, late))
        timer.daemon = True
        timer.start()
        try:
            link.open(read_server_info=False)
            if self.settings.starttls:
                link.start_tls(read_server_info=False)
            yield link
        except LDAPExceptionError as error:
            raise self._broken(LDAPExceptionError("timed out") if late.is_set() else error) from error
        finally:
            timer.cancel()
            _close(link)

    def fault(self, result: dict[str, Any]) -> TargetFault:
        """What an answer other than success means."""
        kind, what, todo = _KINDS.get(result["result"], (TargetFault.REFUSED, "", _HOW))
        what = what or f"it answers {result['description']}"
        return TargetFault(kind, what, where=self.where, todo=todo)

    def _link(self, user: str | None, password: str | None) -> Any:  # noqa: ANN401
        host, port = self.settings.address
        server = ldap3.Server(
            host,
            port,
            use_ssl=self.settings.url.startswith("ldaps://"),
            tls=VerifiedTls(ca_certs_file=self.settings.ca or None, validate=ssl.CERT_REQUIRED),
            get_info=ldap3.NONE,
            connect_timeout=self.timeout_s,
        )
        return ldap3.Connection(
            server,
            user,
            password,
            authentication=ldap3.SIMPLE if user else ldap3.ANONYMOUS,
            auto_referrals=False,
            check_names=False,
            receive_timeout=self.timeout_s,
        )

    def _broken(self, error: LDAPExceptionError) -> TargetFault:
        text = str(error)
        if "timed out" in text:
            kind, what, todo = TargetFault.TIMEOUT, f"no answer within {self.timeout_s} s", "what it did is not known: probe"
        elif "CERTIFICATE" in text.upper():
            kind, what, todo = (
                TargetFault.REFUSED,
                "its certificate is not trusted, or is another host's",
                "check url and ca",
            )
        elif isinstance(error, LDAPStartTLSError):
            kind, what, todo = TargetFault.REFUSED, "it does not start TLS", "use ldaps://, or set a certificate up there"
        elif isinstance(error, LDAPCommunicationError | LDAPMaximumRetriesError):
            kind, what, todo = TargetFault.UNREACHABLE, "cannot be reached, or hung up", "check that it is up and reachable"
        else:
            kind, what, todo = TargetFault.REFUSED, f"does not speak LDAP as expected ({type(error).__name__})", _HOW
        return TargetFault(kind, what, where=self.where, todo=todo)


class Session:
    """Signed in for one step."""

    def __init__(self, directory: Directory, link: Any) -> None:  # noqa: ANN401
        self._directory = directory
        self._link = link

    def account(self, name: str, attributes: Sequence[str]) -> Entry:
        """The one entry of an account. Raises TargetFault when there is none, or more than one, or when it is the account
        that Countersign itself signs in with."""
        settings = self._directory.settings
        named = settings.attribute
        found = self.search(settings.base, f"({named}={escaped(name)})", [named, *attributes], ldap3.SUBTREE)
        if len(found) > 1:
            raise self._none(TargetFault.REFUSED, f"more than one entry has {named} {name}", "narrow base")
        if not found or name.casefold() not in _texts(found[0].values.get(named.lower(), ())):
            raise self._none(
                TargetFault.MISSING, f"no entry under {settings.base} has {named} {name}", "check the inventory"
            )
        if is_ours(settings.bind_dn, found[0].dn, name):
            raise self._none(TargetFault.REFUSED, f"{name} is our own way in", "nothing was changed; it could not be undone")
        return found[0]

    def read(self, dn: str, attributes: Sequence[str], condition: str = "(objectClass=*)") -> Entry | None:
        """One entry by its DN; None when there is none that the service account may read."""
        return next(iter(self.search(dn, condition, attributes, ldap3.BASE, missing=True)), None)

    def search(
        self, base: str, condition: str, attributes: Sequence[str], scope: str, *, missing: bool = False, most: int = 2
    ) -> list[Entry]:
        """Entries that match, ``most`` at most. missing: an absent or hidden base is no error."""
        self._link.search(
            base, condition, scope, attributes=list(attributes), size_limit=most, time_limit=self._directory.timeout_s
        )
        code = self._link.result["result"]
        if missing and code in {32, 50}:
            return []
        if code not in {0, 4}:
            raise self._directory.fault(self._link.result)
        found = [one for one in self._link.response or () if one["type"] == "searchResEntry"]
        if len(found) < len(self._link.response or ()) and self._directory.settings.kind == "openldap":
            raise self._directory.fault({"result": 10, "description": "referral"})
        return [Entry(one["dn"], _values(one["raw_attributes"])) for one in found]

    def change(self, entry: Entry, attribute: str, *changes: Change) -> None:
        """Change one attribute in one step: it is done whole, or not at all."""
        self._link.modify(entry.dn, {attribute: [(how, list(values)) for how, values in changes]})
        if self._link.result["result"] != 0:
            raise self._directory.fault(self._link.result)

    def _none(self, kind: str, what: str, todo: str) -> TargetFault:
        return TargetFault(kind, what, where=self._directory.where, todo=todo)


def is_ours(bind_dn: str, dn: str, name: str) -> bool:
    """Whether an entry is the one that ``bind_dn`` signs in as: a DN, or, as domains take it, DOMAIN\\user, user@domain."""
    if "=" in bind_dn:
        return _parsed(bind_dn) == _parsed(dn)
    return bind_dn.rpartition("\\")[2].partition("@")[0].casefold() == name.casefold()


def _parsed(dn: str) -> list[tuple[str, str]]:
    try:
        return [(kind.casefold(), value.casefold()) for kind, value, _ in parse_dn(dn, strip=True)]
    except LDAPInvalidDnError:
        return [("", dn.casefold())]


def escaped(name: str) -> str:
    """A filter value in which every byte is escaped (RFC 4515): nothing in it can be read as part of the filter."""
    return "".join(f"\\{byte:02x}" for byte in name.encode("utf-8", "surrogatepass"))


def _texts(values: Sequence[bytes]) -> set[str]:
    return {value.decode("utf-8", "replace").casefold() for value in values}


def _values(raw: dict[str, list[bytes]]) -> dict[str, tuple[bytes, ...]]:
    return {name.lower(): tuple(values) for name, values in raw.items() if values}


def _hang_up(link: Any, late: threading.Event) -> None:  # noqa: ANN401
    """Whoever waits for an answer is told that there is none."""
    late.set()
    with suppress(OSError, AttributeError):  # not connected yet, or no more
        link.socket.shutdown(socket.SHUT_RDWR)


def _close(link: Any) -> None:  # noqa: ANN401
    """Hang up whatever state the connection is in."""
    with suppress(LDAPExceptionError, OSError):
        link.unbind()
    if link.socket is not None:
        with suppress(OSError):
            link.socket.close()
