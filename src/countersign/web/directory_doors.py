"""Doors of the directory: out to the provider, back from it, and out of both."""

from __future__ import annotations

import hashlib
import hmac

import msgspec
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from countersign.errors import NotFoundError, RefusedError
from countersign.store import directory_people as people
from countersign.store import joining
from countersign.store.engine import writing
from countersign.web.directory import Begun, Directory, Proved, random_text
from countersign.web.guard import LOOPBACK, sealed_cookie
from countersign.web.joining import Joining, set_session
from countersign.web.session import Person

COOKIE = "countersign_oidc"
KIND = "oidc"
_encode, _decode = msgspec.json.encode, msgspec.json.Decoder(Begun).decode


class DirectoryDoors:
    """``directory``: None where none is configured; then there is no such page."""

    def __init__(self, joining_: Joining, directory: Directory | None) -> None:
        self.joining = joining_
        self._directory = directory

    @property
    def directory(self) -> Directory:
        """The provider. Raises NotFoundError."""
        if self._directory is None:
            raise NotFoundError("no directory is configured", where="sign-in", todo="see docs/how-to/sign-in.md")
        return self._directory

    def out(self, request: Request, person: Person) -> Response:
        """To the provider."""
        self.joining.ways.let_try(request, self._now())
        return self._out(request, strict=False)

    def back(self, request: Request, person: Person) -> Response:
        """From the provider. What it says counts only for the browser, the state and the nonce of one attempt."""
        now_ms, directory = self._now(), self.directory
        self.joining.ways.let_try(request, now_ms)
        try:
            proved = self._proved(request, directory, now_ms)
            with writing(self.joining.pages.engine) as conn:
                of = people.person(conn, proved.issuer, proved.subject, proved.name)
                roles = people.follow(conn, of, proved.roles, now_ms)
            if not roles:
                raise RefusedError(
                    "your groups open nothing here", where="sign-in", todo="ask an admin which they should be"
                )
        except RefusedError:
            self.joining.ways.failed(request, now_ms)
            raise
        if "approver" in roles and directory.asks_more() and not proved.strict:
            return self._out(request, strict=True)
        with writing(self.joining.pages.engine) as conn:
            token = people.sign_in(conn, of, proved.id_token, now_ms, request.headers.get("user-agent", ""))
        self.joining.ways.passed(request, of)
        self.joining.end_earlier(person)
        return self._arrived(request, token)

    def leave(self, request: Request, hint: str) -> str:
        """Where the provider ends its session after ours; "" without a directory."""
        if self._directory is None or not hint:
            return ""
        return self._directory.end_session(hint, self._address(request, "/sign-in"), self._now())

    def _out(self, request: Request, *, strict: bool) -> Response:
        state, browser, now_ms = random_text(), random_text(), self._now()
        begun = Begun(random_text(), random_text(), _hash(browser), strict)
        address = self.directory.begin(self._callback(request), state, begun, now_ms)
        with writing(self.joining.pages.engine) as conn:
            joining.begin(conn, KIND, state.encode(), "", _encode(begun), now_ms)
        response = RedirectResponse(address, 303)
        age, secure = joining.CEREMONY_MS // 1000, sealed_cookie(request)
        # Lax: the way back comes from another site, and must bring it
        response.set_cookie(COOKIE, browser, max_age=age, path="/", httponly=True, samesite="lax", secure=secure)
        return response

    def _proved(self, request: Request, directory: Directory, now_ms: int) -> Proved:
        given = request.query_params
        with writing(self.joining.pages.engine) as conn:
            _, data = joining.take(conn, KIND, given.get("state", "").encode("utf-8", "replace"), now_ms)
        begun = _decode(data)
        if not hmac.compare_digest(begun.browser, _hash(request.cookies.get(COOKIE, ""))):
            raise RefusedError("this attempt began in another browser", where="sign-in", todo="start again here")
        if "error" in given or not given.get("code"):
            raise RefusedError("the directory let nobody in", where="sign-in", todo="start again from the sign-in page")
        return directory.finish(self._callback(request), given["code"], begun, now_ms)

    def _arrived(self, request: Request, token: str) -> Response:
        """A page of our own that goes on by itself: a redirect from another site would not carry a strict cookie."""
        response = self.joining.pages.bare(request, "arrived.html", 200, to=str(request.scope.get("root_path", "")) + "/")
        set_session(response, request, self.joining.sessions.signed(token))
        response.delete_cookie(COOKIE, path="/", httponly=True, samesite="lax", secure=sealed_cookie(request))
        return response

    def _callback(self, request: Request) -> str:
        return self._address(request, "/sign-in/oidc/callback")

    def _address(self, request: Request, path: str) -> str:
        base = self.joining.ways.url
        if not base:
            if (request.url.hostname or "") not in LOOPBACK:
                todo = "set server.url to the console's https address"
                raise RefusedError("the directory cannot answer to this address", where="sign-in", todo=todo)
            base = f"{request.url.scheme}://{request.headers.get('host', '')}"
        return base + str(request.scope.get("root_path", "")) + path

    def _now(self) -> int:
        return self.joining.pages.clock.now_ms()


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
