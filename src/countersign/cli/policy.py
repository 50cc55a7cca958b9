"""``countersign policy``: check the site's policies, explain a decision, prove the promises, put a set before people."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from countersign.cli.common import DataOption, JsonOption, emit, note, opened, recorded, table
from countersign.config import data_dir
from countersign.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from countersign.policy.engine import Request
    from countersign.policy.texts import PolicyTexts

FolderOption = Annotated[
    Path | None,
    typer.Option(
        "--policies", metavar="DIR", help="A whole set in this folder, in place of the site's.", show_default=False
    ),
]


def register(app: typer.Typer) -> None:
    """Add the command group."""
    group = typer.Typer(help="Cedar policies: check, explain, prove, activate.", no_args_is_help=True)
    for command in (check, explain, prove, activate, show, requests):
        group.command()(command)
    app.add_typer(group, name="policy")


def check(policies: FolderOption = None, data: DataOption = None, json: JsonOption = False) -> None:
    """Validate the shipped policies with the site's own over them (DATA/policy/*.cedar); exit 2 names file and line."""
    from countersign.policy.engine import PolicyEngine  # noqa: PLC0415 - keeps `--help` quick
    from countersign.policy.gate import Gate  # noqa: PLC0415
    from countersign.policy.texts import problems  # noqa: PLC0415

    texts = chosen(policies, data)
    found: list[Any] = list(problems(texts))
    if not found:
        try:
            Gate(PolicyEngine(texts))
        except ConfigError as error:
            found.append(error)
    if json:
        emit(
            {
                "ok": not found,
                "hash": texts.hash,
                "files": sorted(texts.files),
                "problems": [{"where": one.where, "what": one.what} for one in found],
            }
        )
    elif not found:
        note(f"{len(texts.policies)} policies in {len(texts.files)} files are valid; hash {texts.hash}")
    if found:
        for one in () if json else found:
            note(f"countersign: {one}")
        raise typer.Exit(2)


def explain(
    ident: Annotated[str, typer.Argument(metavar="ID", help="A finding, or the index of a ledger entry.")] = "",
    request: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Any request, as JSON, put to the policy in force.")
    ] = None,
    data: DataOption = None,
    json: JsonOption = False,
) -> None:
    """Every condition of a decision, as held, failed or not evaluated, with the values that it read."""
    from countersign.actions import ACTIONS  # noqa: PLC0415 - keeps `--help` quick
    from countersign.store import read_policy  # noqa: PLC0415
    from countersign.store.engine import reading  # noqa: PLC0415

    if bool(ident) == (request is not None):
        raise UsageError("name a finding or entry, or a request with --request", where="policy explain")
    with opened(data) as site, reading(site.engine) as conn:
        if request is None:
            found = read_policy.explain(conn, ident, lambda name: name not in ACTIONS or ACTIONS[name].impactful)
        else:
            found = read_policy.asked(site.policy, _request(request))
    if json:
        emit(found)
        return
    typer.echo(f"{found.action} {found.subject}: {found.engine}  (policy {found.policy[:24]}…)")
    if found.recorded is not None:
        held = "holds the same" if found.recorded else "DIFFERS"
        typer.echo(f"entry {found.index} of the ledger {held}")
    rows = [(c.policy, c.name, c.outcome, c.have, c.need) for c in found.conditions]
    table(("policy", "condition", "outcome", "have", "need"), rows)


def prove(
    policies: FolderOption = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where the scripts and the result go.", show_default="DATA/policy/proof"),
    ] = None,
    data: DataOption = None,
    json: JsonOption = False,
) -> None:
    """Show with two solvers that no request gets past P1-P3, in every environment; exit 1 with a request that does."""
    from countersign.policy.texts import problems  # noqa: PLC0415 - keeps `--help` quick
    from countersign.store import proofs  # noqa: PLC0415

    texts = chosen(policies, data)
    started = time.perf_counter()
    proof = proofs.prove(texts)
    document = proofs.document(proof) | {"seconds": round(time.perf_counter() - started, 3)}
    invalid = [f"{one.where}: {one.what}" for one in problems(texts)]
    folder = proofs.write(proof, document, out or data_dir(data) / "policy" / "proof")
    if json:
        emit(document | {"artefacts": str(folder), "problems": invalid})
    else:
        _show(document)
        note(f"scripts and result: {folder}")
    for one in () if json else invalid:
        note(f"countersign: {one}")
    if not proof.holds or invalid:
        raise typer.Exit(1)


def activate(policies: FolderOption = None, data: DataOption = None) -> None:
    """Prove the site's policies and put them before two people; they decide once both have signed."""
    from countersign.impact import Impact  # noqa: PLC0415 - keeps `--help` quick
    from countersign.store import proofs  # noqa: PLC0415
    from countersign.store.activating_policy import PEOPLE, proved  # noqa: PLC0415

    texts = chosen(policies, data)
    proof = proved(texts)
    proofs.write(proof, proofs.document(proof), data_dir(data) / "policy" / "proof")
    with opened(data) as site:
        number = Impact(site).policy_activation(texts)
    note(f"policy {texts.hash} is proved in {proof.proved} environments; change {number} waits for {PEOPLE} people:")
    note(f"countersign approve {number} --person NAME --sign-with KEY --reason TEXT")


def show(data: DataOption = None, json: JsonOption = False) -> None:
    """The policy in force: hash, files, who activated it, its last proof, and whether the files on disk differ."""
    from countersign.store import policies as stored  # noqa: PLC0415 - keeps `--help` quick
    from countersign.store.engine import reading  # noqa: PLC0415

    with opened(data) as site, reading(site.engine) as conn:
        index, entry = stored.newest(conn)
        site.follow(conn)
        texts = site.policy.texts
    body: dict[str, Any] = entry.body if entry is not None else {}
    candidate = chosen(None, data)
    document = {
        "hash": texts.hash,
        "origin": body.get("origin", "shipped"),
        "files": sorted(texts.files),
        "entry": index,
        "by": {"type": entry.actor.type, "id": entry.actor.id} if entry is not None else {},
        "proof": body.get("proof", {}),
        "candidate": "" if candidate.hash == texts.hash else candidate.hash,
    }
    if json:
        emit(document | {"texts": dict(texts.files)})
        return
    table(
        ("policy in force", ""), [(name, msgspec.json.encode(value).decode().strip('"')) for name, value in document.items()]
    )
    if document["candidate"]:
        note("the files in DATA/policy differ from it: `countersign policy activate` puts them before people")


def requests(
    since: Annotated[int, typer.Option(metavar="INDEX", min=0, help="First entry.")] = 0,
    limit: Annotated[int, typer.Option(metavar="N", min=0, help="Most requests; 0: all.")] = 0,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where the lines go.", show_default="standard output")
    ] = None,
    data: DataOption = None,
) -> None:
    """Recorded policy decisions as JSON lines, for another Cedar implementation: sets, schemas, requests, and the answers
    that the ledger holds; exit 1 when an entry cannot be read."""
    from countersign.evaluate.replay_requests import Requests  # noqa: PLC0415 - keeps `--help` quick
    from countersign.store.engine import reading  # noqa: PLC0415

    given = 0
    with _lines(out) as file, recorded(data) as engine, reading(engine) as conn:
        found = Requests(conn)
        for line in found.lines(since, limit):
            file.write(msgspec.json.encode(line) + b"\n")
            given += "set" not in line
    note(f"{given} policy requests")
    for why, number in sorted((found.lacking + found.faulty).items()):
        note(f"countersign: {number} entries left out: {why}")
    if found.faulty:
        raise typer.Exit(1)


@contextmanager
def _lines(out: Path | None) -> Iterator[IO[bytes]]:
    """The file to write to, or standard output."""
    if out is None:
        yield sys.stdout.buffer
        return
    try:
        with out.open("wb") as file:
            yield file
    except OSError as error:
        raise UsageError(f"cannot be written ({error.strerror})", where=str(out), todo="name another file") from error


def _show(document: dict[str, Any]) -> None:
    rows = [(one["environment"], *(one["said"][name] for name in document["solvers"])) for one in document["results"]]
    table(("environment", *(f"{name} {version}" for name, version in document["solvers"].items())), rows)
    for found in document["counterexamples"]:
        note(f"{found['environment']}: allowed by {', '.join(found['allowed_by'])}, and the engine confirms it")
        for one in found["violates"]:
            note(f"  does not hold: {one}")
        note(f"  request: {msgspec.json.encode(found['request']).decode()}")
    refused = document["refused"]
    end = "no request gets past P1-P3" if not refused else f"{refused} refused"
    note(f"{document['proved']} of {document['environments']} environments proved in {document['seconds']} s: {end}")


def chosen(policies: Path | None, data: Path | None) -> PolicyTexts:
    """The set in a folder, or the site's candidate."""
    from countersign.store import overlay  # noqa: PLC0415 - keeps `--help` quick

    return overlay.folder(policies) if policies is not None else overlay.candidate(data_dir(data))


def _request(path: Path) -> Request:
    """The request in a file, in the form that ``policy.documents`` reads."""
    from countersign.policy import documents  # noqa: PLC0415 - keeps `--help` quick

    try:
        return documents.read(msgspec.json.decode(path.read_bytes(), type=dict[str, Any]), str(path))
    except OSError as error:
        raise UsageError(f"cannot be read ({error.strerror})", where=str(path)) from error
    except msgspec.MsgspecError as error:
        raise UsageError(f"not a request: {error}", where=str(path), todo="see docs/how-to/write-a-policy.md") from error
