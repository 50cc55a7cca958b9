"""Changes that enough people approved, and what each was used for: an effect names its change, which serves it once."""

from __future__ import annotations

from countersign.approvals.change import Change

UNSIGNED = "without an approved change"


class Made:
    """Approved changes by number and by the entry of their last approval."""

    def __init__(self) -> None:
        self._changes: dict[int, Change] = {}
        self._by_entry: dict[int, int] = {}
        self._used: set[int] = set()
        self.effects = 0

    def approved(self, number: int, change: Change, entry: int) -> None:
        """Enough people approved it, the last with this entry."""
        self._changes[number] = change
        self._by_entry[entry] = number

    def use(self, number: int, **wanted: str) -> str:
        """An effect rests on this change; why it does not, "" when it does. wanted: fields of the change."""
        change = self._changes.get(number)
        if change is None:
            return UNSIGNED
        if differing := [name for name, text in wanted.items() if getattr(change, name) != text]:
            return f"by change {number}, which says something else ({differing[0]})"
        if number in self._used:
            return f"by change {number}, which was used before"
        self._used.add(number)
        self.effects += 1
        return ""

    def use_entry(self, entry: int, **wanted: str) -> str:
        """The same by the entry of the last approval."""
        return self.use(self._by_entry.get(entry, -1), **wanted)

    def pinned(self, number: int) -> str:
        """SHA-256 of the passkeys that approvers signed for with a role."""
        change = self._changes.get(number)
        return str(change.evidence.get("passkeys_sha256", "")) if change else ""

    def invitation(self, person: str, link: str) -> int:
        """Number of the change that approvers signed for this link, -1 when there is none."""
        fitting = (
            number
            for number, change in self._changes.items()
            if number not in self._used and (change.change, change.subject, change.to) == ("passkey.invite", person, link)
        )
        number = next(fitting, -1)
        if number >= 0:
            self._used.add(number)
            self.effects += 1
        return number

    def ever(self, change: str, to: str) -> bool:
        """Whether such a change was ever approved."""
        return any((one.change, one.to) == (change, to) for one in self._changes.values())
