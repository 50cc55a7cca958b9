"""Signing with OpenSSH: the private key stays with ``ssh-keygen``, or with the agent or security key that it asks."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import typer

from countersign.approvals.change import message, render
from countersign.approvals.sshsig import ARMOURED_CHARS_MAX, NAMESPACE
from countersign.cli.common import visible
from countersign.errors import EnvironmentFault, UsageError
from countersign.store.changes import Pending

PROGRAM = "ssh-keygen"


def show(held: Pending, names: Mapping[str, str]) -> None:
    """Print the change as it is read from its canonical bytes, those bytes, and exactly what is signed.

    names: of pseudonyms. They are told apart, because they come from the key table and are not signed.
    """
    typer.echo(f"Change {held.id}")
    for label, text in render(held.proposal.encode()):
        typer.echo(f"  {label:<22} {text}")
    for pseudonym in sorted({held.change.subject, held.change.requester.id} & names.keys()):
        typer.echo(f"  by the key table, {pseudonym} is {visible(names[pseudonym]).plain}")
    typer.echo("Canonical bytes:")
    typer.echo(visible(held.proposal).plain)
    typer.echo(f"Signed is, in namespace {NAMESPACE!r} and without a newline at its end:")
    typer.echo(message(held.digest).decode())


def by_key(held: Pending, key: Path) -> str:
    """The armoured signature that ``ssh-keygen`` makes with this private key (or the agent's, for a ``.pub`` file)."""
    program = shutil.which(PROGRAM)
    if program is None:
        todo = "install openssh-client, or sign elsewhere and give --signature FILE"
        raise EnvironmentFault(f"{PROGRAM} is not installed", where="signature", todo=todo)
    if not key.is_file():
        raise UsageError("no such key", where=str(key), todo="name the private key, or the .pub file of one in ssh-agent")
    if sys.stdin.isatty() and not typer.confirm("Sign this?"):
        raise UsageError("not signed", where=f"change {held.id}")
    done = subprocess.run(  # noqa: S603 - a fixed program, told only a file of the caller's
        [program, "-Y", "sign", "-n", NAMESPACE, "-f", str(key.absolute())],
        input=message(held.digest),
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
