"""What is sealed is cosigned, through outages and whatever a witness answers."""

from __future__ import annotations

from typing import Any

import pytest

from countersign import witnessing
from countersign.api.server import Worker
from countersign.bootstrap import Site, open_site
from countersign.ledger.cosignature import parse_witness_key
from countersign.ledger.note import open_checkpoint
from countersign.ledger.proof import format_proof, make_proof, verify_proof
from countersign.store.solo import alone
from countersign.witnessing import Witnesses, status
from tests import fakes
from tests.fakes import StepClock
from tests.unit.test_cosignature import by_layout
from tests.witnesses import SAID, Liar, Pair, later, lying, more

pytestmark = pytest.mark.xdist_group("witnesses")  # they share two servers


def test_the_published_checkpoint_carries_every_witness_s_signature(site: Site, pair: Pair) -> None:
    asking = Witnesses(site)
    for _ in range(3):
        more(site)
        asking.ask()
        signed = site.tiles.checkpoint() or b""
        for one in pair.servers:
            key = parse_witness_key(one.vkey)
            assert by_layout(signed, key.name, key.public_key) > 0
        found = status(site)
        assert (found.sealed, found.covered, found.why) == (site.sealer.seal().size, found.sealed, "")
        assert [(one.behind, one.error, one.alarm) for one in found.witnesses] == [(0, "", "")] * 2
    assert site.tiles.checkpoint() == signed, "sealing nothing new keeps the cosignatures"
    assert open_checkpoint(signed, [site.log_key.vkey]).size == found.sealed
    assert fakes.verified(site).ok
    fakes.assert_rebuilds(site)
    proof, entry = make_proof(site.tiles, 0, [site.log_key.vkey])
    assert verify_proof(format_proof(proof), entry, [site.log_key.vkey]).size == found.sealed
    assert b"witness.test/w2" in proof.checkpoint


def test_what_is_sealed_while_witnesses_are_asked_is_no_loss(site: Site) -> None:
    def slow(url: str, body: bytes, timeout_s: float) -> Any:
        answer = witnessing.post(url, body, timeout_s)
        more(site)
        return answer

    more(site)
    asked = site.sealer.seal().size
    Witnesses(site, slow).ask()
    published = site.sealer.checkpoint()
    assert published is not None
    assert published.size > asked
    assert status(site).covered == asked, "the quorum's checkpoint is kept beside the newest"
    Witnesses(site).ask()
    assert status(site).covered == published.size


def test_an_outage_is_shown_is_retried_with_pauses_and_loses_nothing(site: Site, pair: Pair) -> None:
    Witnesses(site).ask()
    before = status(site)
    pair.down(1)
    more(site)
    asking = Witnesses(site)
    for tries in (1, 2, 3):
        asking.ask()
        asking.ask()
        found = status(site)
        one, two = found.witnesses
        assert (one.behind, one.error) == (0, "")
        assert (two.behind, two.tries) == (found.sealed - before.sealed, tries)
        assert "cannot be reached" in two.error
        assert found.covered == before.covered
        assert "1 of 2 cosignatures" in found.why
        assert two.next_ms > site.clock.now_ms()
        later(site)
    pair.up(1)
    asking.ask()
    assert (status(site).why, status(site).covered) == ("", found.sealed)


def test_whatever_a_witness_answers_is_said_and_counts_for_nothing(
    sqlite_pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = open_site(sqlite_pair.data, clock=StepClock())
    honest = site.witnesses
    before = site.sealer.seal().size
    with lying() as url:
        for name, (answer, error, alarm) in SAID.items():
            monkeypatch.setattr(Liar, "answer", answer)
            site.witnesses = tuple(one._replace(url=url) for one in honest)
            more(site)
            Witnesses(site).ask(at_once=True)
            found = status(site)
            assert error in found.witnesses[0].error, name
            assert bool(found.witnesses[0].alarm) is alarm, name
            assert found.covered in (0, before), name
            site.witnesses = honest
            Witnesses(site).ask(at_once=True)
            assert [(one.error, one.alarm) for one in status(site).witnesses] == [("", "")] * 2, "it is over once it cosigns"
            before = status(site).covered
    assert fakes.verified(site).ok
    site.close()


def test_a_forged_cosignature_spoils_nothing(site: Site) -> None:
    def forged(url: str, body: bytes, timeout_s: float) -> Any:
        answer = witnessing.post(url, body, timeout_s)
        place = len(answer.body) - 20  # in the middle of the signature's second half
        other = b"A" if answer.body[place : place + 1] != b"A" else b"B"
        return answer._replace(body=answer.body[:place] + other + answer.body[place + 1 :])

    before = site.tiles.checkpoint()
    Witnesses(site, forged).ask()
    assert site.tiles.checkpoint() == before
    assert status(site).covered == 0


def test_a_service_asks_by_itself_and_once_more_when_it_ends(site: Site) -> None:
    working = Worker(site)
    working.start()
    more(site)
    working.stop()
    assert status(site).covered == site.sealer.seal().size


def test_while_one_process_asks_another_does_not(site: Site) -> None:
    asking = Witnesses(site)
    with alone(site.engine, site.data, "witnesses") as mine:
        assert mine
        asking.ask()
        assert status(site).covered == 0
    asking.ask()
    assert status(site).covered > 0


def test_who_asks_late_about_what_was_cosigned_since_raises_no_alarm(site: Site) -> None:
    """Another process of this site was faster: the larger size is ours."""

    def late(url: str, body: bytes, timeout_s: float) -> Any:
        more(site)
        Witnesses(site, witnessing.post)._round(site.tiles.checkpoint() or b"", at_once=True)
        return witnessing.post(url, body, timeout_s)

    Witnesses(site, late).ask()
    assert [one.alarm for one in status(site).witnesses] == ["", ""]
