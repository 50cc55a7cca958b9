"""Whatever only people may set in motion names the change that they approved, and does what it said."""

from __future__ import annotations

from countersign.approvals.record.made import Made
from countersign.model.entries import Entry, Kind

BUILT_IN = "countersign"
"""Owner of the agents that come with the product."""
KINDS = frozenset(
    {
        Kind.AGENT_REGISTERED,
        Kind.AGENT_RESUMED,
        Kind.MODEL_ACTIVATED,
        Kind.POLICY_ACTIVATED,
        Kind.AUTONOMY_PROMOTED,
    }
)


def problem(made: Made, entry: Entry) -> str:
    """What is wrong with an effect, "" when nothing is."""
    body = entry.body
    why = ""
    if entry.kind is Kind.AGENT_REGISTERED and body["owner"] != BUILT_IN:
        why = made.use(body.get("change", -1), change="agent.add", subject=entry.subject)
    elif entry.kind is Kind.AGENT_RESUMED:
        why = made.use(body["change"], change="agent.resume", subject=entry.subject)
    elif entry.kind is Kind.MODEL_ACTIVATED and "approval" in body:
        why = made.use_entry(int(body["approval"]), change="model.activate", to=body["model"])
    elif entry.kind is Kind.MODEL_ACTIVATED and entry.actor.type != "system":
        why = "without an approved change"
    elif entry.kind is Kind.POLICY_ACTIVATED:
        why = _policy(made, entry)
    elif entry.kind is Kind.AUTONOMY_PROMOTED:
        last = int(entry.trigger) if entry.trigger.isdecimal() else -1
        why = made.use_entry(last, change="autonomy.promote", subject=entry.subject, to=body["after"])
    return f"{entry.kind.value} {why}" if why else ""


def _policy(made: Made, entry: Entry) -> str:
    """A start may name a set anew, with other limits of scopes; a set of the site's was approved at some time before."""
    body = entry.body
    if "approval" in body:
        return made.use_entry(int(body["approval"]), change="policy.activate", to=body["hash"])
    if body.get("origin") == "site" and not made.ever("policy.activate", body["hash"]):
        return "without an approved change"
    return ""
