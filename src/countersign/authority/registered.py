"""A passkey as its registration proved it: a value, apart from the ceremony, whose library takes long to import."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec


class Made(msgspec.Struct, frozen=True):
    """What a registration proved. public_key: COSE_Key bytes."""

    credential_id: bytes
    public_key: bytes
    sign_count: int
    rp_id: str
    transports: Sequence[str] = ()
    verified: bool = True
