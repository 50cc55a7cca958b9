"""The one canonical form of addresses and domains, which is all that may pass from an alert to a target."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countersign.actions import dns
from countersign.approvals.proposal import Proposal, typed
from countersign.errors import VerificationError
from countersign.model.values import is_address, is_domain


@given(st.ip_addresses())
def test_every_address_has_one_form(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    assert is_address(str(address)) or "%" in str(address)
    assert not is_address(f"{address} ")
    assert not is_domain(str(address))


@pytest.mark.parametrize("text", ["bad-harbour.net", "a.b.example", "xn--bcher-kva.com", "1.example", "x" * 63 + ".net"])
def test_domains(text: str) -> None:
    assert is_domain(text)


@pytest.mark.parametrize(
    "text",
    [
        "", "localhost", "Bad.net", "bad.net.", ".bad.net", "bad..net", "-bad.net", "bad-.net", "bad_harbour.net",
        "*.bad.net", "bücher.com", "xn--.com", "xn--bad-.com", "ab--cd.net", "1.2.3.4", "1.2.3", "x" * 64 + ".net",
        "a." * 127 + "net", "bad.net\n", "bad .net", "bad.net;id", "$(id).net", "bad.net/x", "@bad.net",
    ],
)  # fmt: skip
def test_no_domains(text: str) -> None:
    assert not is_domain(text)


@given(st.text(max_size=40))
def test_a_domain_is_harmless_wherever_it_stands(text: str) -> None:
    if is_domain(text):
        assert text.isascii()
        assert set(text) <= set("abcdefghijklmnopqrstuvwxyz0123456789-.")
        assert text[0] not in "-."


def test_a_parameter_is_a_number_an_address_or_under_its_name_a_domain() -> None:
    def made(**parameters: str | int) -> Proposal:
        return Proposal("block_domain", parameters, (), "C-1", "p", "u", ())

    for good in (made(minutes=1), made(address="203.0.113.9"), made(domain="bad.net")):
        assert typed(good) is good
    for bad in (made(address="bad.net"), made(other="bad.net"), made(domain="203.0.113.9"), made(domain="BAD.net")):
        with pytest.raises(VerificationError):
            typed(bad)


@given(st.binary(max_size=80), st.integers(0, 65_535))
def test_whatever_a_resolver_sends_is_an_answer_or_none(data: bytes, ident: int) -> None:
    dns.reply(data, "bad.net", ident)
    forged = dns.question("bad.net", ident)[:2] + b"\x81\x80\0\1\0\2\0\0\0\0" + dns.question("bad.net", ident)[12:] + data
    found = dns.reply(forged, "bad.net", ident)
    assert found is None or all(is_address(one) for one in found.addresses)
    assert dns.reply(forged, "other.net", ident) is None
