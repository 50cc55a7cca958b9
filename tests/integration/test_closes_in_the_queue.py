"""Where cases stand in the queue once people said what they think of their closes."""

from __future__ import annotations

import pytest

from countersign.bootstrap import Site
from countersign.model.cases import CloseState
from countersign.store import read
from countersign.store.engine import reading
from countersign.web.case_view import rank_parts
from tests.earned import host
from tests.fakes import deliver, wazuh
from tests.integration.test_closing import LATER, case_of, closes, closing, lived, ready

__all__ = ["closing", "lived", "ready"]
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("lived")]


def test_a_confirmed_miss_stands_first_in_the_queue_and_what_was_recalled_with_it_over_its_score(closing: Site) -> None:
    missed, *recalled = closes(closing, CloseState.CLOSED)
    deliver(closing, [wazuh("bad", host=host(390), rule="92000", level=14, at_ms=LATER, title="LSASS dump", data={})])
    closing.commands.review(missed, "threat", "seen it", "ada")
    with reading(closing.engine) as conn:
        pages = [read.queue(conn, tab=read.Tab.NEEDS, limit=2)]
        while pages[-1].cursor:
            pages.append(read.queue(conn, tab=read.Tab.NEEDS, limit=2, cursor=pages[-1].cursor))
    rows = [row for page in pages for row in page.rows]
    assert len({row.id for row in rows}) == len(rows) == len(recalled) + 2
    assert [row.rank for row in rows] == sorted((row.rank for row in rows), reverse=True)
    assert rows[0].id == case_of(closing, missed)
    assert rows[1].title == "LSASS dump"
    for row, words in ((rows[0], "called a threat by a person"), (rows[2], "a close was taken back")):
        parts = rank_parts(row)
        assert parts[-1].words == words
        assert sum(part.pico for part in parts) == row.rank
    assert rank_parts(rows[1])[-1].words.startswith("highest severity")
