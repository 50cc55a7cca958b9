"""Which right each command needs, and whether it needs a signature besides. No rule, no entry: a command without a row here
is refused before it runs.

Whoever runs commands on a data directory holds it: its rights are those of the file system, and ``$USER`` is a name, not an
identity that was proved. So rights here say what a command opens, which the screens and the record show; what must not hang
on the shell alone is ``signed``: it takes effect by an enrolled approver's signature and by nothing else.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from countersign.authority.roles import Right
from countersign.errors import UsageError


class Rule(NamedTuple):
    """right: what the command needs. signed: whether it changes anything only by an approver's signature."""

    right: Right
    signed: bool = False


_READ, _WORK, _STEER = Rule(Right.READ), Rule(Right.WORK), Rule(Right.STEER)
_RUN, _AUDIT, _SIGNED = Rule(Right.ADMINISTER), Rule(Right.AUDIT), Rule(Right.PROPOSE, signed=True)
RULES: dict[str, Rule] = {
    **dict.fromkeys(("actions", "lookups", "sources", "queue", "case show", "inventory show", "quarantine list"), _READ),
    **dict.fromkeys(("autonomy status", "autonomy reviews", "approvals", "people list", "tokens list", "mcp"), _READ),
    **dict.fromkeys(
        (
            "bench score",
            "bench hot-path",
            "simulate",
            "evaluate ait",
            "evaluate mail",
            "evaluate sites",
            "evaluate drills",
            "backtest",
            "doctor",
        ),
        _READ,
    ),
    **dict.fromkeys(("verify", "proof", "replay", "report", "policy requests", "case export"), _AUDIT),
    **dict.fromkeys(("ledger status", "witness key", "witness logs", "witness show"), _READ),
    **dict.fromkeys(("ledger cosign", "witness init", "witness add-log", "witness drop-key", "witness serve"), _RUN),
    **dict.fromkeys(("case dispose", "case reopen", "case assign", "recall", "autonomy review", "autonomy stop"), _WORK),
    **dict.fromkeys(("autonomy demote", "ingest"), _WORK),
    **dict.fromkeys(("autonomy resume", "autonomy acknowledge", "quarantine replay"), _STEER),
    **dict.fromkeys(("init", "serve", "worker", "demo", "inventory import", "rebuild"), _RUN),
    **dict.fromkeys(("token", "tokens issue", "tokens revoke", "people revoke"), _RUN),
    **dict.fromkeys(("people enrol", "people invite", "people role", "autonomy promote", "learn"), _SIGNED),
    **dict.fromkeys(("policy show", "policy check", "policy explain", "policy prove", "bench lease", "bench ledger"), _READ),
    **dict.fromkeys(("agents list", "leases list", "leases show"), _READ),
    **dict.fromkeys(("agents stop", "leases revoke"), _WORK),
    **dict.fromkeys(("policy activate", "agents add", "agents resume"), _SIGNED),
    **dict.fromkeys(("agents retire", "keys next", "keys rotate", "stamp", "erase", "archive"), _RUN),
    "keys show": _READ,
    "propose": Rule(Right.PROPOSE),
    "actions show": _READ,
    "actions export": _READ,
    "actions undo": Rule(Right.PROPOSE),
    "actions run": Rule(Right.ADMINISTER, signed=True),
    "approve": Rule(Right.APPROVE, signed=True),
    "deny": Rule(Right.APPROVE),
}


def guard(command: Any, path: str = "") -> Any:  # noqa: ANN401 - a click command or group
    """The command with every one below it that has no rule replaced by a refusal."""
    below = getattr(command, "commands", None)
    if below is not None:
        for name, child in below.items():
            guard(child, f"{path} {name}".strip())
    runs = below is None or (path and getattr(command, "invoke_without_command", False))
    if runs and path not in RULES:
        command.callback = _refusal(path)
    return command


def _refusal(path: str) -> Any:  # noqa: ANN401 - whatever the command's parameters are
    def refuse(**_: object) -> None:
        raise UsageError("command has no rule that says who may run it", where=path, todo="report this as a defect")

    return refuse
