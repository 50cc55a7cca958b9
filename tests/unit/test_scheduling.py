"""What shares a machine's network or a costly log runs in one worker, one after the other."""

from __future__ import annotations

import subprocess
import sys
from collections import defaultdict
from pathlib import Path

from tests import fakes, scheduling
from tests.fakes import ROOT

MODULE = """
import pytest
{mark}
@pytest.mark.parametrize("n", range(4))
def test_it(n, worker_id):
    with open({log!r}, "a") as file:
        file.write(f"{{__name__}} {{worker_id}}\\n")
"""


def test_a_group_and_a_module_each_stay_with_one_worker(tmp_path: Path) -> None:
    log = tmp_path / "ran.log"
    (tmp_path / "conftest.py").write_text("from tests.scheduling import *\n", "utf-8")
    for name, mark in (("a", "network"), ("b", "network"), ("c", ""), ("d", ""), ("e", "")):
        text = f'pytestmark = pytest.mark.xdist_group("{mark}")' if mark else ""
        (tmp_path / f"test_{name}.py").write_text(MODULE.format(mark=text, log=str(log)), "utf-8")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-n",
        "2",
        "--dist",
        "loadgroup",
        "-p",
        "no:cacheprovider",
        "-p",
        "xdist",
    ]
    env = fakes.environment(PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")
    done = subprocess.run(
        [*command, "--rootdir", tmp_path, tmp_path], env=env, cwd=ROOT, capture_output=True, check=False, text=True
    )
    assert done.returncode == 0, done.stdout
    ran = defaultdict(set)
    for line in log.read_text("utf-8").splitlines():
        module, worker = line.split()
        ran[module].add(worker)
    assert all(len(workers) == 1 for workers in ran.values()), ran
    assert ran["test_a"] == ran["test_b"]
    assert len(set.union(*ran.values())) == 2, "one worker did it all"


def test_what_is_said_to_be_long_exists() -> None:
    assert all((ROOT / path).exists() for path in scheduling.FIRST)
    assert scheduling.unit(ROOT, "tests/external/test_large_log.py") == "external"
    assert scheduling.unit(ROOT, "tests/unit/test_docs.py") == "tests/unit/test_docs.py"
