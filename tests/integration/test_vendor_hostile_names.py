"""Whatever the inventory calls a target, a vendor is sent one properly written value of it, or nothing about it at all."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from countersign.errors import TargetFault
from countersign.model.inventory import Asset, Identity
from tests.examples import examples
from tests.hands import Using
from tests.vendors import SECRET, Asked, Crowdstrike, Defender, Entra, Okta, Vendor, Wazuh, serving

PIECES = [
    "file-01", "k.curlew", "'", "''", '"', "\\", "\\'", "/", "../", "..", "?", "#", "&", "=", "%27", "%2F", "%00", "*", "+",
    "]", "['", " or 1 eq 1", "' or accountEnabled eq true or userPrincipalName eq '", "\r\nX-Evil: 1", "\x00", "\u202e",
    "@evil.example", '","status":"x', "{key}", "{{7*7}}", "${x}", "$(reboot)", ";", "|", "`id`", ",ws-2", "&agents_list=001",
    "&action_name=hide_host", "é", "\u2028", " ",
]  # fmt: skip
hostile = st.lists(st.sampled_from(PIECES) | st.text(max_size=4), min_size=1, max_size=5).map("".join)
HEADERS = {
    "accept",
    "accept-encoding",
    "authorization",
    "connection",
    "content-length",
    "content-type",
    "host",
    "user-agent",
}


@dataclass
class Kept:
    """A vendor that runs for all of a test's examples. named: makes the target called so its only one. value: the name in a
    look-up's query, None when the query is not of the one form that it may have. usual: what is sent whatever the name."""

    vendor: Vendor
    using: Using
    named: Callable[[str], None]
    value: Callable[[dict[str, str]], str | None]
    host: bool
    paths: frozenset[str]
    usual: frozenset[str] = frozenset()


def crowdstrike(base: str, vendor: Crowdstrike) -> Kept:
    def named(name: str) -> None:
        vendor.hosts = {"aid1": (name, "normal")}

    table = {"run": True, "url": base, "client": "app", "secret": "env:TOKEN"}
    paths = {"/oauth2/token", "/devices/queries/devices/v1", "/devices/entities/devices/v2"}
    paths |= {"/devices/entities/devices-actions/v2"}
    using = Using("contain_crowdstrike", table, ())
    return Kept(
        vendor, using, named, lambda q: _inside(q, "filter", r"hostname:\['([^'\]\[\\*]*)'\]"), True, frozenset(paths)
    )


def defender(base: str, vendor: Defender) -> Kept:
    def named(name: str) -> None:
        vendor.machines, vendor.actions = {"m1": name}, []

    table = {"run": True, "url": base, "login": base, "tenant": "tenant-1", "client": "app", "secret": "env:TOKEN"}
    paths = {"/tenant-1/oauth2/v2.0/token", "/api/machines", "/api/machines/m1", "/api/machineactions"}
    paths |= {"/api/machines/m1/isolate", "/api/machines/m1/unisolate"}
    using = Using("isolate_defender", table, ())
    return Kept(
        vendor, using, named, lambda q: _inside(q, "$filter", r"computerDnsName eq '([^']*)'"), True, frozenset(paths)
    )


def okta(base: str, vendor: Okta) -> Kept:
    def named(name: str) -> None:
        vendor.users = {"00u1": (name, "ACTIVE")}

    def value(query: dict[str, str]) -> str | None:
        text = _inside(query, "filter", r'profile\.login eq ("(?:[^"\\]|\\["\\])*")')
        return None if text is None else re.sub(r"\\(.)", r"\1", text[1:-1])

    table = {"run": True, "url": base, "token": "env:TOKEN"}
    users = "/api/v1/users"
    paths = {users, f"{users}/00u1", f"{users}/00u1/lifecycle/suspend", f"{users}/00u1/sessions"}
    paths |= {f"{users}/00u1/lifecycle/unsuspend"}
    return Kept(vendor, Using("suspend_okta", table, ()), named, value, False, frozenset(paths))


def entra(base: str, vendor: Entra) -> Kept:
    def named(name: str) -> None:
        vendor.users = {}
        vendor.add("6e7b", name)

    def value(query: dict[str, str]) -> str | None:
        text = _inside(query, "$filter", r"userPrincipalName eq '((?:[^']|'')*)'")
        return None if text is None else text.replace("''", "'")

    table = {"run": True, "url": base, "login": base, "tenant": "tenant-1", "client": "app", "secret": "env:TOKEN"}
    paths = {"/tenant-1/oauth2/v2.0/token", "/v1.0/users", "/v1.0/users/6e7b", "/v1.0/users/6e7b/revokeSignInSessions"}
    return Kept(vendor, Using("disable_entra", table, ()), named, value, False, frozenset(paths))


def wazuh(base: str, vendor: Wazuh) -> Kept:
    def named(name: str) -> None:
        vendor.agents = {"004": (name, "active")}

    table = {"run": True, "url": base, "user": "countersign", "password": "env:TOKEN"}
    table |= {"command": "!isolate.sh", "undo_command": "!release.sh"}
    paths = {"/security/user/authenticate", "/agents", "/active-response"}
    using = Using("isolate_wazuh", table, ())
    return Kept(vendor, using, named, lambda q: q.get("name"), True, frozenset(paths))


def _inside(query: dict[str, str], key: str, pattern: str) -> str | None:
    found = re.fullmatch(pattern, query.get(key, ""), re.DOTALL)
    return found[1] if found else None


MAKE: dict[str, tuple[type[Vendor], Callable[[str, Any], Kept]]] = {
    "crowdstrike": (Crowdstrike, crowdstrike),
    "defender": (Defender, defender),
    "okta": (Okta, okta),
    "entra": (Entra, entra),
    "wazuh": (Wazuh, wazuh),
}


COVERS = (
    *("contain_crowdstrike", "lift_crowdstrike", "isolate_defender", "unisolate_defender", "isolate_wazuh", "release_wazuh"),
    *("suspend_okta", "unsuspend_okta", "disable_entra", "enable_entra"),
)


@pytest.fixture(scope="module", params=list(MAKE))
def kept(request: pytest.FixtureRequest) -> Iterator[Kept]:
    kind, make = MAKE[request.param]
    with ExitStack() as stack:
        vendor = kind()  # type: ignore[call-arg]
        made = make(stack.enter_context(serving(vendor.answer)), vendor)
        assert _fault(made, "an-ordinary-name") is None
        made.usual = frozenset(text for one in vendor.asked if made.value(one.query) is None for text in _sent(one))
        yield made


@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=hostile)
@example(name="file-01")
@example(name="o'brien@kestrel.example")
@example(name='k"x\\')
@example(name="x' or accountEnabled eq true or userPrincipalName eq 'y")
@example(name="a&agents_list=001")
@example(name="a\r\nX-Evil: 1")
@example(name="../../oauth2/token?x=")
def test_a_vendor_gets_one_value_or_nothing(kept: Kept, name: str) -> None:
    if (fault := _fault(kept, name)) is not None:
        assert SECRET not in str(fault)
        assert fault.kind == TargetFault.REFUSED, "the only reason not to act is the name itself: it is there"
        assert not [one for one in kept.vendor.asked if kept.value(one.query) is not None], "nothing about it was sent"
        assert not kept.vendor.changes()
        return
    looked = [one for one in kept.vendor.asked if kept.value(one.query) is not None]
    assert looked
    assert {kept.value(one.query) for one in looked} == {name}, "the name arrives as one value, whole"
    for one in kept.vendor.asked:
        _only_there(kept, one, name, looked)
    assert kept.vendor.changes()


def _fault(kept: Kept, name: str) -> TargetFault | None:
    """Done and undone to the only one of a name."""
    kept.vendor.asked.clear()
    kept.named(name)
    using = Using(kept.using.action, kept.using.settings, (Asset(name) if kept.host else Identity(name),))
    try:
        using.do()
        using.undo()
    except TargetFault as fault:
        return fault
    return None


def _sent(one: Asked) -> list[str]:
    return [str(value) for value in (*one.query.values(), *dict(one.body or {}).values())]


def _only_there(kept: Kept, one: Asked, name: str, looked: list[Asked]) -> None:
    """Nothing but a look-up's query has anything to do with the name: every other part is one of a few that do not vary."""
    assert one.raw.partition("?")[0] in kept.paths
    assert set(one.headers) <= HEADERS
    for value in one.headers.values():
        assert "evil" not in value.lower()
    if one not in looked and len(name) > 3:
        assert not [text for text in _sent(one) if name in text and text not in kept.usual]
    if one.body and one.path[-1] not in ("token", "authenticate"):
        assert set(one.body) <= {"ids", "Comment", "IsolationType", "accountEnabled", "command"}
    assert set(one.query) <= {
        "filter", "limit", "ids", "action_name", "$filter", "$select", "name", "agents_list", "oauthTokens",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["file-01", "k.curlew"])
def test_an_ordinary_name_is_acted_on(kept: Kept, name: str) -> None:
    """So that refusing everything would not pass."""
    test_a_vendor_gets_one_value_or_nothing.hypothesis.inner_test(kept, name)  # type: ignore[attr-defined]
    assert kept.vendor.changes()
