"""The whole way of one case, as statements with their entries: from raw messages to what people and agents did about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from countersign.model.entries import Kind
from countersign.reporting import decision, responses
from countersign.reporting.model import ROWS_MAX, Cited, Claim, Line, Piece, Section, absent, indices, numbers
from countersign.reporting.says import LABELS, Names, begun, sentence, when
from countersign.reporting.steps import STEPS, steps
from countersign.web import words

EXPLAINED_MAX = 3
"""Most findings explained term by term; the others stand in a table with their entries."""
PEOPLE = (
    Kind.CASE_DISPOSED,
    Kind.CASE_REOPENED,
    Kind.CASE_ASSIGNED,
    Kind.REVIEW_ANSWERED,
    Kind.RECALL_OPENED,
)
IN_FORCE = (Kind.MODEL_ACTIVATED, Kind.POLICY_ACTIVATED)


class Raw(msgspec.Struct, frozen=True):
    """One raw message behind a finding. sha256: hex, as its ``alert.received`` (received) lists it at ``place``."""

    finding: str
    received: int
    place: int
    sha256: str


class CaseFile(msgspec.Struct, frozen=True):
    """What is known of a case. entries: all that is cited, by index. decisions: the latest of each finding, the strongest
    first. decided: how many decisions there are in all, findings: of how many findings. raws: raw messages; alerts: how many
    there are in all."""

    id: str
    entries: Mapping[int, Cited]
    decisions: tuple[Cited, ...]
    decided: int
    findings: int
    raws: tuple[Raw, ...]
    alerts: int
    pieces: Mapping[str, Piece]
    names: Names

    def of(self, *kinds: Kind) -> list[Cited]:
        """Entries of these kinds, in order."""
        return [one for _, one in sorted(self.entries.items()) if one.entry.kind in kinds]

    def mine(self, *kinds: Kind) -> list[Cited]:
        """Those filed under the case."""
        return [one for one in self.of(*kinds) if one.case]


def sections(file: CaseFile) -> tuple[Section, ...]:
    """The report's body."""
    return (
        Section("In short", tuple(_short(file))),
        Section("What was received", tuple(_received(file)), about=_RECEIVED),
        Section("What was decided, and why", tuple(_decided(file)), about=_WEIGHED),
        Section("How its findings were linked", tuple(_linked(file))),
        Section("What people decided", tuple(_people(file))),
        Section("Responses", tuple(responses.claims(file)), about=_RESPONSES),
        Section("Under whose authority", tuple(_authority(file)), about=_LEASES),
        Section("What was in force", tuple(_in_force(file))),
        Section("The record, in order", tuple(_record(file))),
    )


_RECEIVED = "Every raw message is kept byte for byte; its SHA-256 stands in the entry of the delivery that brought it."
_WEIGHED = (
    "A verdict is a sum: a starting point and one signed weight for each thing that was looked at, in "
    "log-odds. The entry holds "
    "all of them, the values they had, and the conditions under which the agent may close a finding alone."
)
_RESPONSES = (
    "A response runs only on people’s signatures over its exact bytes. An intent is sealed in the log before the target is "
    "touched, and afterwards the target is asked from outside whether the effect holds."
)
_LEASES = (
    "An agent writes and acts only under a lease for one task, signed with its own key; the entry that issued it is cited."
)


# --- in short ---------------------------------------------------------------------------------------------------------


def _short(file: CaseFile) -> Iterator[Claim]:
    if not file.decisions:
        yield absent("No entry shows a decision about this case.")
        return
    top = file.decisions[0]
    body = top.entry.body
    low, high = (words.percent(ppm) for ppm in body["p_ppm"])
    said = LABELS.get(body["label"], body["label"])
    text = f"Its strongest finding was called “{said}” (probability of a threat {low} to {high}). "
    yield Claim(text + decision.did(body), (top.index,))
    yield from _ended(file)
    yield from responses.short(file)


def _ended(file: CaseFile) -> Iterator[Claim]:
    ends = file.mine(Kind.CASE_DISPOSED, Kind.CASE_REOPENED)
    if ends:
        last = ends[-1]
        yield Claim(
            f"Latest word on it, {when(last.entry)}, by {_who(file, last)}: {sentence(last.entry, file.names)}.",
            (last.index,),
        )
    elif len(file.decisions) == file.findings and all(one.entry.body["action"] == "close" for one in file.decisions):
        text = "The agent closed every finding of it by itself; no entry shows that a person disposed of it."
        yield Claim(text, indices(file.decisions))
    else:
        yield absent("No entry shows that a person has closed this case.")


def _who(file: CaseFile, one: Cited) -> str:
    return file.names.actor(one.entry.actor)


# --- received ---------------------------------------------------------------------------------------------------------


def _received(file: CaseFile) -> Iterator[Claim]:
    deliveries = file.of(Kind.ALERT_RECEIVED)
    if not deliveries:
        yield absent("No entry of a delivery was found for this case.")
        return
    mine = Counter(raw.received for raw in file.raws)
    rows = tuple(
        Line(
            (when(one.entry), one.entry.body["source"], f"{mine[one.index]:,} of {one.entry.body['lines']:,}"), (one.index,)
        )
        for one in deliveries
    )
    shown = "" if len(file.raws) == file.alerts else f" {len(file.raws):,} of them are listed here."
    text = f"{numbers(file.alerts, 'raw message')} stand behind its {numbers(file.findings, 'finding')}.{shown}"
    yield Claim(text, columns=("received", "source", "messages of this case"), lines=rows)
    raws = tuple(Line((raw.sha256, f"{raw.place + 1:,}", raw.finding), (raw.received,)) for raw in file.raws[:ROWS_MAX])
    more = (
        f" The first {ROWS_MAX} of {len(file.raws):,} are shown; the entries list all." if len(file.raws) > ROWS_MAX else ""
    )
    columns = ("SHA-256 of the raw message", "place in delivery", "finding")
    yield Claim(f"The entries name these messages by their digests.{more}", columns=columns, lines=raws)


# --- decided ----------------------------------------------------------------------------------------------------------


def _decided(file: CaseFile) -> Iterator[Claim]:
    if not file.decisions:
        yield absent("No entry shows a decision about this case.")
        return
    yield from decision.explained(file.decisions[0])
    for one in file.decisions[1:EXPLAINED_MAX]:
        yield from decision.brief(one)
    if rest := file.decisions[EXPLAINED_MAX:]:
        rows = tuple(_row(one) for one in rest)
        columns = ("decided", "finding", "rule", "called", "probability of a threat", "what followed")
        yield Claim(
            "Further findings of this case, the strongest first, each with its latest decision.", columns=columns, lines=rows
        )
    if file.decided > len(file.decisions):
        text = (
            f"The site’s log holds {numbers(file.decided, 'decision')} about {numbers(file.findings, 'finding')} "
            "of this case; "
            f"this pack holds the latest of {numbers(len(file.decisions), 'finding')}."
        )
        yield Claim(text, indices(file.decisions))


def _row(one: Cited) -> Line:
    body = one.entry.body
    low, high = (words.percent(ppm) for ppm in body["p_ppm"])
    followed = "closed by the agent" if body["action"] == "close" else body["why"]
    called = LABELS.get(body["label"], body["label"])
    return Line((when(one.entry), one.entry.subject, body["rule"], called, f"{low} to {high}", followed), (one.index,))


def _linked(file: CaseFile) -> Iterator[Claim]:
    rows = []
    cut = f" The strongest {ROWS_MAX} are listed." if len(file.decisions) > ROWS_MAX else ""
    for one in file.decisions[:ROWS_MAX]:
        for case, reason, shared in one.entry.body["links"]:
            why = words.LINK_REASONS.get(reason, reason.replace("_", " "))
            rows.append(Line((one.entry.subject, why, file.names.of(shared) or "none", case), (one.index,)))
    if rows:
        columns = ("finding", "why it belongs here", "what they share", "case")
        yield Claim(
            f"Each finding was put into this case for the reasons that its entry gives.{cut}",
            columns=columns,
            lines=tuple(rows),
        )
    else:
        yield absent("No entry shows a link between its findings.")
    for one in file.mine(Kind.CASE_MERGED):
        yield Claim(f"{when(one.entry)}: {sentence(one.entry, file.names)}.", (one.index,))


# --- people, authority, in force, record --------------------------------------------------------------------------------


def _people(file: CaseFile) -> Iterator[Claim]:
    found = file.mine(*PEOPLE)
    if found:
        yield Claim("People did this about the case.", columns=STEPS, lines=steps(found, file.names))
    else:
        yield absent("No entry shows that a person assigned, closed, reopened or reviewed this case.")


def _authority(file: CaseFile) -> Iterator[Claim]:
    by = {one.entry.subject: one for one in file.of(Kind.LEASE_ISSUED)}
    wrote = [one for one in _written(file) if one.entry.actor.type == "agent"]
    rows = tuple(
        Line(
            (one.entry.body["agent"], one.entry.body["task"], sentence(one.entry, file.names)), (one.index, *indices(under))
        )
        for lease, one in by.items()
        if (under := [w for w in wrote if w.entry.actor.lease == lease and w.index != one.index])
    )
    if rows:
        text = "Each agent wrote under these leases; with each stand the entry that issued it and those that rest on it."
        yield Claim(text, columns=("agent", "task", "the lease"), lines=rows)
    if agents := file.of(Kind.AGENT_REGISTERED):
        yield Claim(
            "The agents that wrote are enrolled, each with a key of its own.", columns=STEPS, lines=steps(agents, file.names)
        )
    bare = [one for one in wrote if one.entry.actor.lease not in by]
    if bare:
        text = f"{numbers(len(bare), 'entry', 'entries')} in an agent’s name here: no entry of the lease was found."
        yield Claim(text, indices(bare))
    if stray := file.of(Kind.LEASE_REFUSED, Kind.LEASE_REVOKED):
        yield Claim("Uses that were refused, and leases taken back.", columns=STEPS, lines=steps(stray, file.names))
    if not by and not agents and not bare:
        yield absent("No entry of this case was written by an agent.")


def _written(file: CaseFile) -> list[Cited]:
    return [one for _, one in sorted(file.entries.items()) if one.case]


def _in_force(file: CaseFile) -> Iterator[Claim]:
    found = file.of(*IN_FORCE)
    if not found:
        yield absent("No entry names the model and the policy that decided here.")
    for one in found:
        used = [d for d in file.decisions if one.entry.subject in (d.entry.body["model"], d.entry.body["policy"])]
        text = f"{begun(sentence(one.entry, file.names))}, since {when(one.entry)}, set by {_who(file, one)}. "
        digest = one.entry.body.get("blob", "")
        pieces = (digest,) if digest in file.pieces else ()
        yield Claim(text + f"{numbers(len(used), 'decision')} cited here used it.", (one.index, *indices(used)), pieces)


def _record(file: CaseFile) -> Iterator[Claim]:
    found: Sequence[Cited] = _written(file)
    if not found:
        yield absent("No entry is filed under this case.")
        return
    yield Claim(
        "Every entry of the case that this pack holds, in the order of the log.",
        columns=STEPS,
        lines=steps(found, file.names),
    )


# --- head -------------------------------------------------------------------------------------------------------------


def summary(file: CaseFile) -> str:
    """One sentence under the title."""
    many = f"{numbers(file.alerts, 'raw message')} in {numbers(file.findings, 'finding')}"
    return f"{many}, and what agents and people did about them"


def facts(file: CaseFile) -> tuple[tuple[str, str], ...]:
    """For the head: what a reader looks for first. Each of them is stated with its entries further down."""
    top = file.decisions[0].entry.body if file.decisions else {}
    found = responses.responses(file)
    done = sum(one.last(Kind.ACTION_PROBED) is not None for one in found)
    ends = file.mine(Kind.CASE_DISPOSED, Kind.CASE_REOPENED)
    closed = ends and ends[-1].entry.kind is Kind.CASE_DISPOSED
    state = words.DISPOSITIONS.get(ends[-1].entry.body["disposition"], "") if closed else "not closed by a person"
    seen = [second for one in file.decisions for second in one.entry.body["seen"]]
    return (
        ("Host", top.get("host") or "none"),
        ("Called", LABELS.get(top.get("label", ""), "no decision")),
        ("Seen (UTC)", _span(min(seen), max(seen)) if seen else "not known"),
        ("Disposition", state),
        ("Responses", f"{len(found)} proposed, {done} carried out and probed"),
        ("Decisions", f"{file.decided:,} about {numbers(file.findings, 'finding')}"),
    )


def _span(first_ms: int, last_ms: int) -> str:
    first, last = words.stamp(first_ms), words.stamp(last_ms)
    return first if first == last else f"{first} to {last}"
