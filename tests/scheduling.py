"""Which worker runs what, when the suite is spread over several (``--dist loadgroup``).

A module is run by one worker, so that what it builds once is built once; modules that name a group
(``pytest.mark.xdist_group``) are run by one worker one after the other, because they share this machine's network or a
costly log. The mark is read from the file's text: it says nothing to pytest-xdist under pytest 9.2
(https://github.com/pytest-dev/pytest-xdist/issues/1386), which lets such tests run at the same time without a word.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

FIRST = (
    "tests/external/",
    "tests/crash/",
    "tests/contract/test_action_running.py",
    "tests/integration/test_replay.py",
    "tests/unit/test_bench.py",
)
"""What takes longest, started before all else: a long module that starts last leaves the other workers idle."""
_GROUP = re.compile(r'xdist_group\("([a-z_-]+)"\)')


class ByModule(LoadScopeScheduling):  # type: ignore[misc] - pytest-xdist is not typed for those who build on it
    """Hands modules and groups of them to workers, in the order of collection."""

    def _split_scope(self, nodeid: str) -> str:
        return unit(self.config.rootpath, nodeid.partition("::")[0])


@cache
def unit(root: Path, module: str) -> str:
    """What runs together with a module: its group, or itself alone."""
    found = _GROUP.search((root / module).read_text("utf-8"))
    return found[1] if found else module


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByModule | None:
    """A module, or a group of them, to one worker."""
    if config.getoption("dist") != "loadgroup":
        return None
    config.option.loadscopereorder = False  # that is by number of tests; ours is by how long they take
    return ByModule(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """``FIRST`` comes first, where tests are spread; the rest stays as it was."""
    if hasattr(config, "workerinput"):
        items.sort(key=_place)


def _place(item: pytest.Item) -> int:
    return next((place for place, path in enumerate(FIRST) if item.nodeid.startswith(path)), len(FIRST))
