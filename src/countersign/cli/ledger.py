"""``countersign verify`` and ``countersign proof``: check the record, or let others check one entry of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import closing, nullcontext
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from cryptography.x509 import Certificate
from msgspec.structs import replace

from countersign import config
from countersign.approvals.record.judge import Approvals
from countersign.cli.common import DataOption, JsonOption, emit, progress, table
from countersign.errors import UsageError, VerificationError
from countersign.ledger import handover
from countersign.ledger import stamps as stamping
from countersign.ledger.cosignature import parse_witness_key
from countersign.ledger.findings import Problem
from countersign.ledger.judging import Judge
from countersign.ledger.note import VerifierKey, parse_vkey
from countersign.ledger.proof import format_proof, make_proof
from countersign.ledger.quorum import Wanted, with_quorum
from countersign.ledger.record import RecordReader
from countersign.ledger.verify import Report
from countersign.ledger.verify import verify as verify_log
from countersign.store import rotation, stamps
from countersign.store.keys import VKEY_FILE
from countersign.store.ledger_rows import LedgerRows, open_record
from countersign.store.looking import processes
from countersign.store.tiles import TileDir
from countersign.store.tiles_http import TileUrl
from countersign.store.witnesses import configured

LOG_DIR = "tlog"
DATABASE_FILE = "countersign.sqlite"
JOBS_MAX = 256

Key = Annotated[str, typer.Option(help="Verifier key (name+hash+base64) or a file that holds it; default: log.vkey.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("verify")(verify)
    app.command("proof")(proof)


def verify(
    path: Annotated[Path | None, typer.Argument(help="Data directory, or a bare directory of tiles.")] = None,
    key: Key = "",
    since: Annotated[Path | None, typer.Option(help="An older checkpoint that this log must extend.")] = None,
    url: Annotated[str, typer.Option(help="A published log, as https://HOST/tlog, in place of a directory.")] = "",
    jobs: Annotated[int, typer.Option(min=1, max=JOBS_MAX, help="Processes that read at once.")] = 1,
    ca: Annotated[Path | None, typer.Option(help="Root certificates (PEM) by which timestamps are checked.")] = None,
    witness: Annotated[list[str] | None, typer.Option(help="Key of a witness, or a file that holds it; repeatable.")] = None,
    quorum: Annotated[
        int | None, typer.Option(min=0, help="How many witnesses must have cosigned; default: as configured, or all named.")
    ] = None,
    data: DataOption = None,
    json: JsonOption = False,
) -> None:
    """Check signature, every entry, approval, lease and action, both roots, and the database beside the log; exit 1 when
    anything is wrong."""
    opener, keys, record = _open(path, data, key, url)
    log = opener()
    spread = processes(opener, jobs) if jobs > 1 else None
    older = _read(since, "an older checkpoint") if since is not None else None
    trust = handover.follow(keys, _handovers(log))
    with closing(record) if isinstance(record, LedgerRows) else nullcontext(), progress("entries") as told:
        judges: list[Judge] = [Approvals(record.matter if record is not None else None), rotation.judge(log, trust.current)]
        report = verify_log(log, trust.older, record=record, since=older, progress=told, judges=judges, spread=spread)
    if report.ok and (wrong := handover.refused(log.checkpoint() or b"", trust)):
        report = replace(report, ok=False, problems=(Problem(None, wrong),))
    report = _with_stamps(report, log, trust.older, stamps.roots(str(ca or "")))
    if wanted := _wanted(path, data, url, witness or [], quorum):
        report = with_quorum(report, log, trust.older, wanted, time.time_ns() // 1_000_000)
        report = _with_alarms(report, record, wanted)
    if json:
        emit(report)
    else:
        _show(report)
    if not report.ok:
        raise typer.Exit(1)


def _handovers(log: TileDir | TileUrl) -> list[handover.Handover]:
    """Those that are published; a list that cannot be read leads nowhere, and is named by its judge."""
    try:
        return rotation.published(log)
    except VerificationError:
        return []


def _with_alarms(report: Report, record: RecordReader | None, wanted: Wanted) -> Report:
    """The report with what witnesses told this site, should they have seen another history."""
    if not isinstance(record, LedgerRows):
        return report
    with closing(record):
        alarms = [Problem(None, what) for what in record.alarms([str(one) for one in wanted.witnesses])]
    return replace(report, ok=report.ok and not alarms, problems=(*report.problems, *alarms))


def _with_stamps(
    report: Report, log: TileDir | TileUrl, keys: Sequence[VerifierKey], roots: Sequence[Certificate]
) -> Report:
    """The report with what the timestamps beside the log say; they mean something only where the log itself holds."""
    if not report.ok:
        return report
    try:
        found = stamps.sizes(log)
        said = stamping.judge(log, (stamps.read(log, size) for size in found), keys, roots) if found else None
    except VerificationError as error:
        return replace(report, ok=False, problems=(*report.problems, Problem(None, str(error))))
    if said is None:
        return report
    checked = {"stamps" if roots else "stamps_without_ca": len(found), "entries_under_a_stamp": said.covered}
    problems = (*report.problems, *said.problems)
    return replace(report, ok=not problems, checked=report.checked | checked, problems=problems)


def proof(
    index: Annotated[int, typer.Argument(help="Index of the entry.")],
    path: Annotated[Path | None, typer.Argument(help="Data directory, or a bare directory of tiles.")] = None,
    key: Key = "",
    url: Annotated[str, typer.Option(help="A published log, as https://HOST/tlog, in place of a directory.")] = "",
    data: DataOption = None,
    json: JsonOption = False,
) -> None:
    """Print the proof that one entry is in the log (c2sp.org/tlog-proof@v1), for use without the log."""
    opener, keys, _ = _open(path, data, key, url)
    log = opener()
    made, entry = make_proof(log, index, handover.follow(keys, rotation.published(log)).older)
    if json:
        emit({"index": index, "entry": entry.decode(), "proof": format_proof(made)})
    else:
        typer.echo(format_proof(made), nl=False)


def _open(
    path: Path | None, data: Path | None, key: str, url: str
) -> tuple[Callable[[], TileDir | TileUrl], list[VerifierKey], RecordReader | None]:
    """A data directory with its database, or, when ``path`` holds no ``tlog`` or an address is given, tiles alone."""
    if url:
        return partial(TileUrl, url), [_published_key(path, key)], None
    directory = path or config.data_dir(data)
    if not directory.is_dir():
        raise UsageError("no such directory", where=str(directory), todo="name a data directory or a tile directory")
    if path is not None and not (path / LOG_DIR).is_dir():
        if not key:
            raise UsageError("a key is needed to check tiles alone", where=str(path), todo="give --key")
        return partial(TileDir, path), [_key(key)], None
    log_key = _key(key) if key else _key(str(directory / VKEY_FILE))
    database = config.load(directory).database or f"sqlite:///{directory / DATABASE_FILE}"
    return partial(TileDir, directory / LOG_DIR), [log_key], open_record(database)


def _published_key(path: Path | None, key: str) -> VerifierKey:
    """The key to check a published log with: it must come from elsewhere than the log itself."""
    if path is not None:
        raise UsageError("give a directory or an address, not both", where="--url", todo=f"leave out {path}")
    if not key:
        todo = "give --key with the log's verifier key, as its operator handed it out"
        raise UsageError("a key is needed to check a published log", where="--url", todo=todo)
    return _key(key)


def _wanted(path: Path | None, data: Path | None, url: str, named: list[str], quorum: int | None) -> Wanted | None:
    """What is asked of the log's witnesses: those named, else those that the data directory configures."""
    if named:
        chosen = tuple(parse_witness_key(_text(one)) for one in named)
        return Wanted(chosen, len(chosen) if quorum is None else quorum)
    directory = path or config.data_dir(data)
    if url or (path is not None and not (path / LOG_DIR).is_dir()):
        if quorum:
            raise UsageError("a quorum of nobody is asked for", where="--quorum", todo="name the witnesses with --witness")
        return None
    ledger = config.load(directory).ledger
    chosen = tuple(one.key for one in configured(ledger, b""))
    return Wanted(chosen, ledger.quorum if quorum is None else quorum) if chosen or quorum else None


def _key(text: str) -> VerifierKey:
    """A verifier key given as itself or as a file."""
    return parse_vkey(_text(text))


def _text(text: str) -> str:
    if text.count("+") < 2 or Path(text).is_file():
        text = _read(Path(text), "a verifier key").decode("utf-8", errors="replace").strip()
    return text


def _read(path: Path, what: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        todo = f"name a file that holds {what}"
        raise UsageError(f"cannot be read ({error.strerror})", where=str(path), todo=todo) from error


def _show(report: Report) -> None:
    head = "verified" if report.ok else f"NOT VERIFIED, {len(report.problems)} problems"
    rows = [("result", head), ("entries", report.size), ("root", report.root or "unknown")]
    rows += [(f"checked {name.replace('_', ' ')}", n) for name, n in report.checked.items()]
    rows += [(f"UNCHECKED {name.replace('_', ' ')}", n) for name, n in report.unchecked.items()]
    rows += [(f"erased by entry {one.entry}", f"{one.pieces} pieces of evidence ({one.subject})") for one in report.erasures]
    table(("log", ""), rows)
    if report.keys:
        signed = [(key.person, key.fingerprint, key.entry, key.by, key.signed) for key in report.keys]
        table(("approver", "key", "enrolled by entry", "on the word of", "signed"), signed)
    if report.open:
        table(("entry", "open"), [(p.index, p.what) for p in report.open])
    if report.problems:
        table(("entry", "problem"), [("log" if p.index is None else p.index, p.what) for p in report.problems])
