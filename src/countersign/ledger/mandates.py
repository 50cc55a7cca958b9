"""Did every agent have a lease for what it wrote? Read off the entries in their order, by whoever verifies a log.

From the first ``agent.registered`` on: each ``lease.issued`` is signed by the key that its agent has then and hands nothing
on to an agent that is stopped, and each entry in an agent's name rests on a lease of that agent which was issued before,
allows the operation, had not ended and was not revoked, while the agent was not stopped. Logs of before are not judged.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from countersign.errors import CountersignError
from countersign.ledger.canonical import encode_value
from countersign.ledger.judging import Opinion, Told
from countersign.model.entries import Entry, Kind

PREFIX = b"countersign-lease-v1\n"
LEASES_KEPT = 4_096
"""How many leases are remembered, so that memory stays flat: entries follow their lease closely."""
RUNS = frozenset({Kind.ACTION_INTENDED, Kind.ACTION_STARTED, Kind.ACTION_PROBED})
NEEDS = {Kind.FINDING_DECIDED: "finding.decide", Kind.CASE_MERGED: "case.link"} | dict.fromkeys(RUNS, "action.run")
"""Operation that an agent's entry of a kind takes."""
_WATCHED = RUNS | {
    Kind.AGENT_REGISTERED,
    Kind.AGENT_STOPPED,
    Kind.AGENT_RESUMED,
    Kind.AGENT_RETIRED,
    Kind.LEASE_ISSUED,
    Kind.LEASE_REVOKED,
}


def message(lease: str, body: Mapping[str, Any]) -> bytes:
    """What an agent signs when it takes a lease on."""
    said = encode_value({"id": lease, "body": {k: v for k, v in body.items() if k != "signature"}}, "lease")
    return PREFIX + hashlib.sha256(said).hexdigest().encode()


def is_signed(lease: str, body: Mapping[str, Any], public_key: str) -> bool:
    """Whether the key (hex) signed a ``lease.issued`` of this id and body."""
    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_key))
        key.verify(bytes.fromhex(body.get("signature", "")), message(lease, body))
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True


class Mandates:
    """One pass over a log. checked: entries of agents that were judged."""

    kinds = frozenset(kind.value for kind in _WATCHED)

    def __init__(self) -> None:
        self._keys: dict[str, str] = {}
        self._stopped: set[str] = set()
        self._revoked: set[str] = set()
        self._leases: OrderedDict[str, Mapping[str, Any]] = OrderedDict()
        self.checked = self._issues = self._before = 0

    def problems(self, told: Told) -> Iterable[str]:
        """What is wrong with an entry, or with each of several that say the same of their agent."""
        before = self.checked
        found = self.problem(told.entry)
        self.checked += (self.checked - before) * (told.count - 1)
        if told.entry.actor.type == "agent" and not self._keys:
            self._before += told.count
        return (found,) if found else ()

    def finish(self) -> Opinion:
        """How much was judged."""
        unchecked = {"entries_of_agents_before_any_was_registered": self._before}
        return Opinion({"entries_of_agents": self.checked, "leases": self._issues}, unchecked)

    def problem(self, entry: Entry) -> str:
        """What is wrong with this entry, "" when nothing is; entries must come in order."""
        try:
            return self._problem(entry)
        except (LookupError, TypeError, ValueError, AttributeError, CountersignError) as error:
            return f"{entry.kind.value} is not as it should be: {type(error).__name__} at {error}"

    def _problem(self, entry: Entry) -> str:
        found = ""
        if entry.kind is Kind.AGENT_REGISTERED:
            self._keys[entry.subject] = entry.body["public_key"]
        elif entry.kind is Kind.AGENT_STOPPED:
            self._stopped.add(entry.subject)
        elif entry.kind is Kind.AGENT_RESUMED:
            self._stopped.discard(entry.subject)
        elif entry.kind is Kind.AGENT_RETIRED:
            self._keys.pop(entry.subject, None)
        elif entry.kind is Kind.LEASE_REVOKED:
            self._revoked.add(entry.subject)
        elif entry.kind is Kind.LEASE_ISSUED and self._keys:
            found = self._issued(entry)
        return found or (self._written(entry) if entry.actor.type == "agent" and self._keys else "")

    def _issued(self, entry: Entry) -> str:
        body = entry.body
        self._issues += 1
        self._leases[entry.subject] = body
        if len(self._leases) > LEASES_KEPT:
            self._leases.popitem(last=False)
        if not is_signed(entry.subject, body, self._keys.get(body["agent"], "")):
            return f"lease {entry.subject} is not signed by the key of agent {body['agent']}"
        for handed in body["handed"]:
            if handed["to"] in self._stopped or handed["to"] not in self._keys:
                return f"lease {entry.subject} was handed on to {handed['to']}, which is stopped or not enrolled"
            if not set(handed["operations"]) <= set(body["operations"]):
                return f"lease {entry.subject} was handed on to {handed['to']} with more than it allows"
        return ""

    def _written(self, entry: Entry) -> str:
        self.checked += 1
        name, lease = entry.actor.id, self._leases.get(entry.actor.lease)
        if lease is None:
            return f"agent {name} wrote without a lease that was issued before"
        wrong = {
            f"under a lease of {lease['agent']}": lease["agent"] != name,
            "while it was stopped": name in self._stopped,
            "under a revoked lease": entry.actor.lease in self._revoked,
            "after its lease had ended": entry.time >= lease["expires_ms"],
            "what its lease does not allow": NEEDS.get(entry.kind, lease["operations"][0]) not in lease["operations"],
        }
        for source in entry.body.get("asked", ()):
            wrong[f"what rests on {source}, which its lease does not name"] = f"lookup/{source}" not in lease["resources"]
        if entry.kind in RUNS:
            wrong["for another task than its lease names"] = lease["task"] != f"action-{entry.subject}"
        if entry.kind is Kind.ACTION_INTENDED:
            wrong["of an action that its lease does not name"] = f"action/{entry.body['action']}" not in lease["resources"]
        return next((f"agent {name} wrote {what}" for what, found in wrong.items() if found), "")
