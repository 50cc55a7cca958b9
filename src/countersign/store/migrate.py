"""Bring the schema to this version (Alembic). Costs one query when there is nothing to do."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Engine, inspect, text

from countersign.errors import EnvironmentFault
from countersign.store.engine import opened, writing

HEAD = "0013"
FOLDER = Path(__file__).parent / "migrations"


def upgrade(engine: Engine) -> None:
    """Run the migrations that the database lacks. Raises EnvironmentFault when it is newer than this program."""
    found = _found(engine)
    if found == HEAD:
        return
    if found and found not in _known():
        where = engine.url.render_as_string(hide_password=True)
        raise EnvironmentFault(f"database has schema {found}, newer than {HEAD}", where=where, todo="update countersign")
    _run(engine)


def require(engine: Engine) -> None:
    """For whoever only reads. Raises EnvironmentFault when the database is of an older program; writes nothing."""
    found = _found(engine)
    if found != HEAD and found in _known():
        todo = "`countersign doctor` brings it up to date, as every start of the service does"
        where = engine.url.render_as_string(hide_password=True)
        raise EnvironmentFault(f"database has schema {found}, older than {HEAD}", where=where, todo=todo)


def _found(engine: Engine) -> str:
    """Schema of the database, "" when it has none."""
    with opened(engine) as conn:
        found = ""
        if inspect(conn).has_table("alembic_version"):
            found = conn.execute(text("SELECT version_num FROM alembic_version")).scalar() or ""
        conn.rollback()
    return found


def _known() -> set[str]:
    return {path.name.partition("_")[0] for path in (FOLDER / "versions").glob("[0-9]*.py")}


def _run(engine: Engine) -> None:
    from alembic import command  # noqa: PLC0415 - imported only when there is something to migrate
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    with writing(engine) as conn:
        if engine.dialect.name == "postgresql":
            conn.execute(text("SELECT pg_advisory_xact_lock(4852)"))  # two processes starting at once
        config.attributes["connection"] = conn
        command.upgrade(config, "head")
