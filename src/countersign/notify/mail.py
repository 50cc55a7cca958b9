"""A plain mail by SMTP."""

from __future__ import annotations

import smtplib
import ssl
from email.message import EmailMessage
from email.policy import SMTP

from countersign.config import Mail as Settings
from countersign.errors import EnvironmentFault
from countersign.model.notices import Message

TIMEOUT_S = 15.0
LINE_CHARS_MAX = 900
"""A subject stays on one line; RFC 5322 allows 998."""


class Mail:
    """One mail to every address that the configuration names."""

    def __init__(self, settings: Settings, password: str) -> None:
        self._settings, self._password = settings, password

    def tell(self, message: Message) -> None:
        """Raises EnvironmentFault when the server did not take it."""
        try:
            with self._connect() as server:
                if self._settings.user:
                    server.login(self._settings.user, self._password)
                server.send_message(self._mail(message))
        except (OSError, smtplib.SMTPException, ValueError) as error:
            raise EnvironmentFault(f"did not take the mail ({type(error).__name__})") from None

    def _connect(self) -> smtplib.SMTP:
        host, port = self._settings.host, self._settings.port
        if self._settings.security == "tls":
            return smtplib.SMTP_SSL(host, port, timeout=TIMEOUT_S, context=ssl.create_default_context())
        server = smtplib.SMTP(host, port, timeout=TIMEOUT_S)
        if self._settings.security == "starttls":
            server.starttls(context=ssl.create_default_context())
        return server

    def _mail(self, message: Message) -> EmailMessage:
        mail = EmailMessage(policy=SMTP.clone(max_line_length=LINE_CHARS_MAX))
        mail["Subject"] = message.text
        mail["From"] = self._settings.sender
        mail["To"] = ", ".join(part.strip() for part in self._settings.to.split(","))
        mail["Message-ID"] = f"<approval-{message.id}@countersign.invalid>"
        mail["Auto-Submitted"] = "auto-generated"
        mail.set_content(f"{message.text}.\n\n{message.link}\n\nThis message only tells. Nothing in it approves anything.\n")
        return mail
