"""Three days of alerts in five wire shapes, from a seed: the same seed and end give the same bytes."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from importlib import resources

import msgspec

from countersign.demo import attacks, noise, noise_office
from countersign.demo.events import HOUR, Event, Scene
from countersign.demo.wire_generic import SIGNIN_HEADER, csv_line

SEED = 7
SLICE_MS = 3 * HOUR
"""Each feed arrives in files of three hours, so that a replay looks like a working day and not like five dumps."""


class Feed(msgspec.Struct, frozen=True):
    """A tool of the estate: which source reads it, its mapping ("" for none), how its files are named."""

    source: str
    mapping: str
    stem: str
    suffix: str
    header: bytes = b""


FEEDS: dict[str, Feed] = {
    "wazuh": Feed("wazuh", "", "alerts", "json"),
    "suricata": Feed("suricata", "", "eve", "json"),
    "edr": Feed("ocsf", "", "sandbar-edr", "jsonl"),
    "mail": Feed("generic", "mail-gateway.toml", "mail-gateway", "jsonl"),
    "idp": Feed("generic", "idp.toml", "sign-ins", "csv", csv_line(SIGNIN_HEADER)),
}


class DemoFeed(msgspec.Struct, frozen=True):
    """One file of one feed. mapping: TOML text, "" when the source needs none. body: whole lines."""

    source: str
    name: str
    mapping: str
    body: bytes


def events(seed: int = SEED, *, end_ms: int) -> list[Event]:
    """Every message in order of time; all of them lie in the three days before ``end_ms``."""
    scene = Scene(rng=random.Random(seed), end_ms=end_ms)  # noqa: S311 - a story, not a secret
    told = (*attacks.attacks(scene), *noise.noise(scene), *noise_office.noise(scene))
    return sorted((event for event in told if scene.inside(event.time_ms)), key=lambda e: (e.time_ms, e.feed, e.line))


def deliveries(seed: int = SEED, *, end_ms: int) -> list[DemoFeed]:
    """The messages as files of three hours per feed, in order of time."""
    slices: dict[tuple[int, str], list[bytes]] = {}
    for event in events(seed, end_ms=end_ms):
        start = event.time_ms - (event.time_ms - end_ms) % SLICE_MS
        slices.setdefault((start, event.feed), []).append(event.line)
    return [_file(start, FEEDS[feed], lines) for (start, feed), lines in sorted(slices.items())]


def mapping_text(name: str) -> str:
    """The shipped mapping file ``name``."""
    return resources.files("countersign.demo").joinpath("mappings", name).read_text("utf-8")


def _file(start_ms: int, feed: Feed, lines: list[bytes]) -> DemoFeed:
    stamp = datetime.fromtimestamp(start_ms / 1000, UTC).strftime("%Y%m%dT%H%MZ")
    head = [feed.header] if feed.header else []
    mapping = mapping_text(feed.mapping) if feed.mapping else ""
    return DemoFeed(feed.source, f"{feed.stem}-{stamp}.{feed.suffix}", mapping, b"\n".join([*head, *lines]) + b"\n")
