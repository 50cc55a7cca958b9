"""``countersign backtest``: what a site's own closed alerts would have earned, in time order (design: evaluation.md)."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from countersign.evaluate.ait_online import LABEL_MS, OURS, play
from countersign.evaluate.backtest_export import Account, Export, Judged, Wanted, read_export
from countersign.evaluate.backtest_measure import MINUTES_PER_FINDING, measure, promise
from countersign.evaluate.backtest_stream import live
from countersign.model.inventory import Inventory
from countersign.triage.model import Model

SAID_MAX = 20
"""Progress names so many sites, then every so many-th."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Settings:
    """inventory: of the site, None when there is none to ask. minutes: what one finding costs a person. utc_offset_min: of
    the site, for office hours."""

    inventory: Inventory | None = None
    minutes: float = MINUTES_PER_FINDING
    utc_offset_min: int = 0


def backtest(path: Path, wanted: Wanted, settings: Settings, *, say: Say = lambda _: None) -> dict[str, Any]:
    """Everything the command prints. Raises UsageError and ConfigError naming file, line and field."""
    began = time.process_time()
    export = read_export(path, wanted, say)
    model = Model.load_prior()
    by_site = _by_site(export, path)
    sites: list[dict[str, Any]] = []
    for name, alerts in by_site.items():
        lived = live(name, alerts, settings.inventory, utc_offset_min=settings.utc_offset_min, say=say)
        run = play(lived.stream, model, model.edges, replace(OURS, one_scope=False, graded=lived.graded))
        sites.append(measure(run, lived, model, settings.minutes))
        if len(sites) <= SAID_MAX or not len(sites) % SAID_MAX:
            done = f"{name} ({len(sites):,} of {len(by_site):,})" if len(by_site) > 1 else name
            say(f"{done}: {len(run.closed):,} of {len(lived.stream.found):,} findings closed, {sites[-1]['missed']} missed")
    return {
        "file": path.name,
        "source": wanted.source,
        "label": wanted.label_fields,
        **promise(),
        "minutes_per_finding": settings.minutes,
        "label_delay_hours": LABEL_MS / 3_600_000,
        "inventory": settings.inventory is not None,
        "model": model.id,
        "account": account(export.account),
        "sites": sites,
        "bound_violated": any(site["bound_violated"] for site in sites),
        "seconds": round(time.process_time() - began, 1),
    }


def _by_site(export: Export, path: Path) -> dict[str, list[Judged]]:
    """Alerts by site, the largest first; a single unnamed site is called as the file is."""
    sites: dict[str, list[Judged]] = {}
    for one in export.alerts:
        sites.setdefault(one.site, []).append(one)
    if list(sites) == ["site"]:
        return {path.name.split(".")[0]: sites["site"]}
    return dict(sorted(sites.items(), key=lambda item: (-len(item[1]), item[0])))


def account(read: Account) -> dict[str, Any]:
    """Where every message went, for JSON."""
    return {
        "lines": read.lines,
        "messages": read.messages,
        "alerts": read.alerts,
        "more_rows": read.more_rows,
        "ignored": dict(read.ignored),
        "unreadable": read.unreadable_count,
        "unreadable_first": read.unreadable,
        "labels": [[value, truth, count] for (value, truth), count in read.labels.most_common()],
        "only_closed": read.only_closed,
        "with_label_time": read.timed,
    }
