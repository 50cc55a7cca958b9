"""The policy set in force: activated by two people once it is proved, asked at every door, and explained from the record."""

from __future__ import annotations

from pathlib import Path

import pytest

from countersign.approvals import sshsig
from countersign.approvals.change import Change, message
from countersign.bootstrap import Site, open_site
from countersign.errors import ConfigError, ConflictError, CountersignError, NotFoundError, UsageError, VerificationError
from countersign.evaluate.replay import replay
from countersign.impact import Impact
from countersign.model.entries import Actor, Kind
from countersign.policy.shipped import default_texts
from countersign.policy.texts import PolicyTexts
from countersign.store import changes, ledger, overlay, policies, proofs, read_policy
from countersign.store.changes import Answer
from countersign.store.engine import reading, writing
from countersign.web.app import create_console
from countersign.web.session import COOKIE, Sessions
from tests import fakes
from tests.browser.client import Client
from tests.ssh_signing import How, make, sign

NAMES = ("Ada Lovelace", "Bea Miles", "Cyn Boyd")
ADA, BEA, CYN = NAMES
KEYS = {name: make("ssh-ed25519", name) for name in NAMES}
STRICTER = default_texts().files["close.cedar"].replace("context.reviewed >= 299", "context.reviewed >= 500")
NO_LOOKUPS = 'forbid (principal is Agent, action == Action::"read", resource);\n'
HOLE = 'permit (principal is Agent, action == Action::"run", resource is Target);\n'


@pytest.fixture
def people(site: Site) -> Site:
    """A site where three people may approve."""
    impact = Impact(site)
    for name in NAMES:
        number = impact.enrol(name, sshsig.parse_key(KEYS[name].public))
        if number is not None:
            impact.approve(number, signed(impact.waiting(number), ADA))
    return site


def signed(held: changes.Pending, name: str) -> Answer:
    return Answer(name, sign(KEYS[name], message(held.digest), How()), "read it")


def write(site: Site, name: str, text: str) -> PolicyTexts:
    (site.data / overlay.FOLDER).mkdir(exist_ok=True)
    (site.data / overlay.FOLDER / name).write_text(text, "utf-8")
    return overlay.candidate(site.data)


def activate(site: Site, name: str, text: str) -> PolicyTexts:
    texts = write(site, name, text)
    impact = Impact(site)
    number = impact.policy_activation(texts)
    assert impact.approve(number, signed(impact.waiting(number), ADA)) is None
    assert impact.approve(number, signed(impact.waiting(number), BEA)) is not None
    return texts


def alerts(n: int, start: int = 0) -> list[bytes]:
    return [fakes.wazuh(f"1.{i}", host=f"h{i}", at_ms=fakes.NOON_MS + i) for i in range(start, start + n)]


def decided_by(site: Site) -> list[str]:
    return [entry.body["policy"] for entry in fakes.entries(site.engine, Kind.FINDING_DECIDED)]


def test_two_people_put_a_proved_set_in_force_and_every_decision_names_it(people: Site) -> None:
    fakes.deliver(people, alerts(3))
    texts = write(people, "close.cedar", STRICTER)
    impact = Impact(people)
    number = impact.policy_activation(texts)
    held = impact.waiting(number)
    assert (held.change.people, held.change.to, held.change.evidence["proved"]) == (2, texts.hash, 17)
    impact.approve(number, signed(held, ADA))
    fakes.deliver(people, alerts(3, 10))
    assert {name.split("/")[1] for name in decided_by(people)} == {default_texts().hash}
    write(people, "close.cedar", STRICTER.replace("500", "1"))  # what was signed is in the evidence store, not on disk
    assert impact.approve(number, signed(held, BEA)) is not None
    fakes.deliver(people, alerts(3, 20))
    assert decided_by(people)[-1].split("/")[1] == texts.hash
    last = fakes.entries(people.engine, Kind.POLICY_ACTIVATED)[-1]
    assert (last.actor.type, last.body["hash"], last.body["origin"]) == ("human", texts.hash, "site")
    assert last.body["proof"]["environments"] == last.body["proof"]["proved"] == 17
    newest = fakes.entries(people.engine, Kind.FINDING_DECIDED)[-1].body["conditions"]
    assert ["context has reviewed" in need for name, _, _, need in newest if name == "reviews"] == [True]
    with reading(people.engine) as conn:
        again = replay(conn)
    assert (again.problems, again.same) == ((), again.replayed)
    fakes.assert_rebuilds(people)


def test_what_was_activated_outlives_a_restart_and_a_change_on_disk(people: Site) -> None:
    texts = activate(people, "close.cedar", STRICTER)
    write(people, "close.cedar", "permit (")
    other = open_site(people.data, clock=people.clock)
    try:
        assert other.policy.hash == texts.hash
        assert len(fakes.entries(other.engine, Kind.POLICY_ACTIVATED)) == 2
    finally:
        other.close()


def test_another_process_follows_an_activation_at_once(people: Site) -> None:
    other = open_site(people.data, clock=people.clock)
    try:
        fakes.deliver(other, alerts(2))
        texts = activate(people, "close.cedar", STRICTER)
        fakes.deliver(other, alerts(2, 10))
        assert decided_by(other)[-1].split("/")[1] == texts.hash
    finally:
        other.close()


@pytest.mark.parametrize(
    ("name", "text", "error", "words"),
    [
        ("run.cedar", HOLE, VerificationError, "does not keep P1-P3: run-Agent-Target, by run.cedar:1"),
        ("mine.cedar", "\npermit (principal, action, resource) when { context. };", ConfigError, "mine.cedar:2"),
        ("mine.cedar", 'permit (principal, action == Action::"close", resource);', ConfigError, "2 permits close"),
        ("mine.cedar", "", ConflictError, None),
    ],
)
def test_a_set_that_cannot_be_activated_is_not_even_proposed(
    people: Site, name: str, text: str, error: type[CountersignError], words: str | None
) -> None:
    texts = write(people, name, text)
    if words is None:
        (people.data / overlay.FOLDER / name).unlink()
        texts, words = overlay.candidate(people.data), "in force already"
    before = len(fakes.entries(people.engine))
    with pytest.raises(error, match=words):
        Impact(people).policy_activation(texts)
    assert len(fakes.entries(people.engine)) == before


def smuggled(site: Site, people: int, claims: PolicyTexts) -> int:
    """A change whose evidence claims a proof, put past the command."""
    texts = PolicyTexts({**default_texts().files, "run.cedar": HOLE}, default_texts().schema)
    with writing(site.engine) as conn:
        claimed = proofs.summary(proofs.prove(claims))
        change = Change(
            change="policy.activate",
            subject="policy",
            was=site.policy.hash,
            to=texts.hash,
            requester=Actor("human", "somebody"),
            evidence={"blob": policies.keep(conn, texts), **claimed},
            people=people,
        )
    return Impact(site).propose(change)


def test_a_claimed_proof_is_not_taken_on_trust(people: Site) -> None:
    number = smuggled(people, 2, default_texts())
    with pytest.raises(VerificationError, match="does not keep P1-P3"):
        Impact(people).approve(number, signed(Impact(people).waiting(number), ADA))
    assert people.policy.hash == default_texts().hash


def test_one_person_is_never_enough_for_a_policy(people: Site) -> None:
    with pytest.raises(ConflictError, match="takes 2 people"):
        smuggled(people, 1, default_texts())


def test_where_policy_refuses_a_source_it_is_not_asked_and_nothing_closes(people: Site) -> None:
    activate(people, "no_lookups.cedar", NO_LOOKUPS)
    assert fakes.deliver(people, alerts(4)).closed == 0
    for entry in fakes.entries(people.engine, Kind.FINDING_DECIDED):
        assert all(found == missing == 0 < silent for found, missing, silent in entry.body["sources"].values())
    refused = fakes.entries(people.engine, Kind.LEASE_REFUSED)
    assert refused
    assert all(entry.body["reason"].startswith("policy: ") for entry in refused)


def test_where_policy_forbids_it_nothing_is_proposed_or_approved(people: Site) -> None:
    impact = Impact(people)
    waits = impact.enrol("Dot Frey", sshsig.parse_key(make("ssh-ed25519", "Dot Frey").public))
    assert waits is not None
    activate(people, "stop.cedar", '@id("frozen")\nforbid (principal, action == Action::"approve", resource);\n')
    before = len(fakes.entries(people.engine))
    with pytest.raises(UsageError, match="policy refuses approve: frozen"):
        impact.approve(waits, signed(impact.waiting(waits), ADA))
    assert len(fakes.entries(people.engine)) == before


def test_every_condition_of_a_decision_is_explained_in_the_words_of_its_entry(people: Site) -> None:
    fakes.deliver(people, alerts(3))
    activate(people, "close.cedar", STRICTER)  # explained by the policy of then
    entry = fakes.entries(people.engine, Kind.FINDING_DECIDED)[0]
    with reading(people.engine) as conn:
        found = read_policy.explain(conn, entry.subject)
        same = [index for index, one in ledger.stream(conn) if one.kind in read_policy.ASKED]
        others = [read_policy.explain(conn, str(index)) for index in same]
        for nothing in ("²", "9" * 30, "F-0"):
            with pytest.raises(NotFoundError):
                read_policy.explain(conn, nothing)
    assert found.recorded is True
    assert not found.allowed
    assert [[c.name, c.outcome, c.have, c.need] for c in found.conditions] == [list(one) for one in entry.body["conditions"]]
    assert {one.action for one in others} == {"propose", "approve", "read"}
    assert all(one.allowed and all(c.outcome == "held" for c in one.conditions) for one in others)


def test_the_commands_print_what_scripts_read(tmp_path: Path) -> None:
    data = tmp_path / "data"
    checked = fakes.run_json("policy", "check", "--json", "--data", data)
    assert checked["ok"]
    proof = fakes.run_json("policy", "prove", "--json", "--data", data)
    assert (proof["environments"], proof["proved"], proof["refused"], proof["counterexamples"]) == (17, 17, 0, [])
    assert 0 < proof["seconds"] < 30
    scripts = sorted(Path(proof["artefacts"]).glob("*.smt2"))
    assert len(scripts) == 17
    folder = tmp_path / "set"
    folder.mkdir()
    for name, text in default_texts().files.items():
        (folder / name).write_text(text + (HOLE if name == "run.cedar" else ""), "utf-8")
    holed = fakes.run("policy", "prove", "--json", "--policies", folder, "--data", data)
    assert holed.returncode == 1
    assert b'"confirmed":true' in holed.stdout
    (folder / "run.cedar").write_text("\n\npermit (", "utf-8")
    broken = fakes.run("policy", "check", "--policies", folder, "--data", data)
    assert (broken.returncode, b"run.cedar:3" in broken.stderr) == (2, True)


def test_the_page_says_what_is_in_force_who_put_it_there_and_what_proved_it(people: Site) -> None:
    sessions = Sessions(b"s" * 32)
    client = Client(create_console(people, sessions=sessions, clock=people.clock, checkpoint=people.sealer.checkpoint))
    assert client.get("/policy").status_code in {401, 403}
    client.cookies.set(COOKIE, sessions.cookie("analyst", people.clock.now_ms()))
    shipped = client.get("/policy").text
    assert default_texts().hash in shipped
    assert "as shipped" in shipped
    assert "No proof of this set stands in the ledger" in shipped
    texts = activate(people, "close.cedar", STRICTER)
    page = client.get("/policy").text
    assert texts.hash in page
    assert f"{BEA}, the last of two who signed" in page
    assert "17 of 17" in page
    assert "context.reviewed" in page
    assert "Enough reviewed here" in page
