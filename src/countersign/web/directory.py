"""The client of an OpenID provider: Authorization Code with PKCE, and every check of the ID token. Only what a token proves
leaves this module; codes, tokens and the client's secret do not, nor does an error quote them."""

from __future__ import annotations

import secrets
import warnings
from threading import Lock
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx
import msgspec
from authlib.deprecate import AuthlibDeprecationWarning
from authlib.integrations.base_client import OAuthError
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from countersign.config import Oidc, secret
from countersign.errors import EnvironmentFault, RefusedError

ALGORITHMS = ["RS256", "PS256", "ES256", "EdDSA", "RS384", "RS512", "PS384", "PS512", "ES384", "ES512"]
"""Signatures with the provider's own key; never ``none``, nor one with a secret that we share."""
METADATA_MS = 3_600_000
TIMEOUT_S = 10.0
LEEWAY_S = 60
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_TODO = "start again from the sign-in page"


class Begun(msgspec.Struct, frozen=True):
    """One attempt, kept until the browser comes back. browser: hash of the cookie that ties it to one browser. strict:
    the stronger sign-in that is asked of approvers."""

    nonce: str
    verifier: str
    browser: str
    strict: bool = False


class Proved(msgspec.Struct, frozen=True):
    """What an ID token proved. roles: those that the configuration gives to the person's groups."""

    issuer: str
    subject: str
    name: str
    roles: tuple[str, ...]
    id_token: str
    strict: bool


class Directory:
    """One provider. Its metadata and keys are fetched when first needed and each hour; keys also when one is unknown."""

    def __init__(self, config: Oidc) -> None:
        self.config = config
        self.name = config.name or urlsplit(config.issuer).hostname or "the directory"
        self._secret = secret(config.client_secret, "oidc.client_secret")
        self._lock = Lock()
        self._metadata: dict[str, Any] = {}
        self._keys: KeySet | None = None
        self._at_ms = 0

    def begin(self, redirect_uri: str, state: str, begun: Begun, now_ms: int) -> str:
        """Address at the provider to send the browser to."""
        values = {
            "response_type": "code",
            "client_id": self.config.client_id,
            "redirect_uri": redirect_uri,
            "scope": self.config.scopes,
            "state": state,
            "nonce": begun.nonce,
            "code_challenge": create_s256_code_challenge(begun.verifier),
            "code_challenge_method": "S256",
        }
        if begun.strict and self.config.approver_acr:
            values["acr_values"] = self.config.approver_acr
        if begun.strict and self.config.approver_max_age_s:
            values["max_age"] = str(self.config.approver_max_age_s)
        address = self._fetched(now_ms)["authorization_endpoint"]
        return f"{address}{'&' if '?' in address else '?'}{urlencode(values)}"

    def asks_more(self) -> bool:
        """Whether approvers must sign in more strongly."""
        return bool(self.config.approver_acr or self.config.approver_max_age_s)

    def finish(self, redirect_uri: str, code: str, begun: Begun, now_ms: int) -> Proved:
        """Trade the code for an ID token and check it. Raises RefusedError when it does not hold."""
        metadata = self._fetched(now_ms)
        method = "client_secret_basic" if self._secret else "none"
        try:
            with _client_class()(
                self.config.client_id,
                self._secret or None,
                token_endpoint_auth_method=method,
                redirect_uri=redirect_uri,
                timeout=TIMEOUT_S,
            ) as client:
                token = client.fetch_token(
                    metadata["token_endpoint"], grant_type="authorization_code", code=code, code_verifier=begun.verifier
                )
        except (OAuthError, httpx.HTTPError, ValueError, KeyError) as error:
            raise RefusedError("the directory did not accept the answer", where="sign-in", todo=_TODO) from error
        return self._proved(token, begun, now_ms)

    def end_session(self, id_token: str, back: str, now_ms: int) -> str:
        """Address at which the provider ends its own session; "" when it has none."""
        address = self._fetched(now_ms).get("end_session_endpoint", "")
        values = {"id_token_hint": id_token, "client_id": self.config.client_id, "post_logout_redirect_uri": back}
        return f"{address}?{urlencode(values)}" if address else ""

    def _proved(self, token: dict[str, Any], begun: Begun, now_ms: int) -> Proved:
        text = str(token.get("id_token", ""))
        try:
            decoded = self._decoded(text, now_ms)
            options: Any = {
                "iss": {"essential": True, "value": self.config.issuer},
                "aud": {"essential": True, "value": self.config.client_id},
            }
            strict_age = self.config.approver_max_age_s if begun.strict else 0
            params = {"nonce": begun.nonce, "client_id": self.config.client_id, "access_token": token.get("access_token")}
            claims = CodeIDToken(decoded.claims, decoded.header, options, {**params, "max_age": strict_age or None})
            claims.validate(now=now_ms // 1000, leeway=LEEWAY_S)
        except (JoseError, ValueError, KeyError, TypeError) as error:
            raise RefusedError("the directory's token does not hold", where="sign-in", todo=_TODO) from error
        self._strong_enough(claims, begun, now_ms)
        return Proved(self.config.issuer, str(claims["sub"]), _name(claims), self._roles(claims), text, begun.strict)

    def _strong_enough(self, claims: CodeIDToken, begun: Begun, now_ms: int) -> None:
        """A request for a stronger sign-in is only a wish: whether it was met stands in the token."""
        if not begun.strict:
            return
        wanted, most_s = self.config.approver_acr, self.config.approver_max_age_s
        old = most_s and now_ms // 1000 - int(claims.get("auth_time", 0)) > most_s + LEEWAY_S
        if old or (wanted and claims.get("acr") not in wanted.split()):
            todo = "sign in at the directory with the method that it asks of approvers"
            raise RefusedError("approvers must sign in more strongly", where="sign-in", todo=todo)

    def _roles(self, claims: CodeIDToken) -> tuple[str, ...]:
        found = claims.get(self.config.groups_claim, [])
        groups = [found] if isinstance(found, str) else [one for one in found if isinstance(one, str)]
        return tuple(sorted({self.config.roles[one] for one in groups if one in self.config.roles}))

    def _decoded(self, text: str, now_ms: int) -> Any:  # noqa: ANN401 - joserfc's token
        try:
            return jwt.decode(text, self._key_set(now_ms), algorithms=ALGORITHMS)
        except (JoseError, ValueError):
            return jwt.decode(text, self._key_set(now_ms, fresh=True), algorithms=ALGORITHMS)  # keys may have been rotated

    def _key_set(self, now_ms: int, *, fresh: bool = False) -> KeySet:
        metadata = self._fetched(now_ms)
        with self._lock:
            if self._keys is None or fresh:
                self._keys = KeySet.import_key_set(_get(metadata["jwks_uri"]))  # type: ignore[arg-type]
            return self._keys

    def _fetched(self, now_ms: int) -> dict[str, Any]:
        with self._lock:
            if not self._metadata or not 0 <= now_ms - self._at_ms < METADATA_MS:
                found = _get(self.config.issuer.rstrip("/") + "/.well-known/openid-configuration")
                if found.get("issuer") != self.config.issuer:
                    todo = "write oidc.issuer exactly as the provider does"
                    raise EnvironmentFault("the provider calls itself otherwise", where="oidc.issuer", todo=todo)
                for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
                    _check(str(found.get(name, "")))
                self._metadata, self._at_ms = found, now_ms
            return self._metadata


def _client_class() -> Any:  # noqa: ANN401 - authlib has no types
    """Imported when somebody signs in: it greets whoever starts a service with a warning that is none of theirs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AuthlibDeprecationWarning)
        from authlib.integrations.httpx_client import OAuth2Client  # noqa: PLC0415
    return OAuth2Client


def random_text() -> str:
    """256 random bits: a state, a nonce, a code verifier."""
    return secrets.token_urlsafe(32)


def _name(claims: CodeIDToken) -> str:
    """What people call them: the first claim that says so."""
    found = (str(claims.get(one, "")).strip() for one in ("preferred_username", "email", "name", "sub"))
    return next(text for text in found if text)[:120]


def _get(address: str) -> dict[str, Any]:
    _check(address)
    try:
        answer = httpx.get(address, timeout=TIMEOUT_S, headers={"accept": "application/json"})
        answer.raise_for_status()
        return msgspec.json.decode(answer.content, type=dict[str, Any])
    except (httpx.HTTPError, msgspec.MsgspecError) as error:
        todo = "check oidc.issuer, and that the provider runs"
        raise EnvironmentFault("the directory does not answer", where=urlsplit(address).netloc, todo=todo) from error


def _check(address: str) -> None:
    parts = urlsplit(address)
    if parts.scheme != "https" and parts.hostname not in _LOOPBACK:
        todo = "give an https address"
        raise EnvironmentFault("the directory must be reached by https", where=parts.netloc or "oidc.issuer", todo=todo)
