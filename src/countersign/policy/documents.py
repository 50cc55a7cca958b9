"""A request as a JSON document, and back: what entries keep of one, and what another Cedar implementation is handed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from countersign.errors import UsageError
from countersign.policy.engine import Request, Uid


def document(request: Request) -> dict[str, Any]:
    """``{"principal": {"type", "id"}, "action", "resource": {…}, "entities": [{"uid", "attrs"}], "context"}``."""
    return {
        "principal": msgspec.to_builtins(request.principal),
        "action": request.action,
        "resource": msgspec.to_builtins(request.resource),
        "entities": [
            {"uid": msgspec.to_builtins(uid), "attrs": msgspec.to_builtins(attributes)}
            for uid, attributes in request.entities.items()
        ],
        "context": msgspec.to_builtins(request.context),
    }


def read(raw: Mapping[str, Any], where: str) -> Request:
    """The request in such a document. Raises UsageError that names ``where``."""
    try:
        entities = {msgspec.convert(one["uid"], Uid): one["attrs"] for one in raw.get("entities", ())}
        principal, resource = (msgspec.convert(raw[name], Uid) for name in ("principal", "resource"))
        return Request(principal, str(raw["action"]), resource, entities, raw.get("context", {}))
    except (msgspec.MsgspecError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"not a request: {error}", where=where, todo="see docs/how-to/write-a-policy.md") from error
