"""HTTPS to a vendor's API: one step's calls with one deadline, no redirect followed, and faults without a secret in them.

Whatever goes into an address, a query or a body goes in as one value: path segments are percent-encoded, queries and JSON
are written by the library, and a name with a control character never leaves. Of what a vendor answers only its status and a
code of a few plain characters get into words.
"""

from __future__ import annotations

import ipaddress
import re
import ssl
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

import httpx
import msgspec

from countersign.actions.base import Settings
from countersign.errors import ConfigError, TargetFault

ANSWER_BYTES_MAX = 4 * 1024 * 1024
PAUSE_S_MAX = 2.0
"""Longest wait between two looks at something that is on its way."""
_KINDS = {401: TargetFault.CREDENTIALS, 403: TargetFault.DENIED, 404: TargetFault.MISSING, 408: TargetFault.TIMEOUT}
_TODO = {
    TargetFault.CREDENTIALS: "check the client or token that the settings name",
    TargetFault.DENIED: "give the client the permissions that the how-to lists",
    TargetFault.MISSING: "check `url`, and that the target is known there",
    TargetFault.TIMEOUT: "look at the vendor's console before trying again",
    TargetFault.UNREACHABLE: "check the network, and the vendor's own status page",
    TargetFault.REFUSED: "look at the vendor's audit log",
}
_PLAIN = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_IDENT = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,126}[A-Za-z0-9])?")
_HOST = re.compile(r"[a-z0-9_](?:[a-z0-9._-]{0,252})", re.IGNORECASE)
_T = TypeVar("_T")
Params = Mapping[str, str]
Open = Callable[[], AbstractContextManager["Api"]]
"""Opens a session for one step."""


class VendorSettings(Settings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What every vendor needs. url: address of its API, https (http on this machine's loopback alone). ca: file with the
    certificates to trust, empty: those of public authorities. proxy: address of an HTTP proxy, empty: none."""

    url: str = ""
    ca: str = ""
    proxy: str = ""


def needed(settings: Settings, table: str, *keys: str) -> bool:
    """Whether these keys are set; none of them is the default, and means that nothing can be reached. Raises ConfigError
    when some are missing."""
    missing = [key for key in keys if not getattr(settings, key)]
    if len(missing) == len(keys):
        return False
    if missing:
        raise ConfigError(
            "is missing", where=f"countersign.toml: actions.{table}.{missing[0]}", todo="set it, or none of them"
        )
    return True


def ready(settings: VendorSettings, table: str, *keys: str, addresses: Sequence[str] = ("url",)) -> bool:
    """Whether the vendor can be reached with these settings: False when none of ``keys`` is set. Raises ConfigError when
    some are, or an address, a proxy or the file of certificates will not do."""
    if not needed(settings, table, *keys):
        return False
    where = f"countersign.toml: actions.{table}"
    for key in addresses:
        base_url(getattr(settings, key), f"{where}.{key}")
    if settings.ca and not Path(settings.ca).is_file():
        raise ConfigError("is no file", where=f"{where}.ca", todo="name a file of certificates in PEM")
    if settings.proxy and not re.fullmatch(r"https?://[^\s/?#]+/?", settings.proxy):
        raise ConfigError("is not the address of a proxy", where=f"{where}.proxy", todo="write it as http://host:port")
    return True


def base_url(text: str, where: str, *, query: bool = False) -> str:
    """The address without a slash at its end. query: whether it may have one. Raises ConfigError unless it is https, or
    http to this machine."""
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname or "", parts.port
    except ValueError as error:
        raise ConfigError("is not an address", where=where, todo="write it as https://host/") from error
    plain = parts.scheme == "http" and _is_loopback(host)
    odd = (
        parts.username is not None
        or (parts.query and not query)
        or parts.fragment
        or not host
        or not text.isascii()
        or " " in text
    )
    if odd or not (parts.scheme == "https" or plain):
        raise ConfigError("must be https, without user, query or fragment", where=where, todo="write it as https://host/")
    return text.rstrip("/")


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def login(name: str, domain: str) -> str:
    """An account's name of the inventory as it signs in there: ``@domain`` is added to one without an @. Raises TargetFault
    when no system would have such a name."""
    if not name or len(name) > 256 or not name.isprintable():
        raise TargetFault(TargetFault.REFUSED, "the name holds characters that no name has", todo="correct the inventory")
    return f"{name}@{domain}" if domain and "@" not in name else name


def host_name(name: str) -> str:
    """A host's name of the inventory, with nothing in it that a query language could read as more than a name. Raises
    TargetFault."""
    if not _HOST.fullmatch(name):
        raise TargetFault(TargetFault.REFUSED, "the name is not that of a host", todo="correct the inventory")
    return name


def ident(value: str, what: str) -> str:
    """An id that a vendor gave, fit for a path. Raises TargetFault."""
    if not _IDENT.fullmatch(value):
        raise TargetFault(TargetFault.REFUSED, f"an id of {what} has an odd form", todo=_TODO[TargetFault.REFUSED])
    return value


def only(found: Sequence[_T], name: str, where: str) -> _T:
    """The one that a name means. Raises TargetFault for none and for several."""
    if len(found) == 1:
        return found[0]
    what = f"{len(found)} are called {name}" if found else f"{name} is not known there"
    kind = TargetFault.REFUSED if found else TargetFault.MISSING
    raise TargetFault(kind, what, where=where, todo="make the name in the inventory the one that is meant")


class Deadline:
    """The end of one step."""

    def __init__(self, timeout_s: float) -> None:
        self._pause_s = min(PAUSE_S_MAX, timeout_s / 20)
        self._end_s = time.monotonic() + timeout_s

    @property
    def left_s(self) -> float:
        """Seconds left, not below zero."""
        return max(0.0, self._end_s - time.monotonic())

    def pause(self) -> bool:
        """Wait a little before looking again; False when there is no time left for that."""
        if self.left_s <= 2 * self._pause_s:
            return False
        time.sleep(self._pause_s)
        return True


@cache
def _public_authorities() -> ssl.SSLContext:
    """Read once: that takes longer than most calls."""
    return httpx.create_ssl_context()


class Api:
    """Calls of one step. Use it as a context."""

    def __init__(self, settings: VendorSettings, timeout_s: float) -> None:
        self._url = base_url(settings.url, "url", query=True)
        self.where = urlsplit(self._url).netloc
        self.deadline = Deadline(timeout_s)
        self._headers: dict[str, str] = {"Accept": "application/json"}
        self._client = httpx.Client(
            follow_redirects=False,
            trust_env=False,
            timeout=timeout_s,
            verify=self._trusted(settings.ca),
            proxy=settings.proxy or None,
        )

    def _trusted(self, ca: str) -> ssl.SSLContext:
        try:
            return ssl.create_default_context(cafile=ca) if ca else _public_authorities()
        except OSError as error:  # SSLError is one
            raise self._fault(TargetFault.UNREACHABLE, "the certificates to trust cannot be read") from error

    def __enter__(self) -> Api:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def authorize(self, value: str) -> None:
        """What ``Authorization`` says from now on."""
        self._headers["Authorization"] = value

    def oauth(self, url: str, path: Sequence[str], client: str, secret: str, **more: str) -> None:
        """OAuth 2.0 client credentials (RFC 6749, 4.4). url: of the token endpoint's server, empty: the API's own."""
        form = {"client_id": client, "client_secret": secret, **more}
        answer = self.read(Token, "POST", path, form=form, url=url, sign_in=True)
        self.authorize(f"Bearer {answer.access_token}")

    def read(self, kind: type[_T], method: str, path: Sequence[str], **how: Any) -> _T:  # noqa: ANN401 - as ``call``
        """An answer of the form of ``kind``. Raises TargetFault."""
        body = self.call(method, path, **how)
        try:
            return msgspec.json.decode(body, type=kind)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            what = f"{method} {path[-1] if path else ''} is answered with something else than expected"
            raise TargetFault(TargetFault.REFUSED, what, where=self.where, todo="check `url`") from error

    def call(
        self,
        method: str,
        path: Sequence[str],
        *,
        params: Params | None = None,
        json: object = None,
        form: Params | None = None,
        basic: tuple[str, str] | None = None,
        url: str = "",
        sign_in: bool = False,
    ) -> bytes:
        """The body of a 2xx answer. sign_in: any refusal means wrong credentials. Raises TargetFault."""
        called = f"{method} {path[-1]}" if path else method
        address = "/".join((url.rstrip("/") or self._url, *(quote(part, safe="") for part in path)))
        if self.deadline.left_s <= 0:
            raise self._fault(TargetFault.TIMEOUT, f"no time was left for {called}")
        try:
            with self._client.stream(
                method,
                address,
                params=params,
                json=json,
                data=form,
                headers=self._headers,
                auth=basic,
                timeout=self.deadline.left_s,
            ) as answer:
                body = self._body(answer, called)
                status = answer.status_code
        except httpx.TimeoutException as error:
            raise self._fault(TargetFault.TIMEOUT, f"{called} was not answered in time") from error
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            what = f"{called} could not be sent ({type(error).__name__})"
            raise self._fault(TargetFault.UNREACHABLE, what) from error
        if not 200 <= status < 300:
            raise self._fault(_kind(status, sign_in=sign_in), f"{called} is answered with {status}{_code(body)}")
        return body

    def _body(self, answer: httpx.Response, what: str) -> bytes:
        body = bytearray()
        for chunk in answer.iter_bytes():
            body += chunk
            if len(body) > ANSWER_BYTES_MAX:
                raise self._fault(TargetFault.REFUSED, f"{what} is answered with too much")
            if self.deadline.left_s <= 0:
                raise self._fault(TargetFault.TIMEOUT, f"{what} was not answered in time")
        return bytes(body)

    def _fault(self, kind: str, what: str) -> TargetFault:
        return TargetFault(kind, what, where=self.where, todo=_TODO[kind])


def signed_in(settings: VendorSettings, timeout_s: float, sign_in: Callable[[Api], None]) -> Open:
    """Sessions that sign in first."""

    @contextmanager
    def session() -> Iterator[Api]:
        with Api(settings, timeout_s) as api:
            sign_in(api)
            yield api

    return session


class Token(msgspec.Struct):
    """RFC 6749, 5.1."""

    access_token: str


def _kind(status: int, *, sign_in: bool) -> str:
    if status >= 500:
        return TargetFault.UNREACHABLE
    if sign_in and status in (400, 401, 403):
        return TargetFault.CREDENTIALS
    return _KINDS.get(status, TargetFault.REFUSED)


def _code(body: bytes) -> str:
    """The vendor's own code for what is wrong, when it is a plain word: `` (E0000006)``."""
    try:
        said = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ""
    inner = said.get("error", said) if isinstance(said, dict) else {}
    source = inner if isinstance(inner, dict) else said
    found = source.get("code", source.get("errorCode", ""))
    return f" ({found})" if isinstance(found, str | int) and _PLAIN.fullmatch(str(found)) else ""
