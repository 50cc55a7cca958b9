"""A provider that forges: each of its ID tokens is wrong in one thing, and none lets anybody in."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet, OctKey, RSAKey

from countersign.config import Oidc
from countersign.errors import EnvironmentFault, RefusedError
from countersign.store.passkeys import b64
from countersign.web.directory import Begun, Directory

CLIENT = "countersign"
SECRET = "shared-with-the-provider-0123456789abcdef"
BEGUN = Begun("the-nonce", "verifier-" * 6, "")
NOW_S, DAY_S = int(time.time()), 86_400
"""When the tests were collected, which may be long before they run."""
Forge = Callable[["Provider", dict[str, Any]], str]


class Provider:
    """Serves metadata, keys and one ID token; whatever the code is."""

    def __init__(self) -> None:
        self.key = RSAKey.generate_key(2048, parameters={"kid": "one"}, private=True)
        self.token = ""
        self.requests: list[str] = []
        self.calls_itself = ""
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                keys = KeySet([outer.key]).as_dict(private=False)
                self.answer(keys if "jwks" in self.path else outer.metadata())

            def do_POST(self) -> None:
                outer.requests.append(self.rfile.read(int(self.headers["content-length"])).decode())
                self.answer({"access_token": "x", "token_type": "Bearer", "id_token": outer.token})

            def answer(self, document: object) -> None:
                body = msgspec.json.encode(document)
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.issuer = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def metadata(self) -> dict[str, str]:
        names = ("authorization_endpoint", "token_endpoint", "jwks_uri")
        return {"issuer": self.calls_itself or self.issuer} | {one: f"{self.issuer}/{one}" for one in names}

    def claims(self, **changed: Any) -> dict[str, Any]:
        now_s = int(time.time())
        true = {"iss": self.issuer, "aud": CLIENT, "sub": "1", "iat": now_s, "exp": now_s + 600, "nonce": BEGUN.nonce}
        return {name: value for name, value in (true | changed).items() if value is not None}

    def signed(self, claims: dict[str, Any]) -> str:
        return jwt.encode({"alg": "RS256", "kid": "one"}, claims, self.key)


@pytest.fixture
def provider() -> Iterator[Provider]:
    found = Provider()
    yield found
    found.server.shutdown()
    found.server.server_close()


@pytest.fixture
def directory(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> Directory:
    monkeypatch.setenv("FORGED_SECRET", SECRET)
    roles = {"staff": "viewer"}
    return Directory(Oidc(provider.issuer, CLIENT, "env:FORGED_SECRET", roles=roles))  # type: ignore[arg-type]


def finish(directory: Directory, begun: Begun = BEGUN) -> Any:
    return directory.finish("http://localhost/back", "code", begun, time.time_ns() // 1_000_000)


def test_a_true_token_is_taken(provider: Provider, directory: Directory) -> None:
    provider.token = provider.signed(provider.claims(preferred_username="ada", groups=["staff", "others", 7]))
    found = finish(directory)
    assert (found.subject, found.name, found.roles) == ("1", "ada", ("viewer",))
    assert BEGUN.verifier in provider.requests[0]
    provider.key = RSAKey.generate_key(2048, parameters={"kid": "two"}, private=True)  # rotated since
    provider.token = jwt.encode({"alg": "RS256", "kid": "two"}, provider.claims(), provider.key)
    assert finish(directory).subject == "1"


@pytest.mark.parametrize(
    "changed",
    [
        {"iss": "https://elsewhere.example"},
        {"aud": "another-client"},
        {"aud": ["another-client"]},
        {"aud": [CLIENT, "another-client"], "azp": "another-client"},
        {"nonce": "another"},
        {"nonce": None},
        {"exp": NOW_S - DAY_S},
        {"exp": None},
        {"exp": "soon"},
        {"iat": NOW_S + DAY_S},
        {"nbf": NOW_S + DAY_S},
        {"sub": None},
        {"iat": None},
        {"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"},
    ],
    ids=lambda changed: "-".join(changed) + f"-{len(str(changed))}",  # no time in a name: every worker collects the same
)
def test_a_wrong_claim_is_refused(provider: Provider, directory: Directory, changed: dict[str, Any]) -> None:
    provider.token = provider.signed(provider.claims(**changed))
    with pytest.raises(RefusedError, match="token does not hold"):
        finish(directory)


def unsigned(_provider: Provider, claims: dict[str, Any]) -> str:
    parts = [{"alg": "none"}, claims]
    return ".".join(b64(msgspec.json.encode(part)) for part in parts) + "."


def with_our_secret(_provider: Provider, claims: dict[str, Any]) -> str:
    return jwt.encode({"alg": "HS256", "kid": "one"}, claims, OctKey.import_key(SECRET))


def with_another_key(_provider: Provider, claims: dict[str, Any]) -> str:
    return jwt.encode({"alg": "RS256", "kid": "one"}, claims, RSAKey.generate_key(2048, private=True))


def changed_after_signing(provider: Provider, claims: dict[str, Any]) -> str:
    head, _, tail = provider.signed(claims).split(".")
    return f"{head}.{b64(msgspec.json.encode(claims | {'sub': '2'}))}.{tail}"


def nothing_at_all(_provider: Provider, _claims: dict[str, Any]) -> str:
    return ""


@pytest.mark.parametrize("forge", [unsigned, with_our_secret, with_another_key, changed_after_signing, nothing_at_all])
def test_a_forged_signature_is_refused(provider: Provider, directory: Directory, forge: Forge) -> None:
    provider.token = forge(provider, provider.claims())
    with pytest.raises(RefusedError, match="token does not hold") as refused:
        finish(directory)
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize("claims", [{}, {"auth_time": 1}, {"auth_time": NOW_S + DAY_S, "acr": "weak"}], ids="-".join)
def test_an_approvers_sign_in_that_was_not_strong_is_refused(provider: Provider, claims: dict[str, Any]) -> None:
    directory = Directory(Oidc(provider.issuer, CLIENT, approver_acr="strong stronger", approver_max_age_s=600))
    strict = msgspec.structs.replace(BEGUN, strict=True)
    provider.token = provider.signed(provider.claims(**claims))
    with pytest.raises(RefusedError):
        finish(directory, strict)
    provider.token = provider.signed(provider.claims(auth_time=int(time.time()), acr="stronger"))
    assert finish(directory, strict).strict


def test_a_provider_that_calls_itself_otherwise_is_not_asked(provider: Provider, directory: Directory) -> None:
    provider.calls_itself = "https://elsewhere.example"
    with pytest.raises(EnvironmentFault, match="calls itself otherwise"):
        finish(directory)


def test_only_https_off_this_machine() -> None:
    with pytest.raises(EnvironmentFault, match="https"):
        finish(Directory(Oidc("http://id.example.org", CLIENT)))
