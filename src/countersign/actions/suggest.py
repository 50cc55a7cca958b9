"""Which responses fit a case: drafts of proposals that a person may look at. Nothing here proposes, approves or runs.

Targets come out of the inventory and nowhere else: what a lookup found for an entity names a record, and the record of that
name is taken from the inventory as it stands now. The one value that an alert may bring is the address or domain to block,
and only in its canonical form, when a lookup proved it to be outside the site, and no list of well-known infrastructure
holds it.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterator, Mapping, Sequence

import msgspec

from countersign.actions import ACTIONS, offered
from countersign.actions.playbooks import lines
from countersign.approvals.proposal import Proposal, digest, people_needed
from countersign.authority import grant
from countersign.authority.agents import Operation
from countersign.authority.lease import VerifiedLease, demand
from countersign.authority.terms import Use
from countersign.model.entities import Entity, EntityType, Role
from countersign.model.evidence import Evidence, LookupStatus
from countersign.model.inventory import Asset, Identity, Inventory
from countersign.model.records import FindingRecord
from countersign.model.responses import Scene, Takes, aim, target_of
from countersign.model.values import is_domain
from countersign.model.verdicts import Label

FIREWALL_ROLE = "firewall"
RESOLVER_ROLE = "resolver"
_OUTSIDE = {Takes.ADDRESS: "address", Takes.DOMAIN: "domain"}
"""Parameter that such an action is about."""
_Record = Asset | Identity
_EXACT = frozenset({"name", "alias", "host label", "address"})
"""Ways to match an asset that name one host; a network does not."""


class Asks(msgspec.Struct, frozen=True):
    """What a site asks of proposals. people: how many approve at least, by action, one where it says nothing.
    expiry_minutes: how long one waits for them."""

    people: Mapping[str, int] = {}
    expiry_minutes: int = 60


DEFAULT_ASKS = Asks()


class Suggestion(msgspec.Struct, frozen=True):
    """A draft with why it is suggested. because: ATT&CK ids; findings: their findings. people: who would have to approve,
    within expiry_minutes of being asked.
    digest: of the draft; the one that people sign will differ, by expiry and nonce. proven: "" when the action is run
    against the real thing in our tests, else what it was tested with."""

    title: str
    verb: str
    impactful: bool
    because: tuple[str, ...]
    findings: tuple[str, ...]
    people: int
    expiry_minutes: int
    digest: str
    proposal: Proposal
    proven: str = ""

    @property
    def approvers(self) -> str:
        """Who would have to approve, in words."""
        if self.people > 2:
            return f"{self.people} different people, none of them the requester"
        return "two different people, neither the requester" if self.people > 1 else "one person, not the requester"

    @property
    def target(self) -> str:
        """The targets' names in the inventory, in words."""
        return ", ".join(target.name for target in self.proposal.targets) or "no system"

    @property
    def aim(self) -> str:
        """What it is about in a word or two: the address or domain, else the targets."""
        return aim(self.proposal.parameters) or self.target


class _Draft(msgspec.Struct):
    action: str
    records: tuple[_Record, ...]
    outside: str
    because: dict[str, None]
    findings: dict[str, None]


def suggest(
    case: str,
    records: Sequence[FindingRecord],
    inventory: Inventory,
    lease: VerifiedLease | None,
    use: Use,
    on: Collection[str] = (),
    asks: Asks = DEFAULT_ASKS,
) -> tuple[Suggestion, ...]:
    """Responses to a case's findings, those to the strongest finding first. A finding called benign suggests none. on: the
    actions that this site carries out. asks: what it asks of proposals.
    Raises LeaseRefused unless the investigator's lease covers this case."""
    demand(lease, Operation.PROPOSE, grant.case(case), use)
    site = _Site(inventory)
    drafts: dict[tuple[str, ...], _Draft] = {}
    for record in sorted(records, key=lambda r: -r.verdict.pico):
        if record.verdict.label is Label.BENIGN:
            continue
        for ident, actions in lines(record.finding.techniques, record.finding.tactics):
            for action in (one for name in actions for one in offered(name, on)):
                _draft(drafts, action, ident, record, site)
    ordered = sorted(drafts.values(), key=lambda draft: not ACTIONS[draft.action].impactful)
    return tuple(_suggestion(case, draft, records, site, asks) for draft in ordered)


class _Site:
    """The inventory by name, and what a finding's evidence leads to in it."""

    def __init__(self, inventory: Inventory) -> None:
        self.inventory = inventory
        self._assets = {asset.name: asset for asset in inventory.assets}
        self._identities = {identity.name: identity for identity in inventory.identities}
        self.firewalls = tuple(asset for asset in inventory.assets if asset.role == FIREWALL_ROLE)
        self.resolvers = tuple(asset for asset in inventory.assets if asset.role == RESOLVER_ROLE)

    def named(self, record: FindingRecord, *, acting: bool = False) -> list[_Record]:
        """Inventory records that the finding's evidence found, each once. acting: only for entities that did something.
        To lock an account that something was done to would be to do the attacker's work."""
        asked = {entity.key for entity in record.finding.entities if not acting or entity.role is not Role.TARGET}
        found = (one for item in record.evidence if item.query in asked for one in self._found(item))
        return list({(type(one), one.name): one for one in found}.values())

    def _found(self, item: Evidence) -> Iterator[_Record]:
        facts = dict(item.facts)
        if item.status is not LookupStatus.FOUND:
            return
        if item.source == "assets" and item.query.startswith(("host:", "ip:")) and facts.get("matched") in _EXACT:
            yield from filter(None, [self._assets.get(facts.get("name", ""))])
        elif item.source == "identities":
            yield from filter(None, [self._identities.get(facts.get("name", ""))])


def _draft(drafts: dict[tuple[str, ...], _Draft], action: str, ident: str, record: FindingRecord, site: _Site) -> None:
    """Add the drafts of one line of the table for one finding."""
    for targets, about in _aims(action, record, site):
        key = (action, about, *(target.name for target in targets))
        draft = drafts.setdefault(key, _Draft(action, targets, about, {}, {}))
        draft.findings[record.finding.id] = None
        if ident:
            draft.because[ident] = None


def _aims(action: str, record: FindingRecord, site: _Site) -> Iterator[tuple[tuple[_Record, ...], str]]:
    """(targets, address or domain or "") that an action could be taken on."""
    takes = ACTIONS[action].takes
    if takes is Takes.ADDRESS:
        yield from ((site.firewalls, address) for address in outside(record) if site.firewalls)
    elif takes is Takes.DOMAIN:
        yield from ((site.resolvers, domain) for domain in outside_domains(record) if site.resolvers)
    elif takes is Takes.NOTHING:
        yield (), ""
    elif takes is Takes.HOST:
        yield from (((host,), "") for host in _hosts(record, site))
    elif takes is Takes.LOGIN:
        yield from (((who, host), "") for who in _acting(record, site) for host in _hosts(record, site))
    else:
        yield from (((who,), "") for who in _acting(record, site))


def _hosts(record: FindingRecord, site: _Site) -> list[Asset]:
    """A firewall is not taken from those behind it."""
    return [one for one in site.named(record) if isinstance(one, Asset) and one not in site.firewalls]


def _acting(record: FindingRecord, site: _Site) -> list[Identity]:
    return [one for one in site.named(record, acting=True) if isinstance(one, Identity)]


def outside(record: FindingRecord) -> list[str]:
    """Addresses of the finding that may be blocked, in canonical form."""
    found = (_address(entity.value) for entity in _proven_outside(record, EntityType.IP))
    return list(dict.fromkeys(filter(None, found)))


def outside_domains(record: FindingRecord) -> list[str]:
    """Domains of the finding that may be blocked: canonical as they stand, and below a public suffix, for to those alone
    the lookup says that they are outside."""
    found = (entity.value for entity in _proven_outside(record, EntityType.DOMAIN))
    return list(dict.fromkeys(filter(is_domain, found)))


def _proven_outside(record: FindingRecord, kind: EntityType) -> Iterator[Entity]:
    """Entities that are no part of the site and no well-known infrastructure, each because a lookup said so."""
    answers = {(item.source, item.query): item for item in record.evidence}
    for entity in record.finding.entities:
        zone = answers.get(("assets", entity.key))
        listed = answers.get(("warninglists", entity.key))
        external = zone is not None and zone.status is LookupStatus.NOT_FOUND and ("zone", "external") in zone.facts
        if entity.type is kind and external and listed is not None and listed.status is LookupStatus.NOT_FOUND:
            yield entity


def _address(value: str) -> str:
    """Canonical form of an address, "" when it is none; a zone index is no part of an address."""
    try:
        return str(ipaddress.ip_address(value)) if "%" not in value else ""
    except ValueError:
        return ""


def _suggestion(case: str, draft: _Draft, records: Sequence[FindingRecord], site: _Site, asks: Asks) -> Suggestion:
    action = ACTIONS[draft.action]
    parameters: dict[str, str | int] = {_OUTSIDE[action.takes]: draft.outside} if draft.outside else {}
    if action.minutes:
        parameters["minutes"] = action.minutes
    planned = action.plan(_scene(case, draft, parameters, records, site))
    targets = tuple(target_of(one) for one in draft.records)
    proposal = Proposal(draft.action, parameters, targets, case, planned.plan, planned.undo, planned.blast_radius)
    return Suggestion(
        title=action.title,
        verb=action.verb,
        impactful=action.impactful,
        because=tuple(draft.because),
        findings=tuple(draft.findings),
        people=max(people_needed(targets), asks.people.get(draft.action, 1)),
        expiry_minutes=asks.expiry_minutes,
        digest=digest(proposal),
        proposal=proposal,
        proven=action.proven,
    )


def _scene(
    case: str, draft: _Draft, parameters: dict[str, str | int], records: Sequence[FindingRecord], site: _Site
) -> Scene:
    """What the case has seen the targets (or what is outside) with."""
    own = {one.name for one in draft.records}
    naming = [record for record in records if _names_it(record, draft, site)]
    near = {one.name for record in naming for one in site.named(record)} - own
    return Scene(case, draft.records, parameters, site.inventory, len(naming), len(records), tuple(sorted(near)))


def _names_it(record: FindingRecord, draft: _Draft, site: _Site) -> bool:
    if draft.outside:
        return any(draft.outside in (entity.value, _address(entity.value)) for entity in record.finding.entities)
    return any(one in draft.records for one in site.named(record))
