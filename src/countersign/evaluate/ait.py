"""``countersign evaluate ait``: the AIT Alert Data Set, offline and as a new site that lives through it (evaluation.md)."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from countersign.autonomy.bounds import ALPHA_PPM, DELTA_PPM
from countersign.errors import UsageError
from countersign.evaluate import ait_measure, ait_offline
from countersign.evaluate.ait_online import OURS, Choices, Run, play
from countersign.evaluate.ait_prior import network_of, prior
from countersign.evaluate.ait_stream import Stream, read_stream
from countersign.evaluate.datasets import Network, ait_files

NETWORKS_MIN = 2
PLAIN = replace(OURS, plain=True, ask_again=False, postpone=False)
VARIANTS: dict[str, tuple[str, Choices]] = {
    "ours": ("as described", OURS),
    "scopes": ("a scope per tool family, as by default, instead of one for the site", replace(OURS, one_scope=False)),
    "asked_once": ("the gate is asked on arrival only", replace(OURS, ask_again=False, postpone=False)),
    "own_pace": ("people read in order of arrival, not the troubling of a case first", replace(OURS, postpone=False)),
    "all_news": ("a threat counts as trouble however long people know of it", replace(OURS, chronic=False)),
    "no_thin": ("patterns with few reviews mind their own host only", replace(OURS, thin_site=False)),
    "no_role": ("patterns do not tell host roles apart", replace(OURS, by_role=False)),
    "plain": ("average certificate alone", PLAIN),
}
"""What each choice gives: one thing changed at a time."""

Say = Callable[[str], None]
Pair = tuple[Stream, Network]


def evaluate(
    folder: Path, train: Path | None = None, *, variants: bool = False, say: Say = lambda _: None
) -> tuple[dict[str, Any], dict[str, Run]]:
    """Everything the command prints, and our runs by network. Raises UsageError, ConfigError, EnvironmentFault."""
    began = time.process_time()
    tested = _read(folder, say)
    pool = _read(train, say) if train else tested
    for stream, _ in tested:
        if len(_apart(pool, stream)) < NETWORKS_MIN:
            why = f"training needs {NETWORKS_MIN} networks besides {stream.name}"
            raise UsageError(why, where=str(train or folder), todo="add another file")
    scored, networks, runs = [], [], {}
    compared: dict[str, list[dict[str, Any]]] = {name: [] for name in VARIANTS} if variants else {}
    for stream, network in tested:
        training = _apart(pool, stream)
        learned = prior([one for _, one in training])
        scored.append(ait_offline.score(stream, network, learned, training))
        runs[stream.name] = run = play(stream, learned.model, learned.model.edges)
        plain = ait_measure.measure(play(stream, learned.model, learned.model.edges, PLAIN))
        networks.append(ait_measure.measure(run) | {"plain_average": ait_measure.brief(plain)})
        for name, rows in compared.items():
            rows.append(ait_measure.measure(play(stream, learned.model, learned.model.edges, VARIANTS[name][1])))
        say(f"{stream.name}: {ait_measure.line(networks[-1])} ({time.process_time() - began:.0f} s)")
    found = {
        "alpha_ppm": ALPHA_PPM,
        "delta_ppm": DELTA_PPM,
        "networks": networks,
        "all": ait_measure.total(networks),
        "offline": ait_offline.summary(scored),
        "goals": ait_measure.goals(networks, ait_offline.summary(scored)),
        "seconds": round(time.process_time() - began, 1),
    }
    if compared:
        found["choices"] = {name: {"what": VARIANTS[name][0]} | ait_measure.total(rows) for name, rows in compared.items()}
    return found, runs


def _apart(pool: list[Pair], tested: Stream) -> list[Pair]:
    """What may be learnt from: never the network that is tested, whatever folder it lies in and however it is packed."""
    return [pair for pair in pool if pair[0].found != tested.found]


def _read(folder: Path, say: Say) -> list[Pair]:
    pairs = []
    for path in ait_files(folder):
        stream = read_stream(path)
        say(f"{stream.name}: {stream.alerts} alerts, {len(stream.found)} findings")
        pairs.append((stream, network_of(stream)))
    return pairs
