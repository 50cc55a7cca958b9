"""What one entry says, as one plain sentence; and who wrote it. Nothing is inferred: each sentence is read off its entry."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from countersign.model.entries import Actor, Entry, Kind
from countersign.reporting.model import numbers
from countersign.web import words

Body = Mapping[str, Any]
ROLE = {"agent": "agent", "human": "person", "system": "system"}
PERSON = "person~"
"""How a person's pseudonym begins."""
EFFECTS = {
    "holds": "the effect holds",
    "absent": "the effect is not there",
    "unknown": "whether the effect holds is not known",
}
LABELS = {"threat": "threat", "benign": "benign", "insufficient": "too little known for a verdict"}


class Names:
    """Pseudonyms as they are shown: themselves, or clear names where those are wanted and still known."""

    def __init__(self, known: Mapping[str, str] | None = None) -> None:
        self._known = known or {}

    def of(self, pseudonym: str) -> str:
        """One pseudonym."""
        return self._known.get(pseudonym, pseudonym)

    def actor(self, actor: Actor) -> str:
        """Who did it: never a machine as a person (P12)."""
        shown = self.of(actor.id)
        return shown if shown.startswith(PERSON) else f"{ROLE.get(actor.type, actor.type)} {shown}"


def sentence(entry: Entry, names: Names) -> str:
    """What this entry says; only its kind, where its body is not of the form that is known here."""
    say = _SAYS.get(entry.kind)
    try:
        if say is not None:
            return say(entry, entry.body, names)
    except (KeyError, TypeError, ValueError, AttributeError):
        pass
    return f"{entry.kind.value.replace('.', ' ').replace('_', ' ')}: {entry.subject}"


def begun(text: str) -> str:
    """With a capital at its start; names and keys in it stay as they are."""
    return text[:1].upper() + text[1:]


def when(entry: Entry) -> str:
    """UTC, to the second."""
    return words.stamp(entry.time)


def minute(ms: int) -> str:
    """UTC, to the minute."""
    return words.stamp(ms)[:16]


def _received(_: Entry, body: Body, _names: Names) -> str:
    parts = [f"{numbers(body['lines'], 'raw message')} from {body['source']} received, {body['accepted']:,} accepted"]
    parts += [f"{numbers(body['duplicates'], 'duplicate')}"] if body["duplicates"] else []
    parts += [f"{sum(body['ignored'].values()):,} ignored"] if body["ignored"] else []
    parts += [f"{body['quarantined']:,} unreadable and kept"] if body["quarantined"] else []
    return ", ".join(parts) + "; SHA-256 of each message kept"


def _decided(entry: Entry, body: Body, _: Names) -> str:
    low, high = body["p_ppm"]
    chance = f"probability of a threat {words.percent(low)} to {words.percent(high)}"
    did = "closed by the agent" if body["action"] == "close" else f"put before a person: {body['why'] or 'no reason stated'}"
    label = LABELS.get(body["label"], body["label"])
    return f"finding {entry.subject} ({body['rule']} on {body['host'] or 'no host'}): {label}, {chance}; {did}"


def _disposed(_: Entry, body: Body, _names: Names) -> str:
    found = words.DISPOSITIONS.get(body["disposition"], body["disposition"])
    return f"case closed by a person as {found}: {body['reason']}"


def _proposed(entry: Entry, body: Body, names: Names) -> str:
    targets = ", ".join(names.of(target) for target in body["targets"]) or "no system of the site"
    undo = f", which takes back action {body['undoes']}" if "undoes" in body else ""
    asked = f"needs {numbers(body['people'], 'person', 'people')}"
    return f"response {body['action']} on {targets} proposed as number {entry.subject}{undo}; {asked}"


def _approved(entry: Entry, body: Body, _: Names) -> str:
    how = "a passkey" if "webauthn" in body else "an OpenSSH key"
    stands = "approved with it" if body["standing"] == "approved" else "more people are needed"
    return f"number {entry.subject} approved and signed with {how} ({body['fingerprint']}); {stands}: {body['reason']}"


def _denied(entry: Entry, body: Body, _: Names) -> str:
    return f"number {entry.subject} refused: {body['reason']}"


def _intended(entry: Entry, body: Body, _: Names) -> str:
    rests = ", ".join(f"entry {index}" for index in body["approvals"])
    return (
        f"intent to carry out {body['action']} (number {entry.subject}) written before anything was done; rests on {rests}"
    )


def _started(entry: Entry, body: Body, _: Names) -> str:
    return f"number {entry.subject} started, after a checkpoint of {body['sealed']:,} entries covered its intent"


def _probed(entry: Entry, body: Body, _: Names) -> str:
    fault = f" (doing it met: {body['fault']})" if body["fault"] else ""
    return (
        f"the target of number {entry.subject} was asked from outside: {EFFECTS.get(body['effect'], body['effect'])}{fault}"
    )


def _lease(entry: Entry, body: Body, _: Names) -> str:
    handed = ", ".join(sorted({one["to"] for one in body["handed"]}))
    more = f", parts handed on to {handed}" if handed else ""
    what = f"task {body['task']}: {_joined(body['operations'])}{more}; ends {words.stamp(body['expires_ms'])}"
    return f"lease {entry.subject[:12]}… for {body['agent']}, {what}"


def _joined(value: Any) -> str:  # noqa: ANN401 - a list of names, or names in one text
    return value if isinstance(value, str) else ", ".join(map(str, value))


def _change(entry: Entry, body: Body, names: Names) -> str:
    said = words_of_change(body)
    return f"change {entry.subject} proposed: {said[0]} of {names.of(said[1])}"


def words_of_change(body: Body) -> tuple[str, str]:
    """(which change, of what) of a ``change.proposed``."""
    found = msgspec.json.decode(body["proposal"])
    return str(found["change"]), str(found["subject"])


def _moved(entry: Entry, body: Body, _: Names) -> str:
    return f"scope {entry.subject}: {body['before']} → {body['after']} ({body['cause']})"


def _observed(entry: Entry, body: Body, _: Names) -> str:
    seen = f"{body['reviewed']:,} reviewed, {numbers(body['threats'], 'threat')} among them"
    return f"scope {entry.subject} at stage {body['stage']}: {seen}, upper bound {words.percent(body['bound_ppm'])}"


_SAYS: dict[Kind, Callable[[Entry, Body, Names], str]] = {
    Kind.LEDGER_OPENED: lambda e, b, n: f"the log {b['origin']} begins",
    Kind.LEDGER_REKEYED: lambda e, b, n: f"the log’s key {b['was'].split('+')[1]} signed over to {b['vkey'].split('+')[1]}",
    Kind.MODEL_ACTIVATED: lambda e, b, n: f"triage model {b['model'][:16]}… in force from here on",
    Kind.MODEL_PROPOSED: lambda e, b, n: (
        f"candidate model {b['model'][:16]}… trained on {b['findings']:,} findings; not in force"
    ),
    Kind.POLICY_ACTIVATED: lambda e, b, n: f"policy set {b['hash'][:16]}… ({b['origin']}) in force from here on",
    Kind.AGENT_REGISTERED: lambda e, b, n: f"agent {e.subject} enrolled with its own key ({b['key']}): {b['purpose']}",
    Kind.AGENT_STOPPED: lambda e, b, n: f"agent {e.subject} stopped by its kill switch: {b['reason']}",
    Kind.AGENT_RESUMED: lambda e, b, n: f"agent {e.subject} allowed again, by change {b['change']}",
    Kind.AGENT_RETIRED: lambda e, b, n: f"agent {e.subject} taken out for good: {b['reason']}",
    Kind.LEASE_ISSUED: _lease,
    Kind.LEASE_REVOKED: lambda e, b, n: f"lease {e.subject[:12]}… of {b['agent']} revoked: {b['reason']}",
    Kind.LEASE_REFUSED: lambda e, b, n: f"agent {e.subject} refused {b['operation']} on {b['resource']}: {b['reason']}",
    Kind.ALERT_RECEIVED: _received,
    Kind.ALERT_QUARANTINED: lambda e, b, n: f"a message from {b['source']} could not be read and was kept ({b['field']})",
    Kind.ALERT_RESUBMITTED: lambda e, b, n: f"a kept message of {b['source']} put back for reading",
    Kind.FINDING_DECIDED: _decided,
    Kind.CASE_MERGED: lambda e, b, n: f"case {e.subject} became part of {b['into']}",
    Kind.CASE_DISPOSED: _disposed,
    Kind.CASE_REOPENED: lambda e, b, n: f"case {e.subject} taken up again: {b['reason']}",
    Kind.CASE_ASSIGNED: lambda e, b, n: f"case {e.subject} given to {n.of(b['owner']) if b['owner'] else 'nobody'}",
    Kind.INVENTORY_IMPORTED: lambda e, b, n: (
        f"inventory of {b['assets']:,} assets and {b['identities']:,} identities imported"
    ),
    Kind.PERSON_ENROLLED: lambda e, b, n: f"signing key {b['fingerprint']} of {n.of(e.subject)} counts from here on",
    Kind.PERSON_REVOKED: lambda e, b, n: f"{n.of(e.subject)} may no longer approve: {b['reason']}",
    Kind.ROLE_GRANTED: lambda e, b, n: f"{n.of(e.subject)} was granted {_joined(b['roles'])}",
    Kind.ROLE_REVOKED: lambda e, b, n: f"{n.of(e.subject)} lost {_joined(b['roles'])}: {b['reason']}",
    Kind.PASSKEY_ENROLLED: lambda e, b, n: f"a passkey of {n.of(e.subject)} counts from here on ({b['credential'][:16]}…)",
    Kind.PASSKEY_REVOKED: lambda e, b, n: f"a passkey of {n.of(e.subject)} counts no longer: {b['reason']}",
    Kind.PERSON_INVITED: lambda e, b, n: f"a one-time link to enrol was made for {n.of(e.subject)}",
    Kind.PERSON_SIGNED_IN: lambda e, b, n: f"{n.of(e.subject)} signed in by {b['how']}",
    Kind.PERSON_SIGNED_OUT: lambda e, b, n: f"{numbers(b['sessions'], 'session')} of {n.of(e.subject)} ended",
    Kind.CHANGE_PROPOSED: _change,
    Kind.CHANGE_APPROVED: _approved,
    Kind.CHANGE_DENIED: _denied,
    Kind.PROPOSAL_CREATED: _proposed,
    Kind.PROPOSAL_APPROVED: _approved,
    Kind.PROPOSAL_DENIED: _denied,
    Kind.PROPOSAL_EXPIRED: lambda e, b, n: f"number {e.subject} expired before enough people approved",
    Kind.PROPOSAL_OUTDATED: lambda e, b, n: f"number {e.subject} ended: a target is no longer what was proposed",
    Kind.ACTION_INTENDED: _intended,
    Kind.ACTION_STARTED: _started,
    Kind.ACTION_PROBED: _probed,
    Kind.ACTION_LEFT: lambda e, b, n: (
        f"number {e.subject} went no further ({b['event']}{', ' + b['fault'] if b['fault'] else ''})"
    ),
    Kind.AUTONOMY_STOPPED: lambda e, b, n: f"closing by the agent stopped in {_scope(e)}: {b['reason']}",
    Kind.AUTONOMY_RESUMED: lambda e, b, n: f"closing by the agent allowed again in {_scope(e)}: {b['reason']}",
    Kind.AUTONOMY_OBSERVED: _observed,
    Kind.AUTONOMY_CERTIFIED: _moved,
    Kind.AUTONOMY_HALTED: _moved,
    Kind.AUTONOMY_RESTARTED: _moved,
    Kind.AUTONOMY_DEMOTED: _moved,
    Kind.AUTONOMY_PROMOTED: _moved,
    Kind.AUTONOMY_ACKNOWLEDGED: lambda e, b, n: f"an alarm in scope {e.subject} was taken note of: {b['reason']}",
    Kind.REVIEW_COMMITTED: lambda e, b, n: f"seed of the blind reviews of {e.subject} committed to before the week began",
    Kind.REVIEW_OPENED: lambda e, b, n: f"seed of the blind reviews of {e.subject} opened",
    Kind.REVIEW_ANSWERED: lambda e, b, n: f"blind review of a close answered: {b['answer']}; {b['reason']}",
    Kind.RECALL_OPENED: lambda e, b, n: f"{numbers(len(b['recalled']), 'close')} taken back: {b['reason']}",
    Kind.TOKEN_ISSUED: lambda e, b, n: f"a token was issued for {b['source'] if 'source' in b else b['name']}",
    Kind.TOKEN_REVOKED: lambda e, b, n: f"{numbers(len(b['hashes']), 'token')} revoked: {b['reason']}",
}


def _scope(entry: Entry) -> str:
    return "every scope" if entry.subject == "*" else f"scope {entry.subject}"
