"""A case with a response that can be proposed, as alerts and an inventory leave it."""

from __future__ import annotations

import json

from sqlalchemy import select

from countersign.bootstrap import Site
from countersign.model.inventory import Asset, Criticality, Identity, Inventory
from countersign.store import tables as t
from countersign.store.engine import reading
from tests.fakes import deliver, wazuh

HOSTILE = '"><script>alert(1)</script>\u202e'
CHAIN = (("T1003.001", "Credential Access"), ("T1021", "Lateral Movement"), ("T1059", "Execution"), ("T1486", "Impact"))
"""Each has a line in the table that ends in isolating the host, so any finding that is not called benign will do."""


def inventory(site: Site, criticality: Criticality = Criticality.HIGH, *, owner: str = "k.curlew") -> None:
    """One host and one account."""
    asset = Asset("dc-01", "directory", owner, criticality, ("192.0.2.10",))
    people = (Identity("k.curlew", "admin", "", Criticality.MEDIUM),)
    site.commands.import_inventory(Inventory((asset,), people), "test")


def case(site: Site, criticality: Criticality = Criticality.HIGH) -> str:
    """Its id; the response ``isolate_host`` is suggested on ``dc-01``."""
    inventory(site, criticality)
    alerts, rules = [], [f"9{number}" for number in range(len(CHAIN))]
    for number, (technique, tactic) in enumerate(CHAIN):
        alert = json.loads(
            wazuh(f"a{number}", host="dc-01", rule=rules[number], level=15, title=HOSTILE, data={"note": HOSTILE})
        )
        alert["rule"]["mitre"] = {"id": [technique], "tactic": [tactic], "technique": [HOSTILE]}
        alerts.append(json.dumps(alert).encode())
    deliver(site, alerts)
    with reading(site.engine) as conn:
        (found,) = set(conn.execute(select(t.findings.c.case_id).where(t.findings.c.rule.in_(rules))).scalars())
    return str(found)
