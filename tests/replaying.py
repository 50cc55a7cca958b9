"""A site that has decided everything there is to decide: closes, reviews, promotions, responses, refusals."""

from __future__ import annotations

from pathlib import Path

from msgspec.structs import replace

from countersign.approvals import sshsig
from countersign.approvals.change import message
from countersign.bootstrap import Site
from countersign.impact import Impact
from countersign.model.entries import Kind
from countersign.model.inventory import Criticality
from countersign.running import Runner
from countersign.store import changes, overlay
from countersign.store.changes import Answer
from tests import earned, fakes, passkey_signing, responding
from tests.earned import DAY_MS, HOSTS, SCOPE, noise
from tests.fakes import NOON_MS, deliver
from tests.integration.test_proposals import ADA, BEA, Room
from tests.ssh_signing import How, make, sign

LATER = NOON_MS + DAY_MS
KEYS = {name: make("ssh-ed25519", name) for name in (ADA, BEA)}
NARROWER = """
forbid (principal is Agent, action == Action::"read", resource) when { resource.name == "lookup/geo" };
@id("nothing-runs")
forbid (principal is Agent, action == Action::"run", resource);
"""
DECIDED = frozenset(
    {
        Kind.FINDING_DECIDED,
        Kind.LEASE_ISSUED,
        Kind.LEASE_REFUSED,
        Kind.REVIEW_COMMITTED,
        Kind.CHANGE_PROPOSED,
        Kind.CHANGE_APPROVED,
        Kind.CHANGE_DENIED,
        Kind.PROPOSAL_CREATED,
        Kind.PROPOSAL_APPROVED,
        Kind.PROPOSAL_DENIED,
        Kind.PROPOSAL_EXPIRED,
        Kind.PROPOSAL_OUTDATED,
        Kind.ACTION_INTENDED,
        Kind.ACTION_STARTED,
        Kind.ACTION_LEFT,
        Kind.AUTONOMY_OBSERVED,
        Kind.AUTONOMY_CERTIFIED,
        Kind.AUTONOMY_PROMOTED,
        Kind.AUTONOMY_DEMOTED,
        Kind.AUTONOMY_RESTARTED,
    }
)
"""Kinds of entries that ``live`` leaves and a replay makes again."""


def signed(held: changes.Pending, name: str) -> Answer:
    return Answer(name, sign(KEYS[name], message(held.digest), How()), "read it")


def approve(site: Site, number: int, *names: str) -> None:
    impact = Impact(site)
    for name in names:
        impact.approve(number, signed(impact.waiting(number), name))


def enrolled(site: Site) -> None:
    impact = Impact(site)
    for name in (ADA, BEA):
        number = impact.enrol(name, sshsig.parse_key(KEYS[name].public))
        if number is not None:
            approve(site, number, ADA)
    passkey_signing.SIGNERS[site] = by_the_other


def by_the_other(site: Site, number: int) -> None:
    """Whoever did not ask signs."""
    impact = Impact(site)
    asked = impact.names()[impact.waiting(number).change.requester.id]
    approve(site, number, BEA if asked == ADA else ADA)


def promoted(site: Site) -> None:
    """The scope's next stage, as people put it in force."""
    approve(site, Impact(site).promotion(SCOPE), ADA)


def responds(site: Site, folder: Path) -> Room:
    """Responses that are carried out, denied, expired and outdated."""
    site.config = replace(site.config, actions={"isolate_host": {"run": True, "folder": str(folder)}})
    room = Room(site)
    number = room.propose()
    room.approve(number, ADA)
    assert Runner(site).step() == 1
    _ended(room, site)
    return room


def _ended(room: Room, site: Site) -> None:
    room.approving.deny(room.propose(), ADA, "not now")
    room.propose()
    site.clock.at_ms += 2 * 3_600_000  # type: ignore[attr-defined]  # as above
    assert site.tidy() == 1
    room.propose()
    responding.inventory(site, Criticality.MEDIUM)
    assert site.tidy() == 1


def closes(site: Site) -> None:
    """The site earns closing, closes, and is contradicted."""
    earned.live_through(site)
    enrolled(site)
    refused = Impact(site).promotion(SCOPE)
    Impact(site).deny(refused, BEA, "not today")
    promoted(site)
    site.clock.at_ms = LATER  # type: ignore[attr-defined]  # tests.fakes.StepClock
    assert deliver(site, noise(range(200, HOSTS), at_ms=LATER)).closed > 20
    found = [e.subject for e in fakes.entries(site.engine, Kind.FINDING_DECIDED) if e.body["action"] == "close"]
    site.commands.review(found[0], "benign", "routine", "ada")
    site.commands.stop(SCOPE, "drill", "ada")
    site.commands.resume(SCOPE, "drill over", "ada")
    promoted(site)
    deliver(site, noise(range(300), at_ms=LATER + 600_000))
    site.commands.demote(SCOPE, "holidays", "ada")
    promoted(site)
    site.commands.review(found[1], "threat", "it was not", "ada")


def refuses(site: Site, room: Room) -> None:
    """What was approved is not run, and a source is not asked, since people put a narrower policy in force."""
    number = room.propose()
    room.approve(number, BEA)
    (site.data / overlay.FOLDER).mkdir(exist_ok=True)
    (site.data / overlay.FOLDER / "narrower.cedar").write_text(NARROWER, "utf-8")
    approve(site, Impact(site).policy_activation(overlay.candidate(site.data)), ADA, BEA)
    Runner(site).step()
    deliver(site, noise(range(60), at_ms=LATER + 1_200_000, rule="5502"))
