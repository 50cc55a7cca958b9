"""Two products without a parser of their own: a mail gateway (JSON lines) and an identity provider (CSV)."""

from __future__ import annotations

import csv
import io
from typing import Any

from countersign.demo.estate import mail_of
from countersign.demo.wire import compact, hash_of, iso_millis

MAIL_RULES: dict[str, tuple[str, str]] = {
    "MG-110": ("Bulk mail with unsubscribe link", "info"),
    "MG-120": ("Spam quarantined", "low"),
    "MG-131": ("Attachment type blocked", "low"),
    "MG-210": ("Sender domain looks like our own", "medium"),
    "MG-221": ("Macro document from a first-time sender delivered", "medium"),
    "MG-240": ("Reply address differs from the sender", "medium"),
    "MG-230": ("Link in look-alike mail opened", "high"),
}
SIGNIN_RULES: dict[str, tuple[str, str]] = {
    "ID-01": ("Sign-in failed", "1"),
    "ID-02": ("Second factor not answered", "2"),
    "ID-03": ("Sign-in with an old protocol", "2"),
    "ID-07": ("Sign-in from a country not seen for this user", "3"),
    "ID-09": ("Second factor enrolled from a new device", "3"),
}
SIGNIN_HEADER = ("time", "event_id", "rule_id", "rule_name", "severity", "user", "ip", "country", "app", "result", "agent")


def mail(
    time_ms: int, rule: str, sender: str, recipient: str, subject: str, *, client: str, url: str = "", file: str = ""
) -> bytes:
    """One event of the mail gateway. subject, sender, url and file name are what the sender wrote."""
    name, severity = MAIL_RULES[rule]
    message: dict[str, Any] = {"from": sender, "to": mail_of(recipient), "subject": subject}
    if url:
        message |= {"url": url, "domain": url.partition("//")[2].partition("/")[0]}
    if file:
        message["attachment"] = {"name": file, "sha256": f"{hash_of(file, sender):064x}"}
    body = {
        "ts": iso_millis(time_ms) + "Z",
        "id": f"mg-{hash_of(time_ms, rule, sender, recipient, subject) % 16**12:012x}",
        "rule": {"id": rule, "name": name, "severity": severity},
        "gateway": "mail-01",
        "client_ip": client,
        "action": "quarantined" if rule in {"MG-120", "MG-131"} else "delivered",
        "message": message,
    }
    return compact(body)


def signin(time_ms: int, rule: str, user: str, address: str, *, country: str, app: str, result: str, agent: str) -> bytes:
    """One CSV row of the identity provider, without the header; ``agent`` is what the client sent."""
    name, severity = SIGNIN_RULES[rule]
    ident = f"{hash_of(time_ms, rule, user, address) % 16**12:012x}"
    row = (iso_millis(time_ms) + "Z", ident, rule, name, severity, user, address, country, app, result, agent)
    return csv_line(row)


def csv_line(row: tuple[str, ...]) -> bytes:
    """One record (RFC 4180), without the line end."""
    out = io.StringIO()
    csv.writer(out, lineterminator="").writerow(row)
    return out.getvalue().encode()
