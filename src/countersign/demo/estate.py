"""The demo's own small estate: a fictional harbour authority with 25 hosts, 18 people and five service accounts.

Names are invented (people are called after shore birds), domains are reserved (RFC 2606), outside addresses too (RFC 5737).
"""

from __future__ import annotations

from countersign.model.inventory import Asset, Criticality, Identity, Inventory

DOMAIN = "kestrel-harbour.example"
"""The estate's own domain."""
NETBIOS = "KESTREL"
"""Its Windows domain, as it stands before the backslash."""

LOW, MEDIUM, HIGH, CRITICAL = Criticality.LOW, Criticality.MEDIUM, Criticality.HIGH, Criticality.CRITICAL

_SERVERS: tuple[tuple[str, str, str, Criticality, str], ...] = (
    # name, role, owner, criticality, address
    ("dc-01", "domain-controller", "s.avocet", CRITICAL, "10.20.20.11"),
    ("dc-02", "domain-controller", "s.avocet", CRITICAL, "10.20.20.12"),
    ("file-01", "fileserver", "k.curlew", HIGH, "10.20.20.21"),
    ("erp-01", "application", "d.gannet", HIGH, "10.20.20.31"),
    ("erp-db-01", "database", "d.gannet", CRITICAL, "10.20.20.32"),
    ("mail-01", "mail", "k.curlew", HIGH, "10.20.20.41"),
    ("backup-01", "backup", "k.curlew", HIGH, "10.20.20.51"),
    ("scan-01", "scanner", "r.dunlin", LOW, "10.20.20.61"),
    ("mon-01", "metrics", "s.avocet", LOW, "10.20.20.62"),
    ("jump-01", "jumphost", "s.avocet", HIGH, "10.20.20.71"),
    ("intranet-01", "webserver", "c.whimbrel", MEDIUM, "10.20.20.81"),
    ("web-01", "webserver", "c.whimbrel", MEDIUM, "10.20.30.10"),
    ("vpn-01", "vpn", "k.curlew", HIGH, "10.20.30.20"),
    ("fw-01", "firewall", "k.curlew", MEDIUM, "192.0.2.1"),
    ("crane-gw-01", "control-system", "h.turnstone", CRITICAL, "10.20.40.10"),
)

_PEOPLE: tuple[tuple[str, str, Criticality], ...] = (
    ("m.heron", "harbour-master", HIGH),
    ("t.osprey", "finance-director", HIGH),
    ("j.plover", "accounts-payable", MEDIUM),
    ("l.petrel", "accounts-payable", MEDIUM),
    ("e.tern", "procurement", MEDIUM),
    ("n.fulmar", "human-resources", MEDIUM),
    ("p.sandpiper", "reception", LOW),
    ("o.kittiwake", "berth-planning", LOW),
    ("b.godwit", "berth-planning", LOW),
    ("f.puffin", "customs-desk", LOW),
    ("i.razorbill", "customs-desk", LOW),
    ("v.shearwater", "safety-officer", LOW),
    ("h.turnstone", "crane-engineer", HIGH),
    ("d.gannet", "erp-administrator", HIGH),
    ("c.whimbrel", "web-developer", MEDIUM),
    ("k.curlew", "system-administrator", HIGH),
    ("s.avocet", "domain-administrator", CRITICAL),
    ("r.dunlin", "security-analyst", HIGH),
)

_SERVICES: tuple[tuple[str, str, Criticality], ...] = (
    ("svc-backup", "service-account", HIGH),
    ("svc-scan", "service-account", MEDIUM),
    ("svc-monitor", "service-account", LOW),
    ("svc-erp", "service-account", HIGH),
    ("www-data", "service-account", LOW),
)

_DESKS = (
    "m.heron", "t.osprey", "j.plover", "l.petrel", "e.tern",
    "n.fulmar", "o.kittiwake", "f.puffin", "h.turnstone", "s.avocet",
)  # fmt: skip
"""Whose workstation is ws-101, ws-102 … ws-110; everybody else shares or works on a server."""

ADDRESS: dict[str, str] = {name: address for name, _, _, _, address in _SERVERS} | {
    f"ws-{101 + i}": f"10.20.10.{101 + i}" for i in range(len(_DESKS))
}
"""Inside address of every host."""
DESK: dict[str, str] = {user: f"ws-{101 + i}" for i, user in enumerate(_DESKS)}
"""Workstation of every person who has one."""
PEOPLE: tuple[str, ...] = tuple(name for name, _, _ in _PEOPLE)
LINUX: tuple[str, ...] = (
    "erp-01", "erp-db-01", "mail-01", "backup-01", "mon-01", "jump-01", "intranet-01", "web-01", "vpn-01",
)  # fmt: skip
"""Hosts whose Wazuh agent reads syslog; the others have Windows event channels or no agent."""


def mail_of(user: str) -> str:
    """Mail address of a person of the estate."""
    return f"{user}@{DOMAIN}"


def inventory() -> Inventory:
    """Assets and identities as the demo imports them."""
    return Inventory(assets=_assets(), identities=_identities())


def _assets() -> tuple[Asset, ...]:
    servers = (
        Asset(name, role, owner, criticality, (address,), (f"{name}.{DOMAIN}",))
        for name, role, owner, criticality, address in _SERVERS
    )
    desks = (
        Asset(host, "workstation", user, _desk_criticality(user), (ADDRESS[host],), (f"{host}.{DOMAIN}",))
        for user, host in DESK.items()
    )
    return (*servers, *desks)


def _desk_criticality(user: str) -> Criticality:
    """A workstation is worth as much as an administrator who signs in there, otherwise little."""
    return HIGH if user in {"s.avocet", "h.turnstone"} else LOW


def _identities() -> tuple[Identity, ...]:
    people = (
        Identity(name, role, "", criticality, (mail_of(name), f"{NETBIOS.lower()}\\{name}"))
        for name, role, criticality in _PEOPLE
    )
    services = (
        Identity(name, role, "k.curlew", criticality, (f"{NETBIOS.lower()}\\{name}",))
        for name, role, criticality in _SERVICES
    )
    return (*people, *services)
