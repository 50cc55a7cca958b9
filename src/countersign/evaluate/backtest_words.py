"""A backtest in plain words: what the bound means, on what it rests, when it does not hold, and what to know of this one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def meaning(found: dict[str, Any]) -> tuple[str, ...]:
    """What the bound says."""
    alpha, sure = percent(found["alpha"]), percent(1 - found["delta"])
    return (
        f"The promise: of everything the agent closes in a scope, at most {alpha} are threats.",
        (
            f"The bound is the highest share of threats that a scope's reviewed findings leave possible, {sure} sure "
            "(Clopper-Pearson). The second one (anytime) stays right however often one looks, and where people read a "
            "drawn sample only: in autonomous it is the one that counts."
        ),
        (
            f"The agent may close once the certificate for {alpha} is there and a person has approved it. In supervised "
            "people read every close afterwards without seeing the verdict; the certificate for "
            f"{percent(found['alpha'] / 2)} and another approval lead to autonomous, where a drawn sample is read."
        ),
        "It speaks of what a scope closes as a whole. It says nothing about one single finding.",
    )


def ground(found: dict[str, Any]) -> tuple[str, ...]:
    """What the bound rests on."""
    del found
    return (
        "On your people's labels alone: the model that ranks was trained on other data and closes nothing by itself.",
        "On all reviewed findings of a scope, or a draw from them whose probabilities are known and taken into account.",
        "On findings counting as independent of each other, and on tomorrow's findings coming as yesterday's did.",
        (
            "On every score band standing for itself, every pattern having been judged benign before, and no other "
            "finding of the same case or hour being open or a threat; a bound on the average alone would let rare "
            "threats through."
        ),
    )


def limits(found: dict[str, Any]) -> tuple[str, ...]:
    """When it does not hold."""
    return (
        (
            "It does not hold where the labels are wrong: a threat that was closed as noise teaches the replay that it "
            "was noise."
        ),
        "It does not hold for attacks that raise no alert, nor for kinds of findings that the export leaves out.",
        (
            "It does not hold while something changes (a new tool, a new network, a new kind of attack) until the "
            "alarm, the change detector or a review notices; the findings of one attack are not independent, so a "
            "single attack can break it."
        ),
        (
            f"Where the export does not say when a label was given, it counts from {found['label_delay_hours']:g} hours "
            "after the alert on."
        ),
        (
            "The replay approves each stage the moment it is earned; people take longer. What people would have done "
            "differently had the agent closed these findings, no replay can show."
        ),
        "The shipped model was trained on the AIT Alert Data Set: replaying that data flatters it.",
    )


def notes(found: dict[str, Any]) -> Iterator[str]:
    """What to know of this export."""
    read = found["account"]
    if not found["inventory"]:
        yield (
            "No inventory was given (--inventory FILE): every entity counted as known and none as high-value. In "
            "operation a finding on anything that the inventory does not name, or names as high-value, goes to a "
            "person, so less will be closed."
        )
    if read["only_closed"]:
        yield (
            f"{read['only_closed']:,} of {read['alerts']:,} alerts say only that they were closed; that was taken as "
            "benign. Override it with --unjudged closed."
        )
    unjudged = sum(count for _, truth, count in read["labels"] if truth == "not judged")
    if unjudged:
        yield (
            f"{unjudged:,} of {read['alerts']:,} alerts are not judged. They were replayed and shown, but teach "
            "nothing and stand in no bound: what the agent would have closed of them is listed apart."
        )
    if read["unreadable"]:
        messages = "1 message" if read["unreadable"] == 1 else f"{read['unreadable']:,} messages"
        yield f"{messages} could not be read; the first: {read['unreadable_first'][0]}"
    back = sum(scope["brought_back"] for site in found["sites"] for scope in site["scopes"].values())
    if back:
        yield (
            f"{back:,} threats had been closed and came back to people by the case gate or a recall; they count as "
            "escalated, not as missed."
        )
    ungraded = sorted({name for site in found["sites"] for name in site["ungraded"]})
    if ungraded:
        yield (
            f"No alert in {', '.join(ungraded)} has a severity. In operation that is a doubt and keeps a finding "
            "from closing unless the site says that its tools grade nothing; the replay takes it as said."
        )
    if not read["with_label_time"]:
        yield (
            f"The export does not say when labels were given: {found['label_delay_hours']:g} hours after the alert is "
            "assumed."
        )
    yield (
        f"Hours: {found['minutes_per_finding']:g} minutes a finding (--minutes). Default: the mean triage time that "
        "`countersign simulate` uses and cites. Hours saved count only what nobody reads any more; reading closes "
        "afterwards costs time too."
    )


def parts(found: dict[str, Any]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Title and lines of each part."""
    return (
        ("What the bound means", meaning(found)),
        ("On what it rests", ground(found)),
        ("When it does not hold", limits(found)),
        ("What to know of this export", tuple(notes(found))),
    )


def percent(share: float | None, digits: int = 2) -> str:
    """A share for people; a dash where there is none."""
    if share is None:
        return "–"
    text = f"{100 * share:.{digits}f}"
    return (text.rstrip("0").rstrip(".") if "." in text else text) + " %"
