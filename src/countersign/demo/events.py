"""One demo message with its place in time, the feed it comes from and the story it belongs to."""

from __future__ import annotations

import random

import msgspec

from countersign.demo.estate import ADDRESS

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
SPAN_MS = 3 * DAY
"""How much time the demo covers, ending at ``end_ms``."""


class Event(msgspec.Struct, frozen=True):
    """line: one raw message without its newline. story: what it is part of, for tests; never fed to the product."""

    time_ms: int
    feed: str
    line: bytes
    story: str


class Scene(msgspec.Struct, frozen=True):
    """What every generator needs: the window's end and a source of chance."""

    rng: random.Random
    end_ms: int

    @property
    def start_ms(self) -> int:
        """First instant of the window."""
        return self.end_ms - SPAN_MS

    def at(self, days_back: int, clock_ms: int, *, room_ms: int) -> int:
        """The latest moment at that time of day (UTC) with ``room_ms`` before the end, ``days_back`` days earlier."""
        latest = self.end_ms - room_ms
        today = latest - latest % DAY + clock_ms
        return (today if today <= latest else today - DAY) - days_back * DAY

    def inside(self, time_ms: int) -> bool:
        """Whether the moment lies in the window."""
        return self.start_ms <= time_ms < self.end_ms

    def daily(self, clock_ms: int) -> list[int]:
        """That time of day (UTC) on every day of the window."""
        first = self.start_ms - self.start_ms % DAY + clock_ms
        return [t for t in range(first, self.end_ms, DAY) if self.inside(t)]

    def office(self, per_day: int) -> list[int]:
        """About ``per_day`` moments a day that follow office hours: few at night, most before and after noon."""
        moments = (self.start_ms + self.rng.randrange(SPAN_MS) for _ in range(per_day * SPAN_MS // DAY * 2))
        return sorted(t for t in moments if self.rng.random() < _RHYTHM[t % DAY // HOUR])

    def anytime(self, per_day: int) -> list[int]:
        """``per_day`` moments a day, day and night alike."""
        return sorted(self.start_ms + self.rng.randrange(SPAN_MS) for _ in range(per_day * SPAN_MS // DAY))

    def port(self) -> int:
        """An ephemeral client port."""
        return self.rng.randrange(49_152, 65_535)


class Story(msgspec.Struct, frozen=True):
    """A sequence of events told in minutes after ``start_ms``."""

    scene: Scene
    start_ms: int
    name: str

    def at(self, minute: int, second: int = 0) -> int:
        """Time of a minute and second of the story, milliseconds since the epoch."""
        return self.start_ms + minute * MINUTE + second * 1_000

    def mark(self, minute: int, feed: str, line: bytes, second: int = 0) -> Event:
        """The event at that minute and second."""
        return Event(self.at(minute, second), feed, line, self.name)


_RHYTHM = (
    0.05, 0.05, 0.05, 0.05, 0.08, 0.15, 0.35, 0.7, 0.95, 1.0, 0.95, 0.85,
    0.6, 0.8, 0.95, 0.9, 0.75, 0.45, 0.25, 0.18, 0.12, 0.1, 0.08, 0.05,
)  # fmt: skip
"""Share of full activity per hour of the day, UTC."""


def outside(rng: random.Random, network: str = "198.51.100") -> str:
    """An address of a documentation network (RFC 5737), for strangers."""
    return f"{network}.{rng.randrange(30, 250)}"


def inside(host: str) -> str:
    """Inside address of a host of the estate."""
    return ADDRESS[host]
