"""Servers on loopback that answer like the vendors whose documentation their shapes come from, and refuse what it does not
name.

Shapes: ``tests/vectors/vendors/*.json``, written by hand. A vendor here keeps a little state, so that what was done can be
read back, and records every request as it arrived.
"""

from __future__ import annotations

import copy
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

VECTORS = Path(__file__).resolve().parent / "vectors" / "vendors"
SECRET = "s3cr3t-of-the-site"


@dataclass(frozen=True)
class Asked:
    """One request. path: decoded segments of the raw path. query: decoded. body: JSON, or form fields."""

    method: str
    path: tuple[str, ...]
    query: dict[str, str]
    headers: dict[str, str]
    body: Any
    raw: str


Said = tuple[int, Any]


@dataclass
class Vendor:
    """name: of its shapes. fail: (status, path's last segment) with which everything else is refused; hang: answers that
    come too late are told to wait for this event first."""

    name: str
    asked: list[Asked] = field(default_factory=list)
    fail: dict[str, Said] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    hang: dict[str, threading.Event] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.shapes: dict[str, Any] = json.loads((VECTORS / f"{self.name}.json").read_text("utf-8"))

    def shape(self, name: str) -> Said:
        one = copy.deepcopy(self.shapes[name])
        return one["status"], one["body"]

    def answer(self, asked: Asked) -> Said:
        self.asked.append(asked)
        last = asked.path[-1]
        if last in self.hang:
            self.hang[last].wait(10)
        if last in self.fail:
            return self.fail[last]
        return self.route(asked) or (400, self.shapes.get("error", {}))

    def route(self, asked: Asked) -> Said | None:
        raise NotImplementedError

    def changes(self) -> list[Asked]:
        """Requests that change something."""
        signing = {"token", "authenticate"}
        return [one for one in self.asked if one.method != "GET" and one.path[-1] not in signing]


def bearer(asked: Asked) -> bool:
    return asked.headers.get("authorization") == "Bearer a-token"


def client_credentials(asked: Asked, **more: str) -> bool:
    wanted = {"client_id": "app", "client_secret": SECRET, **more}
    return asked.method == "POST" and asked.body == wanted


@dataclass
class Crowdstrike(Vendor):
    """pending: how many reads show a containment as pending."""

    name: str = "crowdstrike"
    hosts: dict[str, tuple[str, str]] = field(default_factory=dict)
    pending: int = 0
    _left: int = 0

    def route(self, asked: Asked) -> Said | None:
        if asked.path == ("oauth2", "token"):
            return self.shape("token") if client_credentials(asked) else (401, self.shapes["error"])
        if not bearer(asked):
            return 401, self.shapes["error"]
        status, body = self.shape("devices")
        if asked.path == ("devices", "queries", "devices", "v1") and asked.method == "GET":
            status, body = self.shape("query")
            name = asked.query["filter"].removeprefix("hostname:['").removesuffix("']")
            body["resources"] = [one for one, (host, _) in self.hosts.items() if host.lower() == name.lower()]
            return status, body
        if asked.path == ("devices", "entities", "devices", "v2") and asked.method == "GET":
            one = asked.query["ids"]
            host, state = self.hosts[one]
            if state.endswith("pending"):
                self._left -= 1
                if self._left < 0:
                    state = {"containment_pending": "contained", "lift_containment_pending": "normal"}[state]
                    self.hosts[one] = (host, state)
            body["resources"] = [
                copy.deepcopy(self.shapes["device"]) | {"device_id": one, "hostname": host, "status": state}
            ]
            return status, body
        if asked.path == ("devices", "entities", "devices-actions", "v2") and asked.method == "POST":
            (one,) = asked.body["ids"]
            word, state = asked.query["action_name"], self.hosts[one][1]
            if (word, state) in (("contain", "contained"), ("lift_containment", "normal")):
                return 409, self.shapes["error"]
            new = {"contain": "containment_pending", "lift_containment": "lift_containment_pending"}[word]
            self.hosts[one] = (self.hosts[one][0], new)
            self._left = self.pending
            status, body = self.shape("ordered")
            body["resources"][0]["id"] = one
            return status, body
        return None


@dataclass
class Defender(Vendor):
    """failing: whether the machine reports its actions as failed."""

    name: str = "defender"
    machines: dict[str, str] = field(default_factory=dict)
    actions: list[dict[str, Any]] = field(default_factory=list)
    pending: int = 0
    failing: bool = False

    def route(self, asked: Asked) -> Said | None:
        if asked.path == ("tenant-1", "oauth2", "v2.0", "token"):
            scope = "https://api.securitycenter.microsoft.com/.default"
            good = client_credentials(asked, grant_type="client_credentials", scope=scope)
            return self.shape("token") if good else (401, self.shapes["error"])
        if not bearer(asked):
            return 401, self.shapes["error"]
        if asked.method == "GET":
            return self._get(asked)
        _, _, machine, word = asked.path
        known = {"isolate": {"Comment", "IsolationType"}, "unisolate": {"Comment"}}
        if asked.method != "POST" or set(asked.body) != known[word] or machine not in self.machines:
            return None
        if any(one["status"] == "Pending" for one in self.actions):
            return 400, self.shapes["error"]
        at = f"2026-11-20T03:04:{len(self.actions):02}.1000000Z"
        made = {"id": f"a{len(self.actions)}", "type": word.capitalize(), "machineId": machine, "creationDateTimeUtc": at}
        made |= {"requestorComment": asked.body["Comment"], "lastUpdateDateTimeUtc": at, "left": self.pending}
        self.actions.append(copy.deepcopy(self.shapes["action"]) | made)
        return 201, self.actions[-1]

    def _get(self, asked: Asked) -> Said | None:
        made = {one: self.shapes["machine"] | {"id": one, "computerDnsName": dns} for one, dns in self.machines.items()}
        if asked.path == ("api", "machines"):
            status, body = self.shape("machines")
            name = asked.query["$filter"].removeprefix("computerDnsName eq '").removesuffix("'")
            body["value"] = [one for one in made.values() if one["computerDnsName"] == name]
            return status, body
        if asked.path == ("api", "machineactions"):
            status, body = self.shape("actions")
            machine = asked.query["$filter"].removeprefix("machineId eq '").removesuffix("'")
            body["value"] = [one for one in reversed(self.actions) if one["machineId"] == machine]
            for one in body["value"]:
                one["left"] -= 1
                if one["status"] == "Pending" and one["left"] < 0:
                    one["status"] = "Failed" if self.failing else "Succeeded"
            return status, body
        found = made.get(asked.path[-1])
        return (200, found) if asked.path[:2] == ("api", "machines") and found else None


@dataclass
class Okta(Vendor):
    name: str = "okta"
    users: dict[str, tuple[str, str]] = field(default_factory=dict)

    def route(self, asked: Asked) -> Said | None:
        if asked.headers.get("authorization") != f"SSWS {SECRET}":
            return 401, self.shapes["error"]
        made = {
            one: copy.deepcopy(self.shapes["user"])
            | {"id": one, "status": status, "profile": {"login": login, "email": login}}
            for one, (login, status) in self.users.items()
        }
        if asked.path == ("api", "v1", "users") and asked.method == "GET":
            wanted = json.loads(asked.query["filter"].removeprefix("profile.login eq "))
            return 200, [one for one in made.values() if one["profile"]["login"].lower() == wanted.lower()]
        _, _, _, one, *rest = asked.path
        login, status = self.users[one]
        moves = {("lifecycle", "suspend"): ("ACTIVE", "SUSPENDED"), ("lifecycle", "unsuspend"): ("SUSPENDED", "ACTIVE")}
        if not rest and asked.method == "GET":
            return 200, made[one]
        if asked.method == "DELETE" and rest == ["sessions"] and asked.query == {"oauthTokens": "true"}:
            return self.shape("cleared")
        move = moves.get(tuple(rest))
        if asked.method != "POST" or move is None or move[0] != status:
            return None
        self.users[one] = (login, move[1])
        return self.shape("changed")


@dataclass
class Entra(Vendor):
    name: str = "entra"
    users: dict[str, dict[str, Any]] = field(default_factory=dict)

    def add(self, ident: str, login: str) -> None:
        self.users[ident] = copy.deepcopy(self.shapes["user"]) | {"id": ident, "userPrincipalName": login}

    def route(self, asked: Asked) -> Said | None:
        if asked.path == ("tenant-1", "oauth2", "v2.0", "token"):
            scope = "https://graph.microsoft.com/.default"
            good = client_credentials(asked, grant_type="client_credentials", scope=scope)
            return self.shape("token") if good else (401, self.shapes["error"])
        if not bearer(asked):
            return 401, self.shapes["error"]
        if asked.path == ("v1.0", "users") and asked.method == "GET":
            status, body = self.shape("users")
            wanted = asked.query["$filter"].removeprefix("userPrincipalName eq '").removesuffix("'").replace("''", "'")
            body["value"] = [one for one in self.users.values() if one["userPrincipalName"].lower() == wanted.lower()]
            return status, body
        _, _, one, *rest = asked.path
        if not rest and asked.method == "GET":
            return 200, self.users[one]
        if not rest and asked.method == "PATCH" and set(asked.body) == {"accountEnabled"}:
            self.users[one] |= asked.body
            return self.shape("patched")
        if rest == ["revokeSignInSessions"] and asked.method == "POST":
            self.users[one]["signInSessionsValidFromDateTime"] = "2026-11-20T03:04:05Z"
            return self.shape("revoked")
        return None


@dataclass
class Wazuh(Vendor):
    """started: called with each command that reached an agent."""

    name: str = "wazuh"
    agents: dict[str, tuple[str, str]] = field(default_factory=dict)
    started: Callable[[str], None] = lambda _command: None

    def route(self, asked: Asked) -> Said | None:
        if asked.path == ("security", "user", "authenticate"):
            good = asked.headers.get("authorization", "").startswith("Basic ")
            return self.shape("token") if good else (401, self.shapes["error"])
        if not bearer(asked):
            return 401, self.shapes["error"]
        if asked.path == ("agents",) and asked.method == "GET":
            status, body = self.shape("agents")
            made = [
                copy.deepcopy(self.shapes["agent"]) | {"id": one, "name": name, "status": state}
                for one, (name, state) in self.agents.items()
            ]
            key, value = next(iter(asked.query.items()))
            body["data"]["affected_items"] = [
                one for one in made if one["name" if key == "name" else "id"] == value and key in ("name", "agents_list")
            ]
            return status, body
        if asked.path == ("active-response",) and asked.method == "PUT" and set(asked.body) == {"command"}:
            one = asked.query["agents_list"]
            if self.agents[one][1] != "active":
                return self.shape("unsent")
            self.started(asked.body["command"])
            status, body = self.shape("sent")
            body["data"]["affected_items"] = [one]
            return status, body
        return None


@contextmanager
def serving(answer: Callable[[Asked], Said], headers: dict[str, str] | None = None) -> Iterator[str]:
    """Its address; stopped at the end."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            parts = urlsplit(self.path)
            kind = self.headers.get("Content-Type", "")
            try:
                content = json.loads(body) if "json" in kind else dict(parse_qsl(body.decode()))
            except ValueError:
                content = body
            asked = Asked(
                self.command,
                tuple(unquote(part) for part in parts.path.split("/")[1:]),
                dict(parse_qsl(parts.query, keep_blank_values=True)),
                {name.lower(): value for name, value in self.headers.items()},
                content,
                self.path,
            )
            status, said = answer(asked)
            data = b"" if said is None else said if isinstance(said, bytes) else json.dumps(said).encode()
            try:
                self.send_response(status)
                for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)
            except OSError:
                self.close_connection = True  # whoever asked has gone

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _any  # noqa: N815

        def log_message(self, *_: object) -> None:  # type: ignore[override]
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
