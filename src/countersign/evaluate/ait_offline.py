"""Offline table of AIT-ADS, each network by models that never saw it: alert-name prior, LightGBM, ours.

The name prior is the floor: what is known of an alert by its name alone. LightGBM with the features, weights and settings
that ours is trained with, free of directions, caps and additive terms, is the ceiling that an additive model is to reach.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from countersign.evaluate import learn, metrics, trainer
from countersign.evaluate.ait_prior import Learned
from countersign.evaluate.ait_stream import Stream
from countersign.evaluate.datasets import DNS_TUNNEL, Network
from countersign.model.verdicts import PICO, PPM

MODELS = ("name_prior", "lightgbm", "ours")


@dataclass(frozen=True, slots=True)
class Scored:
    """One network: the truth per finding, and each model's scores (above 0: called a threat)."""

    network: str
    steps: tuple[str, ...]
    scores: dict[str, tuple[int, ...]]


def score(stream: Stream, network: Network, learned: Learned, training: Sequence[tuple[Stream, Network]]) -> Scored:
    """All three models on one network. training: the networks that they learn from. Raises EnvironmentFault."""
    rows = [row for row in network.rows if row.last]
    names = {found.id: found.name for found in stream.found}
    values = [row.values for row in rows]
    boosted = _boosted([one for _, one in training]).predict(trainer.table(values, capped=False), raw_score=True)
    scores = {
        "name_prior": _by_name([names[row.finding] for row in rows], [one for one, _ in training]),
        "lightgbm": tuple(round(float(logit) * PICO) for logit in boosted),
        "ours": tuple(int(s) for s in learned.model.score_rows(values)[0]),
    }
    return Scored(stream.name, tuple(row.step for row in rows), scores)


def _by_name(names: Sequence[str], training: Sequence[Stream]) -> tuple[int, ...]:
    """Share of threats among findings of the name, smoothed by one of each; names never met are called benign."""
    seen: Counter[str] = Counter()
    threats: Counter[str] = Counter()
    for stream in training:
        for found in stream.found:
            seen[found.name] += 1
            threats[found.name] += bool(found.step)
    return tuple((threats[n] + 1) * PPM // (seen[n] + 2) - PPM // 2 if seen[n] else -PPM // 2 for n in names)


def _boosted(training: Sequence[Network]) -> trainer.Machine:
    """The booster that ours is trained with, free to use the features as it likes."""
    rows = [row for network in training for row in network.rows]
    weights = [weight for network in training for weight in learn.weigh(network.rows)]
    return trainer.train([row.values for row in rows], [bool(row.step) for row in rows], weights, additive=False)


def summary(scored: Sequence[Scored]) -> dict[str, Any]:
    """Macro-F1 pooled over findings (with and without the DNS tunnel) and per network, and attack steps found."""
    steps = [step for one in scored for step in one.steps]
    pooled = {model: [s for one in scored for s in one.scores[model]] for model in MODELS}
    return {
        "macro_f1": {model: _f1(pooled[model], steps, tunnel=True) for model in MODELS},
        "macro_f1_without_dnsteal": {model: _f1(pooled[model], steps, tunnel=False) for model in MODELS},
        "networks": {one.network: _of_network(one) for one in scored},
        "by_step": {model: _steps(scored, model) for model in MODELS},
    }


def _of_network(one: Scored) -> dict[str, dict[str, float]]:
    return {
        model: {
            "all": _f1(one.scores[model], one.steps, tunnel=True),
            "without_dnsteal": _f1(one.scores[model], one.steps, tunnel=False),
            "dnsteal_found": _share([s > 0 for s, t in zip(one.scores[model], one.steps, strict=True) if t == DNS_TUNNEL]),
        }
        for model in MODELS
    }


def _f1(scores: Sequence[int], steps: Sequence[str], *, tunnel: bool) -> float:
    kept = [i for i, step in enumerate(steps) if tunnel or step != DNS_TUNNEL]
    return metrics.macro_f1_ppm([scores[i] > 0 for i in kept], [bool(steps[i]) for i in kept]) / PPM


def _share(said: Sequence[bool]) -> float:
    return round(sum(said) / len(said), 6) if said else 0.0


def _steps(scored: Sequence[Scored], model: str) -> dict[str, Any]:
    """An attack step of a network is found when any finding of it is called a threat."""
    every = {(one.network, step) for one in scored for step in one.steps if step}
    found = {
        (one.network, step) for one in scored for s, step in zip(one.scores[model], one.steps, strict=True) if step and s > 0
    }
    return {"steps": len(every), "found": len(found), "not_found": [f"{n}: {s}" for n, s in sorted(every - found)]}
