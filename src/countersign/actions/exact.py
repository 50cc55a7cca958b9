"""Words that may reach a target, each checked before anything is sent: addresses, log-in names, namespaces, paths.

They come out of the inventory, the proposal or the configuration. Whatever has another form is refused here, in front of
every transport, so that no shell, nftables, resolver or sshd ever has to make sense of it.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence

from countersign.errors import ConfigError, TargetFault
from countersign.model.inventory import Asset, Identity
from countersign.model.responses import Order
from countersign.model.values import is_address, is_domain

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
NAMESPACE = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}"
LOGIN = r"[a-z_][a-z0-9_.-]{0,31}"
PATH = r"/[A-Za-z0-9_./+-]+"
_LOGIN = re.compile(LOGIN, re.ASCII)


def one_asset(order: Order) -> Asset:
    """The host of an order for one host. Raises TargetFault."""
    found = [record for record in order.records if isinstance(record, Asset)]
    if len(found) != 1:
        raise _refused("the order does not name one host", order.action)
    return found[0]


def one_identity(order: Order) -> Identity:
    """The account of an order for one account. Raises TargetFault."""
    found = [record for record in order.records if isinstance(record, Identity)]
    if len(found) != 1:
        raise _refused("the order does not name one account", order.action)
    return found[0]


def addresses(asset: Asset) -> tuple[str, ...]:
    """The single addresses that the inventory gives a host, canonical, in its order. Raises TargetFault when there is
    none, or when one of them is no address."""
    networks = [_network(text, asset) for text in asset.addresses]
    found = tuple(str(one.network_address) for one in networks if one.num_addresses == 1)
    if not found:
        todo = "give it an address in the inventory and propose it anew"
        raise TargetFault(TargetFault.MISSING, "the inventory gives it no single address", where=_name(asset), todo=todo)
    return found


def _network(text: str, asset: Asset) -> Network:
    try:
        if "%" not in text:
            return ipaddress.ip_network(text, strict=False)
    except ValueError:
        pass
    raise _refused("an address in the inventory is none", _name(asset))


def given_address(order: Order) -> str:
    """Parameter ``address``. Raises TargetFault unless it is canonical."""
    text = order.parameters.get("address")
    if not isinstance(text, str) or not is_address(text):
        raise _refused("parameter address is not a canonical address", order.action)
    return text


def given_domain(order: Order) -> str:
    """Parameter ``domain``. Raises TargetFault unless it is canonical."""
    text = order.parameters.get("domain")
    if not isinstance(text, str) or not is_domain(text):
        raise _refused("parameter domain is not a canonical domain", order.action)
    return text


def login(identity: Identity) -> str:
    """The account's name as a log-in name. Raises TargetFault for one that sshd could read as a pattern or an option."""
    if not _LOGIN.fullmatch(identity.name):
        raise _refused("the account's name is not a plain log-in name", _name(identity))
    return identity.name


def networks(texts: Sequence[str], key: str) -> tuple[Network, ...]:
    """Addresses and networks of a setting. Raises ConfigError naming the key."""
    try:
        return tuple(ipaddress.ip_network(text) for text in texts if not text.count("%"))
    except ValueError as error:
        raise ConfigError(f"not an address or network: {error}", where=key, todo="correct it in countersign.toml") from error


def _refused(what: str, where: str) -> TargetFault:
    return TargetFault(TargetFault.REFUSED, what, where=where, todo="nothing was sent; correct it and propose it anew")


def _name(record: Asset | Identity) -> str:
    """The record's name for a message; whatever could not be read in one is shown as what it is."""
    return ascii(record.name).strip("'\"")
