"""A real site of today that has earned closing, and a console in front of it."""

from __future__ import annotations

import random
import time
from pathlib import Path

from countersign.autonomy.scopes import Stage
from countersign.bootstrap import Site, open_site
from tests import earned
from tests.browser.site import WallClock
from tests.fakes import data_directory, deliver, wazuh

HOUR_MS = 3_600_000
REVIEWED = 385
"""Dispositions after which the certificate is reached."""
CLOSED = range(40, 52)
"""Hosts whose routine alert the agent closes."""
OTHER_RULE = "5502"


def build(folder: Path, *, database: str = "") -> Site:
    """Alerts, dispositions, one promotion, closes: none of them waits for anything but its blind review."""
    site = open_site(data_directory(folder, database), clock=WallClock())
    now = time.time_ns() // 1_000_000
    start = now - now % 300_000 - 5 * HOUR_MS
    earned.furnish(site)
    deliver(site, earned.noise(range(REVIEWED), at_ms=start))
    cases = earned.open_cases(site)
    random.Random(7).shuffle(cases)
    for case in cases:
        site.commands.dispose(case, "benign", "routine", "ada")
    earned.promote(site, Stage.SUPERVISED)
    deliver(site, earned.noise(CLOSED, at_ms=start + 3 * HOUR_MS))
    return site


def quiet(site: Site, host: int, *, at_ms: int, title: str = "PAM: session opened") -> None:
    """One more routine alert."""
    raw = wazuh(f"{at_ms}.{host}", host=earned.host(host), rule="5501", level=3, at_ms=at_ms, data={}, title=title)
    deliver(site, [raw])
