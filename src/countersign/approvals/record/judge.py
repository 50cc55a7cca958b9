"""Approvals, and what rests on them, as a verifier judges them from a log: nothing of the site's own word is taken.

The operator of a log holds its key and can sign any history. They do not hold people's keys: an approval that nobody gave,
an action without one, or a person let in without one are named here, whoever signed the checkpoint.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import msgspec

from countersign.approvals.record import effects, way
from countersign.approvals.record.keys import Keys
from countersign.approvals.record.made import Made
from countersign.approvals.record.matters import Matter, Matters
from countersign.errors import CountersignError
from countersign.ledger.judging import Opinion, Told
from countersign.model.entries import Entry, Kind

PEOPLE = frozenset(
    {
        Kind.PERSON_ENROLLED,
        Kind.PERSON_REVOKED,
        Kind.PERSON_INVITED,
        Kind.PASSKEY_ENROLLED,
        Kind.PASSKEY_REVOKED,
        Kind.ROLE_GRANTED,
        Kind.ROLE_REVOKED,
    }
)


class Approvals:
    """``ledger.judging.Judge``. matter: the bytes behind a commitment, None where there is nothing beside the log."""

    def __init__(self, matter: Matter | None = None) -> None:
        self._made = Made()
        self._keys = Keys(self._made)
        self._matters = Matters(self._keys, self._made, matter)
        self._way = way.Way(self._matters)
        rules: dict[Kind, Callable[[int, Entry], str]] = dict.fromkeys(PEOPLE, self._keys.take)
        rules |= dict.fromkeys(way.KINDS, self._way.problem)
        rules |= dict.fromkeys(effects.KINDS, lambda _, entry: effects.problem(self._made, entry))
        rules |= {
            Kind.LEDGER_OPENED: self._opened,
            Kind.CHANGE_PROPOSED: self._matters.proposed,
            Kind.CHANGE_APPROVED: self._matters.approved,
            Kind.CHANGE_DENIED: self._matters.denied,
            Kind.PROPOSAL_CREATED: self._matters.created,
            Kind.PROPOSAL_APPROVED: self._matters.approved,
            Kind.PROPOSAL_DENIED: self._matters.denied,
            Kind.PROPOSAL_EXPIRED: self._matters.ended,
            Kind.PROPOSAL_OUTDATED: self._matters.ended,
        }
        self._rules: Mapping[Kind, Callable[[int, Entry], str]] = rules
        self.kinds = frozenset(kind.value for kind in rules)

    def _opened(self, index: int, entry: Entry) -> str:
        if index == 0:
            self._matters.origin = str(entry.body["origin"])
        return ""

    def problems(self, told: Told) -> Iterable[str]:
        """What is wrong with an entry."""
        rule = self._rules.get(told.entry.kind)
        if rule is None or not told.whole:
            return ()
        try:
            found = rule(told.index, told.entry)
        except CountersignError as error:
            found = f"{told.entry.kind.value} is not as it should be: {error.what}"
        except (LookupError, TypeError, ValueError, AttributeError, msgspec.MsgspecError) as error:
            found = f"{told.entry.kind.value} is not as it should be: {type(error).__name__} at {error}"
        return (found,) if found else ()

    def finish(self) -> Opinion:
        """Counts, what is open, and whose keys it all rests on."""
        unchecked = {
            "proposals_without_their_bytes": self._matters.unread,
            "approvals_by_keys_that_the_site_alone_vouches_for": self._matters.by_the_site_alone(),
        }
        checked = self._matters.checked | {"effects_of_changes": self._made.effects} | self._way.checked
        return Opinion(checked, unchecked, self._way.open(), self._keys.used())
