"""What people read before they sign, line by line, from the very bytes whose digest they sign."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

from countersign.approvals import change
from countersign.approvals.change import shown
from countersign.approvals.proposal import Proposal, read
from countersign.model.responses import Target

Lines = tuple[tuple[str, str], ...]


def render(data: bytes) -> Lines:
    """(label, text) lines of a proposed action or change. Raises VerificationError when the bytes are neither's."""
    return change.render(data) if data.startswith(b'{"change":') else action(data)


def action(data: bytes) -> Lines:
    """(label, text) lines of a proposed action."""
    found = read(data)
    lines = (
        ("action", found.action),
        *(("on", _target(target)) for target in found.targets),
        *((name, str(value)) for name, value in sorted(found.parameters.items())),
        ("for case", found.case),
        ("would", found.plan),
        ("undo", found.undo),
        *(("would hit", line) for line in found.blast_radius),
        ("asked for by", f"{found.requester.type} {found.requester.id}"),
        ("people needed", _needed(found)),
        ("expires", datetime.fromtimestamp(found.expires_ms / 1000, UTC).isoformat(timespec="seconds")),
        ("nonce", found.nonce),
        *((("at site", found.site),) if isinstance(found.site, str) else ()),
        ("SHA-256", hashlib.sha256(data).hexdigest()),
    )
    return tuple((shown(label), shown(text)) for label, text in lines)


def _needed(found: Proposal) -> str:
    who = "two different people" if found.people == 2 else f"{found.people} different people"
    most = "one person" if found.people == 1 else who
    return f"{most}, never whoever asks; {found.denials} can end it"


def _target(target: Target) -> str:
    parts = [f"{target.kind.value} {target.name}", f"criticality {target.criticality.name.lower()}"]
    if target.owner:
        parts.append(f"owner {target.owner}")
    if target.addresses:
        parts.append(", ".join(target.addresses))
    return "; ".join(parts)
