"""The inventory in the database, and the commands around it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from sqlalchemy import Connection
from typer.testing import CliRunner

from countersign.cli import inventory as cli
from countersign.cli import lookups as cli_lookups
from countersign.config import FILE
from countersign.errors import ConflictError, UsageError
from countersign.model.inventory import Asset, Criticality, Identity, Inventory
from countersign.store import tables
from countersign.store.engine import make_engine
from countersign.store.inventory import load, save

FIRST = Inventory(
    (Asset("a", "mail", "", Criticality.HIGH, ("10.0.0.1",), ("a.site.example",)), Asset("b")),
    (Identity("m.heron", "admin", "", Criticality.HIGH),),
)


@pytest.fixture
def conn(database: str) -> Iterator[Connection]:
    engine = make_engine(database)
    tables.metadata.create_all(engine)
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def test_what_is_saved_is_loaded(conn: Connection) -> None:
    assert load(conn) == Inventory()
    done = save(conn, FIRST)
    assert load(conn) == FIRST
    assert (done.assets, done.identities, done.added, done.changed, done.removed) == (2, 1, 3, 0, 0)


def test_replace_drops_what_is_not_named_and_merge_keeps_it(conn: Connection) -> None:
    save(conn, FIRST)
    second = Inventory((Asset("b", "web"), Asset("c")))
    done = save(conn, second, mode="merge")
    assert [a.name for a in load(conn).assets] == ["a", "b", "c"]
    assert load(conn).identities == FIRST.identities
    assert (done.assets, done.added, done.changed, done.removed) == (3, 1, 1, 0)
    done = save(conn, second, mode="replace")
    assert load(conn) == second
    assert (done.added, done.changed, done.removed) == (0, 0, 2)


@pytest.mark.parametrize("clash", [Asset("x", aliases=("a",)), Asset("x", addresses=("10.0.0.1",)), Asset("a.site.example")])
def test_a_merge_that_would_claim_something_twice_changes_nothing(conn: Connection, clash: Asset) -> None:
    save(conn, FIRST)
    with pytest.raises(ConflictError):
        save(conn, Inventory((clash,)), mode="merge")
    assert load(conn) == FIRST


def test_an_unknown_mode_is_refused(conn: Connection) -> None:
    with pytest.raises(UsageError):
        save(conn, FIRST, mode="append")


@pytest.fixture
def app() -> typer.Typer:
    made = typer.Typer()
    cli.register(made)
    cli_lookups.register(made)
    return made


def test_import_show_and_lookups_as_a_stranger_runs_them(app: typer.Typer, tmp_path: Path) -> None:
    file = tmp_path / "site.csv"
    file.write_text("kind,name,criticality,addresses\nasset,web-1,high,10.0.0.1\nidentity,m.heron,critical,\n")
    data = ["--data", str(tmp_path / "data"), "--json"]
    run = CliRunner().invoke
    done = run(app, ["inventory", "import", str(file), *data])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout) == {"assets": 1, "identities": 1}
    shown = json.loads(run(app, ["inventory", "show", *data]).stdout)
    assert [a["name"] for a in shown["assets"]] == ["web-1"]
    states = {row["name"]: row for row in json.loads(run(app, ["lookups", *data]).stdout)}
    assert (states["assets"]["state"], states["assets"]["entries"]) == ("ready", 1)
    assert states["intel"]["state"] == "not configured"
    (tmp_path / "data" / "intel").mkdir()
    (tmp_path / "data" / "intel" / "a.txt").write_text("evil.test\nwhat?\n")
    states = {row["name"]: row for row in json.loads(run(app, ["lookups", *data]).stdout)}
    assert (states["intel"]["state"], states["intel"]["entries"]) == ("faulty", 1)
    assert "a.txt:2" in states["intel"]["note"]
    (tmp_path / "data" / FILE).write_text('[geo]\ncountry = "nowhere.mmdb"\n')
    states = {row["name"]: row for row in json.loads(run(app, ["lookups", *data]).stdout)}
    assert states["geo"]["state"] == "faulty"
    assert "nowhere.mmdb" in states["geo"]["note"]


def test_a_bad_file_changes_nothing(app: typer.Typer, tmp_path: Path) -> None:
    file = tmp_path / "site.csv"
    file.write_text("kind,name,criticality\nasset,web-1,urgent\n")
    done = CliRunner().invoke(app, ["inventory", "import", str(file), "--data", str(tmp_path / "data")])
    assert done.exit_code != 0
    assert "site.csv:2: criticality" in str(done.exception)
    assert not (tmp_path / "data").exists()
