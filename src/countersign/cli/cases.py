"""``countersign queue`` and ``case``: work without a browser."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from countersign.actions import standing, switched_on
from countersign.actions.suggest import Suggestion, suggest
from countersign.authority.agents import Operation
from countersign.authority.grant import case as resource
from countersign.cli.common import DataOption, JsonOption, emit, note, opened, table, warn_of_ledger
from countersign.correlate.ocsf_export import Incident, detection_finding, incident_finding
from countersign.investigate.summary import summarise
from countersign.model.cases import CaseStatus, Disposition
from countersign.store import inventory, read, read_approvals, read_case
from countersign.store.engine import reading

_PPM_PER_PERCENT = 10_000


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(queue)
    group = typer.Typer(help="One case.", no_args_is_help=True)
    for command in (show, dispose, reopen, assign, export):
        group.command()(command)
    app.add_typer(group, name="case")


def queue(
    tab: Annotated[read.Tab, typer.Option(help="Which cases.")] = read.Tab.NEEDS,
    search: Annotated[str, typer.Option(help="Words to look for.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=100)] = 25,
    data: DataOption = None,
    json: JsonOption = False,
) -> None:
    """List cases, the most pressing first."""
    with opened(data) as site:
        with reading(site.engine) as conn:
            page = read.queue(conn, tab=tab, query=search, limit=limit)
        warn_of_ledger(site)
    if json:
        emit(page)
        return
    columns = ("case", "what happened", "verdict", "up to", "why a person", "host", "alerts")
    rows = [(r.id, r.title, r.label, f"{r.p1_ppm / _PPM_PER_PERCENT:.0f} %", r.why, r.host, r.alerts) for r in page.rows]
    table(columns, rows)


def show(ident: Annotated[str, typer.Argument(metavar="ID")], data: DataOption = None, json: JsonOption = False) -> None:
    """Show a case: what happened, why, what its decision rests on, and what was proposed for it."""
    from countersign.approving import asked  # noqa: PLC0415 - keeps `--help` quick

    with opened(data) as site, reading(site.engine) as conn:
        detail = read_case.case_detail(conn, ident)
        known = inventory.load(conn)
        granted = site.case_grant(detail.case.id)
        on, asks = switched_on(site.config.actions), asked(site.config.approvals)
        proposed = read_approvals.of_case(conn, detail.case.id, site.clock.now_ms())
    if json:
        emit(detail)
        return
    row = detail.case
    typer.echo(f"{row.id}  {row.status.replace('_', ' by ', 1)}  {row.title}")
    if granted.refusals:
        note(f"no draft, no suggestions: {granted.refusals[0].reason} (`countersign agents list`)")
    else:
        lease = granted.of(Operation.SUMMARISE, resource(row.id))
        for sentence in summarise(row.id, detail.records, lease, granted.use):
            typer.echo(f"  {sentence.text}  [{', '.join(sentence.cites)}]")
    top = next((r for r in detail.records if r.finding.id == row.top_finding), None)
    if top is not None:
        weights = [(c.feature, c.value, f"{c.pico / 1e12:+.3f}") for c in top.verdict.contributions]
        table(("feature", "value", "weight"), weights, title="Score of the strongest finding")
        conditions = [(c.name, c.outcome.value, c.have, c.need) for c in top.decision.conditions]
        table(("condition", "outcome", "have", "need"), conditions, title="Gate")
    if not granted.refusals:
        lease = granted.of(Operation.PROPOSE, resource(row.id))
        _show_responses(suggest(row.id, detail.records, known, lease, granted.use, on, asks), standing(on))
    if proposed:
        lines = [(one.number, one.what, one.about, "taken back" if one.taken_back else one.state) for one in proposed]
        table(("number", "what", "of", "state"), lines, title="Proposed for this case (`countersign actions show NUMBER`)")


def _show_responses(responses: Sequence[Suggestion], says: str) -> None:
    """Each suggested response with what it would do; and what may run here."""
    columns = ("response", "target", "would", "hits", "undo", "to approve", "draft")
    rows = [
        (
            f"{r.title} ({', '.join(filter(None, (r.proposal.action, r.proven)))})",
            r.target,
            r.proposal.plan,
            "; ".join(r.proposal.blast_radius),
            r.proposal.undo,
            r.people,
            r.digest[:12],
        )
        for r in responses
    ]
    if rows:
        table(columns, rows, title="Suggested responses")
    typer.echo(f"{says}." if rows else f"No response is suggested. {says}.")


def dispose(
    ident: Annotated[str, typer.Argument(metavar="ID")],
    disposition: Annotated[str, typer.Argument(help="true_positive, benign, false_positive, test or duplicate.")],
    reason: Annotated[str, typer.Option(help="What you found; goes into the ledger.")],
    data: DataOption = None,
) -> None:
    """Close a case with what you found."""
    with opened(data) as site:
        site.commands.dispose(ident, disposition, reason)
        site.seal()
    note(f"{ident} closed as {disposition}")


def reopen(
    ident: Annotated[str, typer.Argument(metavar="ID")], reason: Annotated[str, typer.Option()], data: DataOption = None
) -> None:
    """Take a closed case up again."""
    with opened(data) as site:
        site.commands.reopen(ident, reason)
        site.seal()
    note(f"{ident} is open again")


def assign(
    ident: Annotated[str, typer.Argument(metavar="ID")],
    owner: Annotated[str, typer.Argument(help="Who takes it; empty for nobody.")],
    data: DataOption = None,
) -> None:
    """Give a case to a person."""
    with opened(data) as site:
        site.commands.assign(ident, owner)
        site.seal()


def export(ident: Annotated[str, typer.Argument(metavar="ID")], data: DataOption = None) -> None:
    """Print a case as an OCSF Incident Finding with its Detection Findings (JSON)."""
    with opened(data) as site, reading(site.engine) as conn:
        detail = read_case.case_detail(conn, ident)
    emit(
        {
            "incident_finding": incident_finding(_incident(detail.case), detail.records),
            "detection_findings": [detection_finding(record) for record in detail.records],
        }
    )


def _incident(row: read.CaseRow) -> Incident:
    return Incident(
        case=row.id,
        title=row.title,
        status=CaseStatus(row.status),
        opened_ms=row.opened_ms,
        changed_ms=row.updated_ms,
        disposition=Disposition(row.disposition) if row.disposition else None,
        assignee=row.owner,
    )
