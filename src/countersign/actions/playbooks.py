"""What is commonly done about which technique: one readable table, and nothing that an alert's text could change.

A finding's techniques are looked up first (a sub-technique as its parent when it has no line of its own); its tactics only
when no technique has a line. ATT&CK Enterprise, https://attack.mitre.org.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

ISOLATE, DISABLE, BLOCK, TICKET = "isolate_host", "disable_account", "block_address", "open_ticket"
DOMAIN, SSH = "block_domain", "refuse_ssh_user"

PLAYBOOKS: dict[str, tuple[str, ...]] = {
    # techniques
    "T1003": (ISOLATE, DISABLE),  # OS credential dumping: what was dumped will be used
    "T1021": (ISOLATE, DISABLE),  # remote services
    "T1021.004": (ISOLATE, SSH, DISABLE),  # ssh
    "T1041": (ISOLATE, BLOCK),  # exfiltration over the command channel
    "T1048": (ISOLATE, BLOCK, DOMAIN),  # exfiltration over another protocol
    "T1053": (ISOLATE,),  # scheduled task
    "T1059": (ISOLATE,),  # script interpreter
    "T1071": (ISOLATE, BLOCK, DOMAIN),  # command channel over an application protocol
    "T1078": (DISABLE,),  # valid accounts
    "T1098": (DISABLE,),  # account manipulation
    "T1098.004": (SSH, DISABLE),  # a key added for ssh: another password would not shut it out
    "T1105": (ISOLATE, BLOCK, DOMAIN),  # tool transfer
    "T1110": (BLOCK,),  # brute force: locking the account would do the attacker's work
    "T1136": (DISABLE,),  # account created
    "T1190": (BLOCK, TICKET),  # public-facing application: somebody has to mend it
    "T1486": (ISOLATE,),  # data encrypted for impact
    "T1490": (ISOLATE,),  # recovery inhibited
    "T1505": (ISOLATE, TICKET),  # server component, web shell
    "T1566": (DOMAIN, BLOCK, TICKET),  # phishing: the mail team takes the message back
    "T1567": (ISOLATE, BLOCK, DOMAIN),  # exfiltration over a web service
    "T1568": (ISOLATE, DOMAIN),  # names that change all the time
    "T1571": (ISOLATE, BLOCK),  # unusual port
    "T1595": (BLOCK,),  # active scanning
    # tactics, for tools that name no technique or one without a line
    "TA0001": (BLOCK, TICKET),
    "TA0002": (ISOLATE,),
    "TA0003": (ISOLATE,),
    "TA0004": (ISOLATE, DISABLE),
    "TA0006": (DISABLE,),
    "TA0008": (ISOLATE,),
    "TA0010": (ISOLATE, BLOCK),
    "TA0011": (ISOLATE, BLOCK, DOMAIN),
    "TA0040": (ISOLATE,),
    "TA0043": (BLOCK,),
}
"""ATT&CK id → actions, the usual first one first."""

OTHERWISE: tuple[str, ...] = (TICKET,)
"""When nothing in the table fits."""


def lines(techniques: Sequence[str], tactics: Sequence[str]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """(ATT&CK id, actions) of every line that fits a finding, in its order; one with id "" when none does."""
    found = _known(technique if technique in PLAYBOOKS else technique.partition(".")[0] for technique in techniques)
    found = found or _known(tactics)
    return tuple((ident, PLAYBOOKS[ident]) for ident in found) or (("", OTHERWISE),)


def _known(idents: Iterable[str]) -> list[str]:
    return [ident for ident in dict.fromkeys(idents) if ident in PLAYBOOKS]
