"""Tickets and notifications against a real HTTP server: what arrives, what is asked back, what cannot be taken back."""

from __future__ import annotations

import json
from collections.abc import Iterator

import msgspec
import pytest

from countersign.actions.hand import Cover
from countersign.authority.terms import LeaseRefused
from countersign.errors import ConfigError, TargetFault
from countersign.model.responses import Effect
from tests.hands import USE, Using, cover
from tests.vendors import SECRET, Asked, Said, serving

KEY = "countersign-C-1001"


class Queue:
    """Tickets by key."""

    def __init__(self) -> None:
        self.tickets: dict[str, str] = {}
        self.asked: list[Asked] = []
        self.fail = 0

    def answer(self, asked: Asked) -> Said:
        self.asked.append(asked)
        if self.fail:
            return self.fail, {"error": "hunter2"}
        if asked.method == "POST" and asked.path == ("hooks", "t0k3n-in-path"):
            self.tickets[asked.body["key"]] = "open"
            return 201, {"id": 1}
        key = asked.path[1]
        if key not in self.tickets:
            return 404, {}
        if asked.method == "POST" and asked.path[2:] == ("close",):
            self.tickets[key] = "Closed"
            return 204, None
        return 200, {"key": key, "status": self.tickets[key]}


@pytest.fixture
def queue() -> Iterator[tuple[Queue, dict[str, object]]]:
    made = Queue()
    with serving(made.answer) as base:
        url = f"{base}/hooks/t0k3n-in-path"
        more = {"status": f"{base}/tickets/{{key}}", "console": "https://soc.example", "token": "env:TOKEN"}
        yield made, {"run": True, "url": url} | more


@pytest.mark.parametrize("action", ["open_ticket", "notify_webhook"])
def test_what_arrives_is_a_document_of_ours_and_arrives_once(queue: tuple[Queue, dict[str, object]], action: str) -> None:
    there, settings = queue
    using = Using(action, settings, ())
    assert using.check().effect is Effect.ABSENT
    using.do()
    using.do()
    posted = [one for one in there.asked if one.method == "POST"]
    assert len(posted) == 1
    title = {"open_ticket": "Open ticket", "notify_webhook": "Notify"}[action]
    assert posted[0].body == {
        "source": "Countersign", "action": title, "title": f"{title}: case C-1001", "case": "C-1001", "proposal": 7,
        "key": KEY if action == "open_ticket" else "ab" * 32, "link": "https://soc.example/cases/C-1001",
    }  # fmt: skip
    assert posted[0].headers["authorization"] == f"Bearer {SECRET}"
    assert using.probe().effect is Effect.HOLDS


def test_a_ticket_is_closed_where_the_settings_say_how(queue: tuple[Queue, dict[str, object]]) -> None:
    there, settings = queue
    using = Using("open_ticket", settings | {"close": str(settings["status"]) + "/close"}, ())
    using.do()
    back = using.inverse()
    later = msgspec.structs.replace(back.order, id="cd" * 32, number=8)  # approved as a proposal of its own
    back.hand.do(later, cover(back.action))
    assert there.tickets == {KEY: "Closed"}
    assert (using.probe().effect, back.probe().effect) == (Effect.ABSENT, Effect.HOLDS)
    asked = len([one for one in there.asked if one.method == "POST"])
    back.do()
    assert len([one for one in there.asked if one.method == "POST"]) == asked


@pytest.mark.parametrize("action", ["open_ticket", "notify_webhook"])
def test_what_cannot_be_taken_back_says_so(queue: tuple[Queue, dict[str, object]], action: str) -> None:
    there, settings = queue
    with pytest.raises(TargetFault, match="cannot be undone") as caught:
        Using(action, settings, ()).undo()
    assert caught.value.kind == TargetFault.REFUSED
    assert there.asked == []


def test_without_a_status_address_the_effect_is_unknown(queue: tuple[Queue, dict[str, object]]) -> None:
    there, settings = queue
    using = Using("open_ticket", settings | {"status": ""}, ())
    using.do()
    assert there.tickets == {KEY: "open"}
    assert using.probe().effect is Effect.UNKNOWN


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, TargetFault.CREDENTIALS), (403, TargetFault.DENIED), (429, TargetFault.REFUSED), (502, TargetFault.UNREACHABLE)],
)
def test_a_refusal_has_its_kind_and_gives_no_secret_away(
    queue: tuple[Queue, dict[str, object]], status: int, kind: str
) -> None:
    there, settings = queue
    there.fail = status
    with pytest.raises(TargetFault) as caught:
        Using("open_ticket", settings | {"status": ""}, ()).do()
    assert caught.value.kind == kind
    for secret in (SECRET, "hunter2", "t0k3n-in-path"):
        assert secret not in str(caught.value)


def test_settings_and_lease_are_asked_first(queue: tuple[Queue, dict[str, object]]) -> None:
    there, settings = queue
    using = Using("notify_webhook", settings, ())
    with pytest.raises(LeaseRefused):
        using.hand.do(using.order, Cover(None, USE))
    with pytest.raises(ConfigError, match="key"):
        _ = Using("open_ticket", settings | {"close": "https://t.example/close"}, ()).hand
    with pytest.raises(ConfigError, match="https"):
        _ = Using("notify_webhook", {"url": "http://chat.example/x"}, ()).hand
    assert there.asked == []
    assert json.dumps(settings)
