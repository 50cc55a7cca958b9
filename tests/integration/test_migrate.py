"""The schema: what the migrations make is what the tables say, once, whoever starts first."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, delete, insert, inspect, select, text

from countersign.bootstrap import Site
from countersign.errors import EnvironmentFault
from countersign.store import migrate, projection
from countersign.store import tables as t
from countersign.store.engine import make_engine, reading, writing
from tests import fakes
from tests.fakes import deliver, wazuh


@pytest.fixture
def engine(database: str) -> Iterator[Engine]:
    made = make_engine(database)
    yield made
    made.dispose()


def test_migrations_make_the_tables_that_the_program_uses(engine: Engine) -> None:
    migrate.upgrade(engine)
    with engine.connect() as conn:
        context = MigrationContext.configure(conn, opts={"compare_type": True})
        assert compare_metadata(context, t.metadata) == []
    migrate.upgrade(engine)
    assert set(inspect(engine).get_table_names()) == set(t.metadata.tables) | {"alembic_version"}


def test_many_that_start_at_once_make_one_schema(database: str) -> None:
    failures: list[BaseException] = []

    def start() -> None:
        engine = make_engine(database)
        try:
            migrate.upgrade(engine)
        except BaseException as error:
            failures.append(error)
        finally:
            engine.dispose()

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_older_rows_become_what_a_rebuild_makes(site: Site) -> None:
    for number in range(3):
        deliver(site, [wazuh(f"{number}"), wazuh(f"o{number}", host=f"other-{number}")])
    with writing(site.engine) as conn:
        wanted = conn.execute(select(t.earlier_decisions)).all()
        entities = dict(conn.execute(select(t.findings.c.id, t.findings.c.entities)).all())
        assert all("host:" in one and "ip:203.0.113.9" in one for one in entities.values())
        conn.execute(text("DROP TABLE earlier_decisions"))
        conn.execute(text("CREATE TABLE finding_alerts (finding_id VARCHAR, entry BIGINT)"))
        conn.execute(text("ALTER TABLE findings ADD COLUMN known VARCHAR NOT NULL DEFAULT ''"))
        conn.execute(text("ALTER TABLE findings DROP COLUMN entities"))
        conn.execute(text("CREATE INDEX ix_entity_index_case_id ON entity_index (case_id)"))
        for merged, into in (("C-1", "C-2"), ("C-2", "C-3"), ("C-9", "C-3")):
            conn.execute(insert(t.cases).values(projection._BLANK | {"id": merged, "merged_into": into}))
        conn.execute(text("UPDATE alembic_version SET version_num = '0011'"))
    refused = fakes.run("rebuild", "--check", "--data", site.data)
    assert (refused.returncode, b"has schema 0011, older than 0013" in refused.stderr) == (3, True), refused.stderr
    migrate.upgrade(site.engine)
    with reading(site.engine) as conn:
        c = t.cases.c
        assert set(conn.execute(select(c.merged_into).where(c.id.in_(("C-1", "C-2", "C-9")))).scalars()) == {"C-3"}
        assert sorted(conn.execute(select(t.earlier_decisions)).all()) == sorted(wanted)
        assert len(wanted) == 2
        assert dict(conn.execute(select(t.findings.c.id, t.findings.c.entities)).all()) == entities
        assert compare_metadata(MigrationContext.configure(conn), t.metadata) == []
    with writing(site.engine) as conn:
        conn.execute(delete(t.cases).where(t.cases.c.id.in_(("C-1", "C-2", "C-9"))))
    fakes.assert_rebuilds(site)


def test_a_database_of_a_newer_program_is_refused(engine: Engine) -> None:
    migrate.upgrade(engine)
    with writing(engine) as conn:
        conn.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(EnvironmentFault, match=r"9999.*update countersign"):
        migrate.upgrade(engine)
