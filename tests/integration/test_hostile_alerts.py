"""From an alert whose every field is hostile to what people would sign: whichever actions a site has switched on, what is
suggested aims at records of the inventory and at canonical values, and holds no text of the alert.

What then reaches each target is inspected by the tests that this module counts; an action that none covers fails here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from countersign.actions import ACTIONS
from countersign.actions.playbooks import PLAYBOOKS
from countersign.actions.suggest import Suggestion
from countersign.approvals.proposal import canonical
from countersign.approving import Approving
from countersign.bootstrap import Site, open_site
from countersign.errors import NotFoundError
from countersign.model.inventory import Asset, Criticality, Identity, Inventory
from countersign.model.values import is_address, is_domain
from countersign.store import read
from countersign.store.engine import reading
from tests import acting, fakes
from tests.examples import examples
from tests.integration import (
    test_hostile_directory,
    test_hostile_documents,
    test_hostile_kernel,
    test_hostile_orders,
    test_vendor_hostile_names,
)

pytestmark = pytest.mark.slow
AT_TARGETS = (
    test_hostile_directory, test_hostile_documents, test_hostile_kernel, test_hostile_orders, test_vendor_hostile_names,
)  # fmt: skip
TECHNIQUES = sorted(one for one in PLAYBOOKS if one.startswith("T1"))
MARK = "zqx"
"""In every hostile text, and in nothing of ours."""
SYNTAX = [
    "dc-01", "*", ")(uid=*", "(|(objectClass=*))", "cn=admin,dc=x", "; nft flush ruleset", "$(reboot)", "`id`", "\n", "\r\n",
    "{{7*7}}", "${7*7}", "{key}", "{% x %}", "' or 1 eq 1", '"', "\\", "../", "%2f", "\0", "\u202e", "203.0.113.9 }",
    "&UserName=",
]  # fmt: skip
hostile = st.lists(st.sampled_from(SYNTAX) | st.text(max_size=5), max_size=4).map(lambda parts: MARK + "".join(parts))
FIELDS = ("srcuser", "dstuser", "srcip", "dstip", "hostname", "url", "query", "process", "note")
alerts = st.fixed_dictionaries(dict.fromkeys(FIELDS, hostile))
KNOWN = Inventory(
    (
        Asset("dc-01", "directory", "k.curlew", Criticality.HIGH, ("192.0.2.10",)),
        Asset("fw-01", "firewall", "k.curlew", Criticality.MEDIUM),
        Asset("ns-01", "resolver", "k.curlew", Criticality.MEDIUM),
    ),
    (Identity("k.curlew", "admin", "", Criticality.MEDIUM), Identity("j.plover", "clerk", "", Criticality.LOW)),
)


class _Seen(Exception):
    """What was suggested; nothing is proposed."""

    def __init__(self, found: tuple[Suggestion, ...]) -> None:
        self.found = found


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    data: Path = fakes.data_directory(tmp_path_factory.mktemp("hostile") / "data")
    made = open_site(data, clock=fakes.StepClock())
    made.config = replace(made.config, actions=acting.tables(ACTIONS))
    made.commands.import_inventory(KNOWN, "test")
    yield made
    made.close()


def suggested(site: Site) -> list[Suggestion]:
    """For every case of the site."""

    def choose(found: tuple[Suggestion, ...]) -> Suggestion:
        raise _Seen(found)

    with reading(site.engine) as conn:
        cases = [row.id for row in read.queue(conn, tab=read.Tab.ALL).rows]
    found: list[Suggestion] = []
    for case in cases:
        try:
            Approving(site).propose(case, choose, "Cyn")
        except _Seen as seen:
            found += seen.found
        except NotFoundError:
            continue
    return found


@settings(max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(fields=alerts, title=hostile, technique=st.sampled_from(TECHNIQUES), number=st.integers(0, 2**40))
@example(dict.fromkeys(FIELDS, MARK), MARK, "T1021.004", 1)
@example(dict.fromkeys(FIELDS, f"{MARK})(uid=*"), f"{MARK}{{{{7*7}}}}", "T1078", 2)
def test_no_text_of_an_alert_is_in_what_people_sign(
    site: Site, fields: dict[str, str], title: str, technique: str, number: int
) -> None:
    alert = json.loads(fakes.wazuh(f"a{number}", host="dc-01", rule="90", level=15, title=title, data=fields))
    alert["rule"]["mitre"] = {"id": [technique], "tactic": [title], "technique": [title]}
    summary = fakes.deliver(site, [json.dumps(alert).encode()])
    assert summary.lines == 1
    known = {one.name for one in (*KNOWN.assets, *KNOWN.identities)}
    for one in suggested(site):
        proposal = one.proposal
        assert {target.name for target in proposal.targets} <= known
        assert MARK not in canonical(proposal).decode()
        for name, value in proposal.parameters.items():
            assert isinstance(value, int) or (is_domain(value) if name == "domain" else is_address(value))


def test_it_suggests_something(site: Site) -> None:
    """So that suggesting nothing would not pass: a hostile title beside a known host and account."""
    alert = json.loads(
        fakes.wazuh("known", host="dc-01", rule="91", level=15, title=f"{MARK} $(id)", data={"srcuser": "k.curlew"})
    )
    alert["rule"]["mitre"] = {"id": ["T1003"], "tactic": ["x"], "technique": [f"{MARK}"]}
    fakes.deliver(site, [json.dumps(alert).encode()])
    found = {one.proposal.action for one in suggested(site)}
    assert {"isolate_host", "disable_account", "suspend_okta", "contain_crowdstrike"} <= found


def test_what_reaches_the_target_is_inspected_for_every_action() -> None:
    covered = {name for module in AT_TARGETS for name in module.COVERS}
    assert covered == set(ACTIONS), "write a test that inspects what reaches the target, and count it in its COVERS"
