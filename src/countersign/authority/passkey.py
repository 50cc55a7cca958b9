"""The two halves of a WebAuthn ceremony, as values: options for the browser, and what its answer proves. User verification
is always required, so a passkey is two factors: the device, and what unlocks it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from webauthn import (
    generate_authentication_options,
    generate_registration_options,
    verify_authentication_response,
    verify_registration_response,
)
from webauthn.helpers import base64url_to_bytes, options_to_json, parse_client_data_json
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from countersign.authority.registered import Made
from countersign.errors import RefusedError

CREDENTIAL_CHARS_MAX = 20_000
TIMEOUT_MS = 120_000
_TODO = "try again; nothing was changed"


class Party(msgspec.Struct, frozen=True):
    """Where passkeys count. rp_id: host name. origin: scheme, host and port as the browser says them."""

    rp_id: str
    origin: str


class Answer(msgspec.Struct, frozen=True):
    """A browser's answer, as far as it must be read before it is checked."""

    document: dict[str, Any]
    credential_id: bytes
    challenge: bytes


def registration(party: Party, person: str, name: str, known: Sequence[bytes]) -> tuple[bytes, str]:
    """(challenge, options as JSON) to register a passkey for a person that holds none of ``known``."""
    options = generate_registration_options(
        rp_id=party.rp_id,
        rp_name="Countersign",
        user_name=name,
        user_id=person.encode(),
        timeout=TIMEOUT_MS,
        exclude_credentials=[PublicKeyCredentialDescriptor(id=one) for one in known],
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.REQUIRED, user_verification=UserVerificationRequirement.REQUIRED
        ),
    )
    return options.challenge, options_to_json(options)


def authentication(party: Party) -> tuple[bytes, str]:
    """(challenge, options as JSON) to sign in with any passkey of this site."""
    options = generate_authentication_options(
        rp_id=party.rp_id, timeout=TIMEOUT_MS, user_verification=UserVerificationRequirement.REQUIRED
    )
    return options.challenge, options_to_json(options)


def read(text: str) -> Answer:
    """A browser's answer. Raises RefusedError when it is none."""
    try:
        document = msgspec.json.decode(text[:CREDENTIAL_CHARS_MAX], type=dict[str, Any])
        client = parse_client_data_json(base64url_to_bytes(document["response"]["clientDataJSON"]))
        return Answer(document, base64url_to_bytes(document["rawId"]), client.challenge)
    except (msgspec.MsgspecError, WebAuthnException, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RefusedError("the browser's answer cannot be read", where="passkey", todo=_TODO) from error


def registered(party: Party, answer: Answer, challenge: bytes) -> Made:
    """What a registration proves. Raises RefusedError for another challenge, origin or site, or an unverified user."""
    try:
        found = verify_registration_response(
            credential=answer.document,
            expected_challenge=challenge,
            expected_rp_id=party.rp_id,
            expected_origin=party.origin,
            require_user_verification=True,
        )
    except (WebAuthnException, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RefusedError("the passkey does not hold", where="passkey", todo=_TODO) from error
    transports = answer.document["response"].get("transports") or ()
    named = tuple(str(one)[:20] for one in transports if str(one).replace("-", "").isalnum())[:8]
    return Made(found.credential_id, found.credential_public_key, found.sign_count, party.rp_id, named, found.user_verified)


def asserted(party: Party, answer: Answer, challenge: bytes, public_key: bytes, sign_count: int) -> int:
    """The new sign count of a passkey that signed. Raises RefusedError for another challenge, origin, site or key, for an
    unverified user, and for a count that fell back, as a cloned authenticator's would."""
    try:
        found = verify_authentication_response(
            credential=answer.document,
            expected_challenge=challenge,
            expected_rp_id=party.rp_id,
            expected_origin=party.origin,
            credential_public_key=public_key,
            credential_current_sign_count=sign_count,
            require_user_verification=True,
        )
    except (WebAuthnException, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RefusedError("the passkey's signature does not hold", where="passkey", todo=_TODO) from error
    return found.new_sign_count
