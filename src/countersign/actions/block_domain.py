"""Have an outside domain answered with an address that leads nowhere, at the site's own resolvers.

Written into a response policy zone (which takes the names below it along) or a hosts file (which does not), each a file of
its own on the resolver. How: docs/how-to/isolate-hosts.md.
"""

from __future__ import annotations

import re
import secrets
import time
from typing import Any, Literal

from countersign.actions import dns, exact
from countersign.actions.base import BaseAction
from countersign.actions.block_address import at_each
from countersign.actions.hand import BaseHand
from countersign.actions.own_file import MARK, Form, OwnFile
from countersign.actions.reaching import Line, Path, Place, Port, ShellSettings, Words
from countersign.actions.vantage import Vantage
from countersign.actions.words import case_line, names, record_line
from countersign.model.inventory import Asset
from countersign.model.responses import Effect, Order, Plan, Scene, Seen, Takes
from countersign.ports import Reach

NOWHERE = ("0.0.0.0", "::")  # noqa: S104 - not bound to, answered
SETTLE_S = (0.05, 0.1, 0.2, 0.4)
"""Pauses while a resolver takes a change in; what it answers after them is what the probe finds."""
_NAME = r"([a-z0-9][a-z0-9.-]*)"


def _zone(domains: tuple[str, ...], serial: int) -> str:
    head = [f"; {MARK}", "$TTL 60", f"@ SOA localhost. hostmaster.localhost. {serial} 3600 600 86400 60", "@ NS localhost."]
    kinds = tuple(zip(("A", "AAAA"), NOWHERE, strict=True))
    names = (name for domain in domains for name in (domain, f"*.{domain}"))
    return _text(head + [f"{name} {kind} {address}" for name in names for kind, address in kinds])


def _hosts(domains: tuple[str, ...], _serial: int) -> str:
    return _text([f"# {MARK}", *(f"{address} {domain}" for domain in domains for address in NOWHERE)])


def _text(lines: list[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


FORMS = {
    "rpz": Form(
        re.compile(rf"^{_NAME} A {re.escape(NOWHERE[0])}$", re.MULTILINE),
        _zone,
        re.compile(r"^@ SOA localhost\. hostmaster\.localhost\. (\d{1,10}) ", re.MULTILINE),
    ),
    "hosts": Form(re.compile(rf"^{re.escape(NOWHERE[0])} {_NAME}$", re.MULTILINE), _hosts),
}


class DomainSettings(ShellSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """form: what ``file`` is. file: path on the resolver, ours alone. reload: the command, word by word, after which the
    resolver knows it. vantage: where the probe asks the resolver from; dns_port: at which port."""

    form: Literal["rpz", "hosts"] = "rpz"
    file: Path = ""
    reload: Words = ()
    vantage: Place = "local"
    dns_port: Port = 53


class BlockDomain(BaseAction):
    """The targets are resolvers of the inventory. Parameters ``domain``: one that a lookup proved to be outside the site, in
    canonical form; ``minutes``: after how long its undo is proposed by itself."""

    name = "block_domain"
    title = "Block domain"
    verb = "deny domain_name"
    takes = Takes.DOMAIN
    inverse = "unblock_domain"
    minutes = 240
    settings = DomainSettings

    def plan(self, scene: Scene) -> Plan:
        """One domain, at every resolver given."""
        domain, minutes = scene.parameters["domain"], scene.parameters["minutes"]
        where = names([record.name for record in scene.records])
        return Plan(
            plan=f"Have {domain} answered with an address that leads nowhere, at {where}.",
            undo=f"Take the answer for {domain} out again at {where}; proposed by itself after {minutes} minutes.",
            blast_radius=(
                *(record_line(record) for record in scene.records),
                f"whoever asks {where} loses {domain}, and with a policy zone every name below it",
                case_line(scene, str(domain)),
            ),
        )

    def hand(self, settings: Any, reach: Reach) -> BaseHand | None:  # noqa: ANN401 - each action's own struct
        """None until ``via`` is set."""
        return DomainBlocking(settings, reach) if settings.via else None


class DomainBlocking(BaseHand):
    """Writes the file at every resolver of the order, and asks each as a client would."""

    action = "block_domain"

    def __init__(self, settings: DomainSettings, reach: Reach) -> None:
        self._settings = settings
        self._line = Line(settings, reach, self.action)
        self._line.need("file", "reload")
        self._vantage = self._line.vantage(settings.vantage) or Vantage("local")

    def _check(self, order: Order) -> Seen:
        """Reads the file, and asks."""
        domain = exact.given_domain(order)
        at_each(order, lambda one: self._file(one).names())
        return self._seen(order, domain)

    def _do(self, order: Order) -> None:
        domain = exact.given_domain(order)
        at_each(order, lambda one: self._file(one).put(domain))
        self._settle(order, domain, Effect.HOLDS)

    def _undo(self, order: Order) -> None:
        domain = exact.given_domain(order)
        at_each(order, lambda one: self._file(one).drop(domain))
        self._settle(order, domain, Effect.ABSENT)

    def _settle(self, order: Order, domain: str, wanted: Effect) -> None:
        """A resolver that is told by a signal reads its file in its own time; the probe is not to be faster."""
        for wait_s in SETTLE_S:
            if self._seen(order, domain).effect is wanted:
                return
            time.sleep(wait_s)

    def _probe(self, order: Order) -> Seen:
        return self._seen(order, exact.given_domain(order))

    def _file(self, host: Asset) -> OwnFile:
        one = self._settings
        return OwnFile(self._line.to(host), one.file, FORMS[one.form], one.reload)

    def _seen(self, order: Order, domain: str) -> Seen:
        """One resolver that answers as if nothing were blocked is enough for ABSENT."""
        found = [self._asked(one, domain) for one in order.records if isinstance(one, Asset)]
        worst = (Effect.ABSENT, Effect.UNKNOWN, Effect.HOLDS)
        return min(found, key=lambda seen: worst.index(seen.effect), default=Seen(Effect.UNKNOWN, "no resolver is named"))

    def _asked(self, host: Asset, domain: str) -> Seen:
        ident = secrets.randbits(16)
        data = self._vantage.ask(exact.addresses(host)[0], self._settings.dns_port, dns.question(domain, ident))
        got = dns.reply(data, domain, ident)
        if got is None:
            return Seen(Effect.UNKNOWN, f"{host.name} does not answer {self._vantage.name} when asked for {domain}")
        if got.rcode not in (dns.NOERROR, dns.NXDOMAIN):
            return Seen(Effect.UNKNOWN, f"{host.name} cannot say at present what {domain} is (code {got.rcode})")
        if got.addresses == NOWHERE[:1]:
            return Seen(Effect.HOLDS, f"{host.name} answers {domain} with an address that leads nowhere")
        return Seen(Effect.ABSENT, f"{host.name} answers {domain} as if nothing were blocked")
