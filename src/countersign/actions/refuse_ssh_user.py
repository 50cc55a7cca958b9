"""Let an account not log in over ssh at one host: a ``DenyUsers`` line in a file of our own that sshd includes.

Sessions that are open stay open. The probe offers sshd a public key and sees whether it would be taken from this account; no
private key is needed, and nobody logs in. How: docs/how-to/isolate-hosts.md.
"""

from __future__ import annotations

import re
import time
from dataclasses import replace
from typing import Annotated, Any

import msgspec

from countersign.actions import exact
from countersign.actions.base import BaseAction
from countersign.actions.hand import BaseHand
from countersign.actions.own_file import MARK, Form, OwnFile
from countersign.actions.reaching import Line, Path, Place, ShellSettings, Words
from countersign.actions.shells import Namespace
from countersign.actions.words import case_line, record_line
from countersign.errors import ConfigError, TargetFault
from countersign.model.inventory import Asset, Identity
from countersign.model.responses import Effect, Order, Plan, Scene, Seen, Takes
from countersign.ports import Reach

RETRY_S = (0.1, 0.2, 0.4, 0.8, 1.6)
"""Waits between knocks that nobody answers: an sshd that reloads does not listen for a moment."""
_ACCEPTED, _DENIED = "Server accepts key", "Permission denied"


def _lines(logins: tuple[str, ...], _serial: int) -> str:
    return "".join(f"{line}\n" for line in (f"# {MARK}", *(f"DenyUsers {login}" for login in logins)))


FORM = Form(re.compile(rf"^DenyUsers ({exact.LOGIN})$", re.MULTILINE), _lines)


class RefuseSettings(ShellSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """file: path on the host, ours alone, included by its sshd. reload: the command, word by word, after which it counts.
    probe_key: ``file:`` and the path of a public key that sshd takes from every account. vantage: ``local`` or a
    namespace."""

    file: Path = "/etc/ssh/sshd_config.d/10-countersign.conf"
    reload: Words = ("systemctl", "reload", "ssh")
    probe_key: Annotated[str, msgspec.Meta(pattern=rf"^(|file:{exact.PATH})\Z")] = ""
    vantage: Place = "local"


class RefuseSshUser(BaseAction):
    """The targets are an account and a host. No parameters: it stays refused until it is undone."""

    name = "refuse_ssh_user"
    title = "Refuse ssh user"
    verb = "deny account"
    takes = Takes.LOGIN
    inverse = "allow_ssh_user"
    settings = RefuseSettings

    def plan(self, scene: Scene) -> Plan:
        """One account, at one host."""
        account, host = (next(r for r in scene.records if isinstance(r, kind)) for kind in (Identity, Asset))
        return Plan(
            plan=f"Refuse {account.name} every new ssh login at {host.name}; sessions that are open stay open.",
            undo=f"Let {account.name} log in over ssh at {host.name} as before.",
            blast_radius=(
                *(record_line(record) for record in scene.records),
                f"whatever works at {host.name} as {account.name} over ssh stops with its next login",
                case_line(scene, account.name),
            ),
        )

    def hand(self, settings: Any, reach: Reach) -> BaseHand | None:  # noqa: ANN401 - each action's own struct
        """None until ``via`` is set."""
        return Refusing(settings, reach) if settings.via else None


class Refusing(BaseHand):
    """Writes the drop-in, and offers a public key from outside."""

    action = "refuse_ssh_user"

    def __init__(self, settings: RefuseSettings, reach: Reach) -> None:
        self._settings = settings
        self._line = Line(settings, reach, self.action)
        self._line.need("file", "reload", *(("known_hosts",) if settings.probe_key else ()))
        if settings.vantage.startswith("ssh:"):
            raise ConfigError("cannot be another host", where=self._line.key("vantage"), todo='say "local" or "netns:NAME"')
        self._vantage = self._line.vantage(settings.vantage)

    def _check(self, order: Order) -> Seen:
        self._login(order)
        self._file(order).names()
        return self._probe(order)

    def _do(self, order: Order) -> None:
        login = self._login(order)
        self._file(order).put(login)
        self._settled(order)

    def _undo(self, order: Order) -> None:
        login = self._login(order)
        self._file(order).drop(login)
        self._settled(order)

    def _probe(self, order: Order) -> Seen:
        """Our own account is asked for too: a server that takes the key from nobody says nothing about anybody."""
        host, login = exact.one_asset(order), self._login(order)
        if not self._settings.probe_key or self._vantage is None:
            return Seen(Effect.UNKNOWN, f"nobody knocked: {self._line.key('probe_key')} or its vantage is not set")
        if self._takes(host, login):
            return Seen(Effect.ABSENT, f"{host.name} would take a key from {login}")
        if not self._takes(host, self._settings.user):
            return Seen(Effect.UNKNOWN, f"{host.name} takes the probe's key from nobody, so nothing is known of {login}")
        return Seen(Effect.HOLDS, f"{host.name} takes no key from {login}, and does from others")

    def _takes(self, host: Asset, login: str) -> bool:
        """Whether sshd says that it would take the key from an account. Raises TargetFault when it says neither."""
        key = self._settings.probe_key.removeprefix("file:")
        shell = self._vantage.shell if self._vantage is not None else None
        inside = shell.words if isinstance(shell, Namespace) else ()
        knock = replace(self._line.ssh(exact.addresses(host)[0]), user=login, identity=key, inside=inside)
        for wait_s in (*RETRY_S, 0.0):
            _, said = knock.call("true", level="DEBUG1")
            if _ACCEPTED in said or _DENIED in said:
                return _ACCEPTED in said
            time.sleep(wait_s)
        raise knock.lost(said)

    def _settled(self, order: Order) -> None:
        """Come in once more: an sshd told to reload while it still does ends instead of reloading."""
        shell = self._line.to(exact.one_asset(order))
        for wait_s in RETRY_S:
            try:
                shell.must(("true",))
            except TargetFault as fault:
                if fault.kind != TargetFault.UNREACHABLE:
                    raise
                time.sleep(wait_s)
            else:
                return
        shell.must(("true",))

    def _file(self, order: Order) -> OwnFile:
        one = self._settings
        return OwnFile(self._line.to(exact.one_asset(order)), one.file, FORM, one.reload)

    def _login(self, order: Order) -> str:
        login = exact.login(exact.one_identity(order))
        if login == self._settings.user:
            todo = "nothing was sent; it could not be undone"
            raise TargetFault(TargetFault.REFUSED, "this account is our own way in", where=login, todo=todo)
        return login
