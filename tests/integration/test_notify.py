"""Messages about what waits for people, to real servers: what they say, when they come, and what failing does."""

from __future__ import annotations

import hashlib
import hmac
import json
import socketserver
import threading
from collections.abc import Iterator
from email import message_from_bytes
from email.policy import default
from typing import Any

import pytest
from msgspec.structs import replace

from countersign import config
from countersign.approving import Approving, by_name
from countersign.bootstrap import Site
from countersign.notify import channels
from countersign.store import outbox
from countersign.store.engine import reading
from countersign.telling import Telling, configured, work_off
from tests import fakes, responding
from tests.hearing import Web, heard
from tests.passkey_signing import ORIGIN, enrol
from tests.ports import deaf_port

SECRET = "hush-7731"


class Post(socketserver.StreamRequestHandler):
    """As much of an SMTP server (RFC 5321) as a mail needs."""

    def handle(self) -> None:
        server: Any = self.server
        self.say("220 here")
        while line := self.rfile.readline():
            verb = line.strip().upper()
            if verb.startswith(b"RCPT"):
                server.rcpt.append(line.strip().decode())
            if verb == b"DATA":
                self.say("354 go on")
                server.mails.append(b"".join(iter(self.rfile.readline, b".\r\n")))
            self.say("221 bye" if verb == b"QUIT" else "250 fine")
            if verb == b"QUIT":
                return

    def say(self, text: str) -> None:
        self.wfile.write(text.encode() + b"\r\n")


@pytest.fixture
def web() -> Iterator[Web]:
    with heard() as made:
        yield made


@pytest.fixture
def smtp() -> Iterator[Any]:
    server: Any = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Post)
    server.mails, server.rcpt = [], []
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def told(site: Site, web: Web, smtp: Any) -> Site:
    """A site with all three channels."""
    secrets = {"hook": f"{web.url}/hook/{SECRET}", "signing": SECRET, "slack": f"{web.url}/slack/{SECRET}"}
    for name, text in secrets.items():
        (site.data / name).write_text(f"{text}\n", "utf-8")
    notify = config.Notify(
        webhook=config.Webhook(f"file:{site.data / 'hook'}", f"file:{site.data / 'signing'}"),
        slack=config.Slack(f"file:{site.data / 'slack'}"),
        mail=config.Mail(
            "127.0.0.1", smtp.server_address[1], "none", sender="soc@example.org", to="a@example.org, b@example.org"
        ),
    )
    server = replace(site.config.server, url="https://soc.example.org")
    site.config = replace(site.config, notify=notify, server=server)
    return site


def propose(site: Site) -> int:
    return Approving(site).propose(responding.case(site), by_name("isolate_host", ""), "Cyn Boyd")


def test_every_channel_hears_what_waits_and_no_word_of_an_alert(told: Site, web: Web, smtp: Any) -> None:
    number = propose(told)
    assert (web.heard, smtp.mails) == ([], [])
    assert work_off(told, channels(told.config)) == 3
    said = f"Countersign: isolate_host for case C-1001 waits for approval (number {number})"
    link = f"https://soc.example.org/approvals/{number}"
    by_path = {path.split("/")[1]: (headers, body) for path, headers, body in web.heard}
    headers, body = by_path["hook"]
    assert json.loads(body) == {
        "id": f"{number}.waits", "event": "waits", "number": number, "what": "isolate_host", "case": "C-1001",
        "text": said, "link": link,
    }  # fmt: skip
    assert headers["x-countersign-signature"] == "sha256=" + hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    assert json.loads(by_path["slack"][1]) == {"text": f"{said}\n{link}"}
    (mail,) = (message_from_bytes(one, policy=default) for one in smtp.mails)
    assert (mail["subject"], mail["from"], mail.get_content_type()) == (said, "soc@example.org", "text/plain")
    assert smtp.rcpt == ["rcpt TO:<a@example.org>", "rcpt TO:<b@example.org>"]
    assert link in mail.get_content()
    whole = b"".join([*(body for _, _, body in web.heard), *smtp.mails])
    for word in (b"script", b"Boyd", b"curlew", b"approve?", SECRET.encode()):
        assert word not in whole
    assert work_off(told, channels(told.config)) == 0


def test_how_it_ended_is_told_for_actions_and_for_changes(told: Site, web: Web) -> None:
    key = enrol(told, "Ada Lovelace")
    number, approving = propose(told), Approving(told, ORIGIN)
    pressed = key.press(approving.ceremony(number, "Ada Lovelace"))
    approving.approve_by_passkey(number, "Ada Lovelace", pressed, "seen it")
    work_off(told, channels(told.config))
    hooks = [json.loads(body)["event"] for path, _, body in web.heard if path.startswith("/hook")]
    assert hooks == ["waits", "approved"]


def test_what_fails_is_tried_again_is_shown_and_holds_nothing_up(told: Site, web: Web) -> None:
    only = {"webhook": channels(told.config)["webhook"]}
    web.answers = [500]
    number = propose(told)
    assert work_off(told, only) == 1
    assert Approving(told).troubles() == (f"webhook: answered 500 (number {number}, tried 1 times)",)
    assert work_off(told, only) == 0
    told.clock.at_ms += outbox.FIRST_DELAY_MS  # type: ignore[attr-defined]
    assert work_off(told, only) == 1
    assert Approving(told).troubles() == ()
    first, second = (json.loads(body) for _, _, body in web.heard)
    assert first == second


def test_what_never_gets_through_stays_to_be_seen_and_names_no_secret(told: Site) -> None:
    propose(told)
    with deaf_port() as nobody:
        (told.data / "slack").write_text(f"http://127.0.0.1:{nobody}/slack/{SECRET}\n", "utf-8")
        ways = channels(told.config)
        for _ in range(outbox.TRIES_MAX + 1):
            work_off(told, {"slack": ways["slack"]})
            told.clock.at_ms += outbox.FIRST_DELAY_MS * 2**outbox.TRIES_MAX  # type: ignore[attr-defined]
    (line,) = Approving(told).troubles()
    assert line.startswith("slack: cannot be reached (ConnectError)")
    assert f"tried {outbox.TRIES_MAX} times" in line
    assert SECRET not in line


def test_a_reference_that_leads_nowhere_shows_where_people_look(told: Site) -> None:
    (told.data / "slack").unlink()
    propose(told)
    assert work_off(told, configured(told)) == 1
    assert "notify.slack.url: its file cannot be read" in Approving(told).troubles()[0]


def test_the_worker_tells_by_itself(told: Site, web: Web, smtp: Any) -> None:
    telling = Telling(told)
    telling.start()
    propose(told)
    assert web.hears(2)
    waiting = threading.Event()
    for _ in range(1_200):
        if smtp.mails:
            break
        waiting.wait(0.05)
    telling.stop()
    assert (len(web.heard), len(smtp.mails)) == (2, 1)


def test_without_channels_nothing_piles_up(site: Site) -> None:
    propose(site)
    assert work_off(site, configured(site)) == 0
    assert fakes.count(site.engine, "notices") == 0


def test_a_message_belongs_to_one_worker(told: Site, web: Web) -> None:
    propose(told)
    only = {"webhook": channels(told.config)["webhook"]}
    threads = [threading.Thread(target=work_off, args=(told, only)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with reading(told.engine) as conn:
        assert outbox.due(conn, told.clock.now_ms()) == []
    assert len(web.heard) == 1
