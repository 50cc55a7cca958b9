"""From a person's approval to an effect that was probed, measured: ``make bench-actions``, as root.

It starts a host in a network namespace and an OpenLDAP directory of its own, and a site whose ``Performer`` runs as it does
in ``serve``. Each run is an approval signed with a passkey and carried out, then its undo, signed and carried out. Times are
those of the ledger: from the entry of the approval to the entry of the probe. ``woken`` is an approval in the console, which
wakes the performer; ``polled`` one in a shell, which it finds by itself.
"""

from __future__ import annotations

import json
import logging
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest
import structlog

from countersign.approvals.status import Status
from countersign.approving import Approving, by_name
from countersign.bootstrap import Site, open_site
from countersign.errors import CountersignError
from countersign.model.entries import Kind
from countersign.model.inventory import Asset, Criticality, Identity, Inventory
from countersign.running import Performer, Runner
from countersign.store.read_steps import PARTS
from tests import fakes, responding
from tests.directories import PERSON, openldap
from tests.namespaces import http_in, lan, need_root_and, running
from tests.passkey_signing import Authenticator, enrol

RUNS = 20
TARGET_MS = 2000
ADA, CYN = "Ada Lovelace", "Cyn Boyd"
HTTP, MANAGED = 8080, 2222
DONE = {Status.PROBED_OK.value, Status.PROBED_BAD.value, Status.PERSON.value}


@dataclass
class Times:
    """Milliseconds of every run, whole and by its parts."""

    whole: list[int] = field(default_factory=list)
    parts: dict[str, list[int]] = field(default_factory=dict)

    def add(self, whole: int, parts: Mapping[str, int]) -> None:
        self.whole.append(whole)
        for name, ms in {"reaction": whole - sum(parts.values()), **parts}.items():
            self.parts.setdefault(name, []).append(ms)


@contextmanager
def nftables() -> Iterator[tuple[dict[str, dict[str, Any]], Inventory]]:
    need_root_and("nft", "ip")
    with lan() as net:
        host, outsider, manager = (net.add(short, end) for short, end in (("h", 10), ("o", 11), ("m", 12)))
        table = {
            "run": True,
            "via": f"netns:{host}",
            "management": [net.address(12)],
            "vantage": f"netns:{outsider}",
            "probe_port": HTTP,
            "management_vantage": f"netns:{manager}",
            "management_port": MANAGED,
        }
        webs = running(http_in(host, HTTP), "Serving HTTP"), running(http_in(host, MANAGED), "Serving HTTP")
        with webs[0], webs[1]:
            asset = Asset("dc-01", "directory", "", Criticality.HIGH, (net.address(10),))
            yield {"isolate_host": table}, Inventory((asset,), ())


@contextmanager
def directory() -> Iterator[tuple[dict[str, dict[str, Any]], Inventory]]:
    with tempfile.TemporaryDirectory() as folder:
        secret = Path(folder) / "password"
        secret.write_text("service-pw", "utf-8")
        with openldap(Path(folder)) as place:
            asset = Asset("dc-01", "directory", "", Criticality.HIGH, ("192.0.2.10",))
            people = (Identity(PERSON, "clerk", "", Criticality.MEDIUM),)
            yield {"disable_account": place.table | {"password": f"file:{secret}"}}, Inventory((asset,), people)


class Clock:
    """The time that the ledger writes."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000


def measure(action: str, tables: dict[str, dict[str, Any]], known: Inventory, runs: int) -> dict[str, Times]:
    """By how the performer learnt of it: woken or polled."""
    found = {"woken": Times(), "polled": Times()}
    with tempfile.TemporaryDirectory() as folder:
        site = open_site(fakes.data_directory(Path(folder) / "data"), clock=Clock())
        site.config = msgspec.structs.replace(site.config, actions=tables)
        case = _case(site, known)
        key = enrol(site, ADA)
        enrol(site, CYN, roles=("analyst",))
        performer = Performer(Runner(site))
        performer.start()
        try:
            for n in range(runs):
                way = ("woken", "polled")[n % 2]
                approving = Approving(site)
                approving.approved = performer.wake if way == "woken" else (lambda: None)
                number = approving.propose(case, by_name(action, ""), CYN)
                found[way].add(*_carried_out(site, approving, number, key))
                _carried_out(site, approving, approving.propose_undo(number, CYN), key)
        finally:
            performer.stop()
            site.close()
    return found


def _case(site: Site, known: Inventory) -> str:
    case = responding.case(site)
    site.commands.import_inventory(known, "bench")
    alerts = []
    for n, technique in enumerate(("T1078", "T1098")):
        alert = json.loads(fakes.wazuh(f"u{n}", host="dc-01", rule=f"8{n}", level=15, data={"srcuser": PERSON}))
        alert["rule"]["mitre"] = {"id": [technique], "tactic": ["Credential Access"], "technique": ["x"]}
        alerts.append(json.dumps(alert).encode())
    fakes.deliver(site, alerts)
    return case


def _carried_out(site: Site, approving: Approving, number: int, key: Authenticator) -> tuple[int, dict[str, int]]:
    """(ms from the last approval to the probe, ms of each step)."""
    approving.approve_by_passkey(number, ADA, key.press(approving.ceremony(number, ADA)), "bench")
    while (state := approving.sheet(number).line.state) not in DONE:
        time.sleep(0.02)
    if state != Status.PROBED_OK.value:
        raise SystemExit(f"countersign: bench: number {number} ended as {state}: {approving.sheet(number).steps[-1].text}")
    (probed,) = [one for one in fakes.entries(site.engine, Kind.ACTION_PROBED) if one.subject == str(number)]
    (approved,) = [one for one in fakes.entries(site.engine, Kind.PROPOSAL_APPROVED) if one.subject == str(number)]
    return probed.time - approved.time, {name: probed.body["ms"][name] for name in PARTS}


TARGETS: dict[str, tuple[str, Callable[[], Any]]] = {
    "nftables": ("isolate_host", nftables),
    "OpenLDAP": ("disable_account", directory),
}


def main(runs: int = RUNS) -> int:
    """Print medians; 1 when one is not under the target, 3 where a target cannot be started."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    columns = ("reaction", *PARTS)
    print(f"{'':34}{'runs':>5}{'median':>8}{'worst':>8}   " + "".join(f"{name:>9}" for name in columns) + "   (ms)")
    met = True
    for name, (action, target) in TARGETS.items():
        try:
            with target() as (tables, known):
                found = measure(action, tables, known, runs)
        except pytest.skip.Exception as absent:
            print(f"countersign: bench: {name}: {absent}", file=sys.stderr)
            return 3
        except CountersignError as error:
            print(f"countersign: bench: {name}: {error}", file=sys.stderr)
            return error.exit_code
        for way, times in found.items():
            median = statistics.median(times.whole)
            met = met and median < TARGET_MS
            parts = "".join(f"{statistics.median(times.parts[one]):>9.0f}" for one in columns)
            label = f"{name} {action}, {way}"
            print(f"{label:34}{len(times.whole):>5}{median:>8.0f}{max(times.whole):>8}   {parts}")
    print(f"target: under {TARGET_MS} ms at the median: {'met' if met else 'NOT met'}")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else RUNS))
