"""Accounts on real directories: the person gets in → refused → gets in again, and the probe says so each time."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec
import pytest

from countersign.actions import ACTIONS
from countersign.actions.hand import BaseHand
from countersign.actions.ldap_directory import is_ours
from countersign.errors import ConfigError, TargetFault
from countersign.model.inventory import Identity
from countersign.model.responses import Effect
from tests.directories import PERSON, SECRETS, Place, dripping, openldap, samba
from tests.namespaces import PATIENCE_S, Driven, fault, order
from tests.ports import deaf_port

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("directories")]


@dataclass(frozen=True)
class Knowing:
    """A site that knows the secrets of these tests."""

    timeout_s: float

    def secret(self, reference: str) -> str:
        return SECRETS[reference]


def driven(
    place: Place, action: str = "disable_account", name: str = PERSON, timeout_s: float = PATIENCE_S, **more: object
) -> Driven:
    made = ACTIONS[action].hand(msgspec.convert(place.table | more, ACTIONS[action].settings), Knowing(timeout_s))
    assert isinstance(made, BaseHand)
    return Driven(made, order(action, Identity(name)))


@pytest.fixture(scope="module")
def ldap(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with openldap(tmp_path_factory.mktemp("ol")) as place:
        yield place


@pytest.fixture(scope="module")
def domain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with samba(tmp_path_factory.mktemp("ad")) as place:
        yield place


def out_and_back(place: Place) -> None:
    """Locked by the action, let in again by its reversal; twice is as once."""
    lock, unlock = driven(place), driven(place, "enable_account")
    assert place.lets_in()
    assert lock.check().effect is Effect.ABSENT
    lock.do()
    lock.do()
    assert not place.lets_in()
    assert lock.probe().effect is Effect.HOLDS
    assert lock.check().effect is Effect.HOLDS
    unlock.do()
    unlock.do()
    assert place.lets_in()
    assert unlock.probe().effect is Effect.HOLDS
    assert lock.probe().effect is Effect.ABSENT


def test_openldap_locks_and_unlocks(ldap: Place) -> None:
    out_and_back(ldap)


@pytest.mark.root
def test_active_directory_disables_and_enables(domain: Place) -> None:
    out_and_back(domain)


def test_a_directory_without_a_default_policy_takes_the_lock_and_lets_the_person_in(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with openldap(tmp_path_factory.mktemp("bare"), policy=False) as place:
        lock = driven(place)
        lock.do()
        assert place.lets_in(), "the lock was accepted and means nothing"
        seen = lock.probe()
        assert seen.effect is Effect.ABSENT
        assert "no password policy is in force" in seen.detail


def test_a_directory_that_does_not_say_so_is_not_taken_at_its_word(tmp_path_factory: pytest.TempPathFactory) -> None:
    with openldap(tmp_path_factory.mktemp("quiet"), use_lockout=False) as place:
        lock = driven(place)
        lock.do()
        seen = lock.probe()
        assert seen.effect is Effect.UNKNOWN
        assert "olcPPolicyUseLockout" in seen.detail


def test_each_trouble_has_its_kind_and_changes_nothing(ldap: Place) -> None:
    with deaf_port() as nobody:
        assert fault(driven(ldap, url=f"ldap://127.0.0.1:{nobody}")).kind == TargetFault.UNREACHABLE
    assert fault(driven(ldap, password="env:WRONG")).kind == TargetFault.CREDENTIALS
    assert fault(driven(ldap, name="nobody.here")).kind == TargetFault.MISSING
    reader = {"bind_dn": "cn=reader,dc=kestrel,dc=example"}
    assert fault(driven(ldap, **reader)).kind in {TargetFault.DENIED, TargetFault.MISSING}
    assert ldap.lets_in()


@pytest.mark.root
@pytest.mark.parametrize("bind_dn", ["CN=Administrator,CN=Users,DC=kestrel,DC=test", "Administrator@kestrel.test"])
def test_the_account_that_we_sign_in_with_is_left_alone(domain: Place, bind_dn: str) -> None:
    """Whoever locks himself out cannot undo it."""
    for step in ("check", "do", "probe"):
        told = fault(driven(domain, name="administrator", bind_dn=bind_dn), step)
        assert (told.kind, "our own way in" in str(told)) == (TargetFault.REFUSED, True)
    assert driven(domain).check().effect is Effect.ABSENT


@pytest.mark.parametrize(
    ("bind_dn", "ours"),
    [
        ("cn=svc, ou=Services,dc=x", True),
        ("CN=SVC,OU=services,DC=X", True),
        ("cn=svc,dc=x", False),
        ("KESTREL\\Svc", True),
        ("svc@kestrel.test", True),
        ("other@kestrel.test", False),
        ("cn=,,", False),
    ],
)
def test_a_service_account_is_known_however_it_is_written(bind_dn: str, ours: bool) -> None:
    assert is_ours(bind_dn, "cn=svc,ou=Services,dc=x", "svc") is ours


@pytest.mark.parametrize("step", ["check", "do", "probe"])
def test_a_directory_that_drips_is_left_in_time(step: str) -> None:
    """A byte now and then, for as long as anybody listens."""
    with dripping(b"\x30\x83\x00\xff\x00") as port:
        table = {"url": f"ldap://127.0.0.1:{port}", "base": "dc=x", "bind_dn": "cn=x", "password": "env:SERVICE"}
        one = driven(Place("", {"run": True, "kind": "openldap"}, ""), timeout_s=1.0, **table)
        assert fault(one, step).kind == TargetFault.TIMEOUT


def test_a_directory_that_stops_answering_ends_in_time(ldap: Place) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"ldap://127.0.0.1:{silent.getsockname()[1]}"
        assert fault(driven(ldap, timeout_s=1.0, url=url)).kind in {TargetFault.TIMEOUT, TargetFault.UNREACHABLE}


@pytest.mark.parametrize(
    "name", ["*", "j.plover)(uid=*", "j.pl*", "\\6a.plover", "j.plover\0", "", ")(|(uid=*", "uid=j.plover"]
)
def test_a_name_with_filter_syntax_is_a_name_and_nothing_else(ldap: Place, name: str) -> None:
    assert fault(driven(ldap, name=name)).kind in {TargetFault.MISSING, TargetFault.REFUSED}
    assert ldap.lets_in()


def test_a_password_never_crosses_a_network_in_clear(ldap: Place) -> None:
    with pytest.raises(ConfigError, match="in clear"):
        driven(ldap, url="ldap://directory.example")
