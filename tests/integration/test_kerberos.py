"""What Kerberos servers really answer: that of MIT, which looks at the account first as a Windows domain controller does,
and that of Samba, which does not; and that the probe makes of each what it says."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from countersign.actions import kerberos, ldap_active_directory
from countersign.actions.kerberos import Answer
from countersign.errors import TargetFault
from countersign.model.responses import Effect
from tests.directories import PERSON, Kdc, Place, dripping, mit_kdc
from tests.integration.test_disable_account import domain, driven
from tests.namespaces import PATIENCE_S

__all__ = ["domain"]
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("directories")]
REALM, LONG_AGO = "KESTREL.TEST", "2001-01-01"


@pytest.fixture(scope="module")
def kdc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kdc]:
    with mit_kdc(tmp_path_factory.mktemp("kdc")) as found:
        yield found


@pytest.fixture(autouse=True)
def as_before(request: pytest.FixtureRequest) -> Iterator[None]:
    """Whatever a test left of the person: the next ones ask about the same."""
    yield
    if "kdc" in request.fixturenames:
        request.getfixturevalue("kdc")(f"modprinc +allow_tix -expire never -pwexpire never +requires_preauth {PERSON}")


def asked(kdc: Kdc, name: str = PERSON) -> Answer:
    return kerberos.ask("127.0.0.1", kdc.port, REALM, name, PATIENCE_S)


def test_a_disabled_account_is_revoked_and_an_enabled_one_open(kdc: Kdc) -> None:
    assert asked(kdc) is Answer.OPEN
    kdc(f"modprinc -allow_tix {PERSON}")
    assert asked(kdc) is Answer.REVOKED
    kdc(f"modprinc +allow_tix {PERSON}")
    assert asked(kdc) is Answer.OPEN


def test_what_is_not_an_account_is_not_known(kdc: Kdc) -> None:
    for name in ("nobody.here", f"{PERSON} ", "*", "j.plover@OTHER", "\u017b\u00f3\u0142w", "x" * 500):
        assert asked(kdc, name) is Answer.NOT_KNOWN, name


def test_whoever_could_still_get_in_is_open(kdc: Kdc) -> None:
    """A password that has run out may be set anew by whoever has it; an account may need no proof before its ticket."""
    kdc(f"modprinc -pwexpire {LONG_AGO} {PERSON}")
    assert asked(kdc) is Answer.OPEN
    kdc(f"modprinc -pwexpire never -requires_preauth {PERSON}")
    assert asked(kdc) is Answer.OPEN


def test_an_account_that_has_run_out_is_no_disabled_account(kdc: Kdc) -> None:
    kdc(f"modprinc -expire {LONG_AGO} {PERSON}")
    assert asked(kdc) is Answer.OTHER


@pytest.mark.root
def test_samba_answers_it_too_and_does_not_tell_a_disabled_account(domain: Place) -> None:
    """So where the directory says that it is Samba's, another question is asked."""
    host = domain.url.rpartition("/")[2]
    assert kerberos.ask(host, kerberos.PORT, REALM, PERSON, PATIENCE_S) is Answer.OPEN
    assert kerberos.ask(host, kerberos.PORT, REALM, "nobody.here", PATIENCE_S) is Answer.NOT_KNOWN
    one = driven(domain)
    one.do()
    assert kerberos.ask(host, kerberos.PORT, REALM, PERSON, PATIENCE_S) is Answer.OPEN
    one.undo()


@pytest.mark.root
def test_the_way_of_a_windows_domain_is_gone_with_a_real_directory_and_a_real_kdc(
    domain: Place, kdc: Kdc, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Samba's directory, taken for one that is not Samba's, and a KDC that is told what it holds."""
    monkeypatch.setattr(ldap_active_directory, "_is_samba", lambda _: False)
    one = driven(domain, kdc=f"127.0.0.1:{kdc.port}")
    assert one.check().effect is Effect.ABSENT
    one.do()
    seen = one.probe()
    assert (seen.effect, "look at replication" in seen.detail) == (Effect.ABSENT, True), "the KDC does not know of it yet"
    kdc(f"modprinc -allow_tix {PERSON}")
    assert one.probe().effect is Effect.HOLDS
    one.undo()
    assert one.probe().effect is Effect.UNKNOWN, "refused for another reason than the bit"
    kdc(f"modprinc +allow_tix {PERSON}")
    assert one.probe().effect is Effect.ABSENT


def test_a_server_that_drips_is_left_in_time() -> None:
    """It would go on for twenty minutes, and hold every other action up."""
    with dripping((60_000).to_bytes(4, "big")) as port, pytest.raises(TargetFault) as caught:
        kerberos.ask("127.0.0.1", port, REALM, PERSON, 0.5)
    assert caught.value.kind == TargetFault.TIMEOUT
