"""Signing with OpenSSH: the private key stays with ``ssh-keygen``, or with the agent or security key that it asks."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import typer

from countersign.approvals.sshsig import ARMOURED_CHARS_MAX, NAMESPACE
from countersign.cli.common import visible
from countersign.errors import EnvironmentFault, UsageError
from countersign.model.matters import Sheet

PROGRAM = "ssh-keygen"


def show(sheet: Sheet) -> None:
    """Print an action or change as it is read from its canonical bytes, those bytes, and exactly what is signed.

    Names of pseudonyms are told apart, because they come from the key table and are not signed.
    """
    typer.echo(f"{'Proposal' if sheet.line.kind == 'action' else 'Change'} {sheet.line.number}")
    for label, text in sheet.lines:
        typer.echo(f"  {label:<22} {text}")
    for pseudonym, name in sheet.names:
        typer.echo(f"  by the key table, {pseudonym} is {visible(name).plain}")
    for given in sheet.given:
        typer.echo(
            f"  {'approved' if given.approve else 'denied'} by {visible(given.by).plain}: {visible(given.reason).plain}"
        )
    typer.echo("Canonical bytes:")
    typer.echo(visible(sheet.data).plain)
    typer.echo(f"Signed is, in namespace {NAMESPACE!r} and without a newline at its end:")
    typer.echo(sheet.message)


def by_key(sheet: Sheet, key: Path) -> str:
    """The armoured signature that ``ssh-keygen`` makes with this private key (or the agent's, for a ``.pub`` file)."""
    program = shutil.which(PROGRAM)
    if program is None:
        todo = "install openssh-client, or sign elsewhere and give --signature FILE"
        raise EnvironmentFault(f"{PROGRAM} is not installed", where="signature", todo=todo)
    if not key.is_file():
        raise UsageError("no such key", where=str(key), todo="name the private key, or the .pub file of one in ssh-agent")
    if sys.stdin.isatty() and not typer.confirm("Sign this?"):
        raise UsageError("not signed", where=f"{sheet.line.kind} {sheet.line.number}")
    done = subprocess.run(  # noqa: S603 - a fixed program, told only a file of the caller's
        [program, "-Y", "sign", "-n", NAMESPACE, "-f", str(key.absolute())],
        input=sheet.message.encode(),
        capture_output=True,
        check=False,
    )
    if done.returncode != 0:
        reason = next(reversed(done.stderr.decode(errors="replace").strip().splitlines()), "no reason given")
        raise UsageError(f"{PROGRAM} did not sign ({reason})", where=str(key), todo="see that it is your private key")
    return done.stdout.decode("ascii", errors="replace")


def from_file(file: Path) -> str:
    """A signature made elsewhere."""
    try:
        text = file.read_bytes()[: ARMOURED_CHARS_MAX + 1].decode("utf-8", errors="replace")
    except OSError as error:
        todo = "name the .sig file that ssh-keygen wrote"
        raise UsageError(f"cannot be read ({error.strerror})", where=str(file), todo=todo) from error
    return text.replace("\r\n", "\n")
