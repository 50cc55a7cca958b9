"""What reaches a directory when names of the inventory hold LDAP filters, DNs, templates or anything else: read from the
wire, message by message. A name is one value of one equality; one attribute of the entry that bears it is changed."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import ldap3
import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from countersign.actions import ACTIONS
from countersign.actions.der import elements
from countersign.actions.hand import BaseHand
from countersign.errors import TargetFault
from countersign.model.inventory import Identity
from tests.directories import PERSON, SECRETS, Place, openldap, samba
from tests.examples import examples
from tests.namespaces import PATIENCE_S, Driven, order
from tests.recording import Tap, tapped
from tests.vendors import SECRET

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("directories")]
COVERS = ("disable_account", "enable_account")
PEOPLE = (
    "*", "j.plover)(uid=*", ")(|(uid=*", "a*b", "\\2a", "uid=j.plover,ou=people", "cn=countersign,dc=kestrel,dc=example",
    "k,ou=policies", "x+cn=y", "#0401", "{{7*7}}", "$(id)", '"quoted"', "é<>;=",
)  # fmt: skip
"""Names that people of the directory really have."""
PIECES = [
    *PEOPLE,
    PERSON,
    "\0",
    "\\00",
    "(",
    ")",
    "&",
    "|",
    "!",
    "=",
    ",",
    "\n",
    "\r\n",
    " ",
    "\u202e",
    "ﬁ",
    ">=",
    "~=",
    ":dn:=",
]
SAMBAS_OWN = ("administrator", "guest", "krbtgt", "dc1$")
"""Accounts of a domain that nobody made: such a name is one, and Hypothesis tries words that stand in the sources."""
pieces = st.lists(st.sampled_from(PIECES) | st.text(max_size=6), min_size=1, max_size=3).map("".join)
hostile = pieces.filter(lambda name: name.strip().casefold() not in SAMBAS_OWN)
names = st.sampled_from([PERSON, *PEOPLE]) | hostile
STEPS = st.sampled_from(["check", "do", "probe", "undo"])
FEW = settings(max_examples=examples(80), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
_PRESENT = ("present", b"objectClass")


# --- reading the wire -------------------------------------------------------------------------------------------------


def operations(tap: Tap) -> list[tuple[Any, ...]]:
    """Every request of every connection (RFC 4511): ("bind", name), ("search", base, filter), ("modify", entry, changes),
    ("unbind",); anything else by its tag."""
    found = []
    for said in tap.said:
        for _, message in elements(bytes(said)):
            _, (tag, body) = list(elements(message))[:2]
            found.append(_operation(tag, body))
    return found


def _operation(tag: int, body: bytes) -> tuple[Any, ...]:
    if tag == 0x42:
        return ("unbind",)
    parts = [value for _, value in elements(body)]
    if tag == 0x60:
        return ("bind", parts[1])
    if tag == 0x63:
        return ("search", parts[0], _filter(*list(elements(body))[6]))
    if tag == 0x66:
        return ("modify", parts[0], tuple(_change(one) for _, one in elements(parts[1])))
    return (f"0x{tag:02x}", body)


def _filter(tag: int, body: bytes) -> tuple[Any, ...]:
    if tag == 0xA3:
        return ("=", *(value for _, value in elements(body)))
    if tag == 0xA0:
        return ("&", *(_filter(*one) for one in elements(body)))
    if tag == 0x87:
        return ("present", body)
    return (f"0x{tag:02x}", body)


def _change(body: bytes) -> tuple[int, bytes, tuple[bytes, ...]]:
    (_, how), (_, modification) = elements(body)
    (_, attribute), (_, values) = elements(modification)
    return how[0], attribute, tuple(value for _, value in elements(values))


# --- directories ------------------------------------------------------------------------------------------------------


@dataclass
class Tapped:
    """A directory behind a tap. entries: DN by name, as the directory itself writes it."""

    place: Place
    tap: Tap
    entries: dict[str, bytes] = field(default_factory=dict)

    def told(self, name: str, step: str) -> list[tuple[Any, ...]]:
        table = self.place.table | {"url": f"ldap://127.0.0.1:{self.tap.port}"}
        action = ACTIONS["disable_account"]
        made = action.hand(msgspec.convert(table, action.settings), _Knowing())
        assert isinstance(made, BaseHand)
        self.tap.clear()
        with suppress(TargetFault):
            getattr(Driven(made, order("disable_account", Identity(name))), step)()
        return operations(self.tap)


@dataclass(frozen=True)
class _Knowing:
    timeout_s: float = PATIENCE_S

    def secret(self, reference: str) -> str:
        return SECRETS.get(reference, SECRET)


def _person(name: str) -> str:
    """LDIF of somebody with this name; every byte of it escaped in the DN (RFC 4514)."""
    raw = name.encode()
    dn = "uid=" + "".join(f"\\{byte:02x}" for byte in raw) + ",ou=people,dc=kestrel,dc=example"
    encoded = [f"{key}:: {base64.b64encode(value).decode()}" for key, value in (("dn", dn.encode()), ("uid", raw))]
    return "\n".join(["", encoded[0], "objectClass: inetOrgPerson", encoded[1], "cn: J", "sn: P", "userPassword: x", ""])


def _find(place: Place, name: str, attribute: str) -> bytes:
    server = ldap3.Server(place.url, get_info=ldap3.NONE)
    with ldap3.Connection(server, str(place.table["bind_dn"]), SECRETS[str(place.table["password"])]) as link:
        value = "".join(f"\\{byte:02x}" for byte in name.encode())
        link.search(str(place.table["base"]), f"({attribute}={value})", ldap3.SUBTREE)
        (found,) = [one for one in link.response if one["type"] == "searchResEntry"]
        return bytes(found["raw_dn"])


@pytest.fixture(scope="module")
def ldap(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tapped]:
    more = "".join(_person(name) for name in PEOPLE)
    with openldap(tmp_path_factory.mktemp("ol"), more=more) as place:
        parts = urlsplit(place.url)
        with tapped(str(parts.hostname), int(parts.port or 389)) as tap:
            yield Tapped(place, tap, {name: _find(place, name, "uid") for name in (PERSON, *PEOPLE)})


@pytest.fixture(scope="module")
def domain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tapped]:
    with samba(tmp_path_factory.mktemp("ad")) as place, tapped(str(urlsplit(place.url).hostname), 389) as tap:
        yield Tapped(place, tap, {PERSON: _find(place, PERSON, "sAMAccountName")})


def entry_of(there: Tapped, name: str) -> bytes | None:
    """The entry that a name may lead to: letters' case makes no difference in a directory."""
    return {known.casefold(): dn for known, dn in there.entries.items()}.get(name.casefold())


# --- OpenLDAP ---------------------------------------------------------------------------------------------------------

LOCK = b"pwdAccountLockedTime"


@FEW
@given(name=names, step=STEPS)
@example(name="*", step="do")
@example(name="j.plover)(uid=*", step="do")
@example(name="cn=countersign,dc=kestrel,dc=example", step="undo")
@example(name="J.Plover", step="probe")
@example(name=PERSON, step="do")
def test_openldap_hears_one_value_and_changes_one_entry(ldap: Tapped, name: str, step: str) -> None:
    service, base = str(ldap.place.table["bind_dn"]).encode(), str(ldap.place.table["base"]).encode()
    dn, mine = entry_of(ldap, name), ("search", base, ("=", b"uid", name.encode()))
    told = ldap.told(name, step)
    meant = {"do": ((2, LOCK, (b"000001010000Z",)),), "undo": ((2, LOCK, ()),)}
    allowed = {("unbind",), ("bind", service), mine, *_ABOUT_POLICY}
    if dn is not None:
        allowed |= {("bind", dn)} if step in ("check", "probe") else {("modify", dn, meant[step])}
    assert set(told) <= allowed, (name, step)
    assert told[0] == ("bind", service)
    changes = [one for one in told if one[0] == "modify"]
    assert len(changes) == (dn is not None and step in meant)


_ABOUT_POLICY = {
    ("search", b"", _PRESENT),
    ("search", b"cn=config", ("=", b"objectClass", b"olcDatabaseConfig")),
    ("search", b"olcDatabase={1}mdb,cn=config", ("=", b"objectClass", b"olcPPolicyConfig")),
    ("search", b"cn=default,ou=policies,dc=kestrel,dc=example", _PRESENT),
}


# --- Active Directory -------------------------------------------------------------------------------------------------

BITS = b"userAccountControl"


@pytest.mark.root
@FEW
@given(name=names, step=STEPS)
@example(name="*", step="do")
@example(name=f"{PERSON})(objectClass=*", step="do")
@example(name="krbtgt)(cn=*", step="undo")
@example(name=PERSON, step="do")
@example(name=PERSON, step="probe")
@example(name=PERSON, step="undo")
def test_active_directory_hears_one_value_and_changes_one_entry(domain: Tapped, name: str, step: str) -> None:
    service, base = str(domain.place.table["bind_dn"]).encode(), str(domain.place.table["base"]).encode()
    dn, mine = entry_of(domain, name), ("search", base, ("=", b"sAMAccountName", name.encode()))
    told = domain.told(name, step)
    ping = ("&", ("=", b"DnsDomain", b"kestrel.test"), ("=", b"User", PERSON.encode()))
    allowed = {("unbind",), ("bind", service), mine, ("search", b"", _PRESENT)}
    for one in told:
        if dn is not None and one[0] == "search" and one[1] == b"" and one[2][0] == "&":
            assert one[2][:3] == ping
            assert [part[:2] for part in one[2][3:]] == [("=", b"AAC"), ("=", b"NtVer")]
        elif dn is not None and one[0] == "modify":
            old, new = (513 + 1, 512) if step == "undo" else (512, 514)
            assert one == ("modify", dn, ((1, BITS, (b"%d" % old,)), (0, BITS, (b"%d" % new,))))
            assert step in ("do", "undo")
        else:
            assert one in allowed, (name, step)
