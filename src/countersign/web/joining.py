"""Doors through which people come in and look after their own: sign-in, enrolment, account. Decided in the store.

The two halves of a passkey ceremony answer with JSON, for the one script that speaks to the authenticator.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeAlias

import msgspec
import structlog
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from countersign.authority import passkey
from countersign.errors import ConflictError, CountersignError, NotFoundError, RefusedError, UsageError
from countersign.model.entries import Actor
from countersign.store import joining, passkeys
from countersign.store import sessions as store
from countersign.store.accounts import name_of
from countersign.store.engine import reading, writing
from countersign.store.enrolments import Kind, find
from countersign.web.guard import sealed_cookie
from countersign.web.pages import Pages, text_of
from countersign.web.session import COOKIE, SESSION_MS, Person, Sessions
from countersign.web.ways import TooOften, Ways
from countersign.web.writes import field_of

_log = structlog.get_logger(__name__)
Writer: TypeAlias = Callable[["Joining", Request, Person, FormData], Response]
_STATUS = ((TooOften, 429), (RefusedError, 401), (NotFoundError, 404), (ConflictError, 409), (UsageError, 422))


def _in_json(door: Writer) -> Writer:
    """Errors of ours as ``{"problem": …}`` for the script."""

    @wraps(door)
    def answered(self: Joining, request: Request, person: Person, form: FormData) -> Response:
        try:
            return door(self, request, person, form)
        except CountersignError as error:
            status = next((code for kind, code in _STATUS if isinstance(error, kind)), 500)
            response = _json({"problem": f"{error.what[:1].upper()}{error.what[1:]}: {error.todo}."}, status)
            if isinstance(error, TooOften):
                response.headers["retry-after"] = str(error.wait_s)
            return response

    return answered


class Joining:
    """The doors, over the same database as the pages."""

    def __init__(self, pages: Pages, sessions: Sessions, ways: Ways) -> None:
        self.pages = pages
        self.sessions = sessions
        self.ways = ways
        self.leave: Callable[[Request, str], str] = lambda _request, _hint: ""

    # --- coming in ------------------------------------------------------------------------------------------------

    def sign_in(self, request: Request, person: Person) -> Response:
        """The sign-in page; home for whoever is in already."""
        if person.name:
            return RedirectResponse(_base(request) + "/", 303)
        return self.pages.locked(request, code=200)

    @_in_json
    def sign_in_options(self, request: Request, person: Person, form: FormData) -> Response:
        """First half."""
        self.ways.let_try(request, self._now())
        with writing(self.pages.engine) as conn:
            return _raw(joining.begin_sign_in(conn, self.ways.required_party(request), self._now()))

    @_in_json
    def sign_in_answer(self, request: Request, person: Person, form: FormData) -> Response:
        """Second half: a session, or a failure that counts against address and account."""
        now_ms = self._now()
        self.ways.let_try(request, now_ms)
        account = ""
        try:
            answer = passkey.read(_credential(form))
            with reading(self.pages.engine) as conn:
                account = joining.owner(conn, answer)
            self.ways.let_try(request, now_ms, account)
            with writing(self.pages.engine) as conn:
                party, agent = self.ways.required_party(request), request.headers.get("user-agent", "")
                came = joining.sign_in(conn, party, answer, now_ms, agent)
        except TooOften:
            raise
        except RefusedError:
            self.ways.failed(request, now_ms, account)
            raise
        self.ways.passed(request, account)
        return self.welcome(request, person, came.token)

    # --- enrolling a passkey ----------------------------------------------------------------------------------------

    def enrol(self, request: Request, person: Person) -> Response:
        """The page that a one-time link leads to. Looking at it uses nothing up."""
        token = request.query_params.get("t", "")[:128]
        now_ms = self._now()
        self.ways.let_try(request, now_ms)
        try:
            with reading(self.pages.engine) as conn:
                link = find(conn, token, now_ms)
                name = name_of(conn, link.person)
        except RefusedError as error:
            self.ways.failed(request, now_ms)
            values: dict[str, Any] = {"problem": error, "token": "", "name": "", "first": False}
            return self.pages.bare(request, "enrol.html", 401, **values, **self._ways(request))
        values = {"problem": None, "token": token, "name": name, "first": link.kind is Kind.FIRST}
        return self.pages.bare(request, "enrol.html", 200, **values, **self._ways(request))

    @_in_json
    def enrol_options(self, request: Request, person: Person, form: FormData) -> Response:
        """First half: for a link, or for whoever is signed in."""
        now_ms = self._now()
        party = self.ways.required_party(request)
        self.ways.let_try(request, now_ms)
        with writing(self.pages.engine) as conn:
            who = find(conn, field_of(form, "t"), now_ms).person
            return _raw(joining.begin_registration(conn, party, who, now_ms))

    @_in_json
    def enrol_answer(self, request: Request, person: Person, form: FormData) -> Response:
        """Second half: the passkey is enrolled and its person signed in."""
        now_ms = self._now()
        party, agent = self.ways.required_party(request), request.headers.get("user-agent", "")
        self.ways.let_try(request, now_ms)
        try:
            answer = passkey.read(_credential(form))
            with writing(self.pages.engine) as conn:
                came = joining.enrol_by_link(conn, party, field_of(form, "t"), answer, field_of(form, "name"), now_ms, agent)
        except RefusedError:
            self.ways.failed(request, now_ms)
            raise
        return self.welcome(request, person, came.token)

    # --- one's own account -----------------------------------------------------------------------------------------

    def account(self, request: Request, person: Person) -> Response:
        """Passkeys, sessions and what one may do here."""
        now_ms = self._now()
        with reading(self.pages.engine) as conn:
            mine = passkeys.of(conn, person.id)
            open_sessions = store.of(conn, person.id, now_ms)
        values: dict[str, Any] = {
            "who": person,
            "passkeys_held": [one for one in mine if not one.revoked_ms],
            "passkeys_gone": [one for one in mine if one.revoked_ms],
            "sessions": open_sessions,
            "fresh": person.how == store.PASSKEY and now_ms - person.auth_ms <= joining.FRESH_MS,
            **self._ways(request),
        }
        return self.pages.show("account.html", request, person, **values)

    @_in_json
    def add_options(self, request: Request, person: Person, form: FormData) -> Response:
        """First half of a further passkey."""
        joining.fresh(person.how, person.auth_ms, self._now())
        with writing(self.pages.engine) as conn:
            return _raw(joining.begin_registration(conn, self.ways.required_party(request), person.id, self._now()))

    @_in_json
    def add_answer(self, request: Request, person: Person, form: FormData) -> Response:
        """Second half."""
        answer = passkey.read(_credential(form))
        with writing(self.pages.engine) as conn:
            party, name = self.ways.required_party(request), field_of(form, "name")
            joining.enrol_another(conn, party, person.session, answer, name, self._now())
        return _json({"to": _base(request) + "/account"})

    def remove_passkey(self, request: Request, person: Person, form: FormData) -> Response:
        """Take one of one's own passkeys out of force. The last one stays: only an admin takes somebody's last way in."""
        with writing(self.pages.engine) as conn:
            me = Actor("human", person.id)
            if len(passkeys.active(conn, person.id)) == 1:
                raise ConflictError("this is your only passkey", where="account", todo="add another one first")
            passkeys.revoke(conn, person.id, text_of(request, "credential", 400), me, self._now(), "by its owner")
        return self._back(request)

    def end_session(self, request: Request, person: Person, form: FormData) -> Response:
        """End one of one's own sessions."""
        with writing(self.pages.engine) as conn:
            gone = store.end(conn, person.id, [text_of(request, "session")], Actor("human", person.id), self._now())
        if not gone:
            raise NotFoundError("there is no such session", where="account", todo="reload the page")
        return self._back(request)

    def sign_out(self, request: Request, person: Person, form: FormData) -> Response:
        """End this session."""
        return self._out(request, person, [person.session])

    def sign_out_everywhere(self, request: Request, person: Person, form: FormData) -> Response:
        """End all of them."""
        return self._out(request, person, None)

    # --- shared ----------------------------------------------------------------------------------------------------

    def welcome(self, request: Request, person: Person, token: str) -> Response:
        """The answer that carries a new session."""
        self.end_earlier(person)
        response = _json({"to": _base(request) + "/"})
        set_session(response, request, self.sessions.signed(token))
        return response

    def end_earlier(self, person: Person) -> None:
        """The session that was there before a sign-in ends with it."""
        if person.session:
            with writing(self.pages.engine) as conn:
                store.end(conn, person.id, [person.session], Actor("human", person.id), self._now())

    def _out(self, request: Request, person: Person, hashes: list[str] | None) -> Response:
        with writing(self.pages.engine) as conn:
            hint = store.get(conn, person.session).hint
            store.end(conn, person.id, hashes, Actor("human", person.id), self._now())
        response = self._gone(request, hint)
        response.delete_cookie(COOKIE, httponly=True, samesite="strict", secure=sealed_cookie(request))
        return response

    def _gone(self, request: Request, hint: str) -> Response:
        """On to the sign-in page, or to a page that also ends the directory's session: a form's answer may not redirect to
        another site."""
        to = ""
        try:
            to = self.leave(request, hint)
        except CountersignError as error:  # ours has ended, whatever the directory says
            _log.warning("sign-out.directory", why=error.what)
        if not to:
            return RedirectResponse(_base(request) + "/sign-in", 303)
        return self.pages.bare(request, "left.html", 200, to=to, directory=self.ways.directory)

    def _back(self, request: Request) -> Response:
        return RedirectResponse(_base(request) + "/account", 303)

    def _ways(self, request: Request) -> dict[str, Any]:
        return self.ways.shown(request)

    def _now(self) -> int:
        return self.pages.clock.now_ms()


def set_session(response: Response, request: Request, value: str) -> None:
    """The cookie of a session: no script reads it, no other site sends it, and off this machine no plain connection."""
    secure = sealed_cookie(request)
    response.set_cookie(COOKIE, value, max_age=SESSION_MS // 1000, httponly=True, samesite="strict", secure=secure)


def _credential(form: FormData) -> str:
    value = form.get("credential", "")
    return value if isinstance(value, str) else ""


def _base(request: Request) -> str:
    return str(request.scope.get("root_path", ""))


def _raw(text: str) -> Response:
    return Response(text, media_type="application/json")


def _json(document: dict[str, str], status: int = 200) -> Response:
    return Response(msgspec.json.encode(document), status, media_type="application/json")
