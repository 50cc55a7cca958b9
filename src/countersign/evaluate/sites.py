"""Simulated sites: does the certified threshold keep its promise where a tuned one breaks it? (design: triage.md 3)

A site's scores are a mixture of routine noise and of the rest, and a finding of score z (log-odds that the model claims) is
a threat with probability floor + (1 - floor) * sigmoid(z + bias): the model is off by a bias of the site's own, and some
sites hide threats among the lowest scores (floor). Since this truth is known, so is the true share of threats among what a
threshold would close, by quadrature and without further chance. Nothing here is measured on real alerts.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from countersign.autonomy.bounds import ALPHA_PPM, DELTA_PPM
from countersign.autonomy.threshold import fixed_sequence, grid, naive_threshold_without_any_guarantee
from countersign.evaluate import streams
from countersign.model.verdicts import PPM
from countersign.triage.model import HARD_CAP_PPM

Floats = npt.NDArray[np.float64]

SCALE = 1_000_000
"""Scores are whole micro-logits."""
CAP = round(SCALE * math.log(HARD_CAP_PPM / (PPM - HARD_CAP_PPM)))
TRAINING = 4_000
SEED = 20_250_601

_AXIS: Floats = np.arange(-18.0, 14.0, 0.004)


@dataclass(frozen=True, slots=True)
class World:
    """How sites are drawn, uniformly within (low, high); log-uniformly for reviewed and the floors. routine: share of
    routine noise. *_at, *_spread: mean and standard deviation of the scores. bias: standard deviation between sites.
    hiding: share of sites with a floor from ``floor_hiding``."""

    title: str
    rest_at: tuple[float, float]
    rest_spread: tuple[float, float]
    routine: tuple[float, float] = (0.5, 0.95)
    routine_at: tuple[float, float] = (-10.0, -8.0)
    routine_spread: tuple[float, float] = (0.5, 1.0)
    bias: float = 0.5
    reviewed: tuple[float, float] = (5_000, 30_000)
    floor: tuple[float, float] = (1e-6, 1e-4)
    floor_hiding: tuple[float, float] = (1e-3, 2e-2)
    hiding: float = 0.1


WORLDS = {
    "sharp": World("the score tells routine from the rest", (1.0, 4.0), (0.8, 1.5)),
    "blurred": World("much of the rest looks like routine", (-1.0, 2.0), (1.0, 2.0)),
    "hopeless": World(
        "at every score just above the promise", (1.0, 4.0), (0.8, 1.5), floor_hiding=(0.0101, 0.011), hiding=1.0
    ),
}
"""The first is what the acceptance figures are measured on. In the second a tuned threshold closes more, by letting safe
findings pay for risky bands; in the third the promise can only be kept by closing nothing."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Per site: true share closed and true share of threats among the closed, ours and tuned; 0 where nothing closed."""

    ours_share: Floats
    ours_risk: Floats
    tuned_share: Floats
    tuned_risk: Floats


@dataclass(frozen=True, slots=True)
class _Site:
    routine: float
    at: tuple[float, float]
    spread: tuple[float, float]
    bias: float
    floor: float
    reviewed: int

    def scores(self, rng: np.random.Generator, count: int) -> Floats:
        kind = (rng.random(count) >= self.routine).astype(np.intp)
        return rng.normal(np.asarray(self.at)[kind], np.asarray(self.spread)[kind])

    def risk(self, z: Floats) -> Floats:
        return np.asarray(self.floor + (1 - self.floor) / (1 + np.exp(-(z + self.bias))))

    def truth(self) -> Callable[[int | None], tuple[float, float]]:
        """Threshold → (share closed, share of threats among the closed)."""
        parts = [np.exp(-(((_AXIS - m) / s) ** 2) / 2) for m, s in zip(self.at, self.spread, strict=True)]
        density = self.routine * parts[0] / parts[0].sum() + (1 - self.routine) * parts[1] / parts[1].sum()
        closed, missed = np.cumsum(density), np.cumsum(density * self.risk(_AXIS))

        def at(threshold: int | None) -> tuple[float, float]:
            if threshold is None:
                return 0.0, 0.0
            i = min(len(_AXIS) - 1, int(np.searchsorted(_AXIS, threshold / SCALE)))
            return float(closed[i]), float(missed[i] / closed[i])

        return at


def simulate(world: World, sites: int, seed: int = SEED) -> Outcome:
    """Draw sites, set both thresholds on the same reviewed findings, and look up what is true of them."""
    rng = np.random.default_rng(seed)
    rows = [_one(rng, _draw(rng, world)) for _ in range(sites)]
    return Outcome(*np.asarray(rows).T)


def _draw(rng: np.random.Generator, world: World) -> _Site:
    floor = world.floor_hiding if rng.random() < world.hiding else world.floor
    return _Site(
        routine=rng.uniform(*world.routine),
        at=(rng.uniform(*world.routine_at), rng.uniform(*world.rest_at)),
        spread=(rng.uniform(*world.routine_spread), rng.uniform(*world.rest_spread)),
        bias=rng.normal(0, world.bias),
        floor=_log_uniform(rng, *floor),
        reviewed=int(_log_uniform(rng, *world.reviewed)),
    )


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return math.exp(rng.uniform(math.log(low), math.log(high)))


def _one(rng: np.random.Generator, site: _Site) -> tuple[float, float, float, float]:
    edges = grid(_whole(site.scores(rng, TRAINING)), cap=CAP)
    z = site.scores(rng, site.reviewed)
    scores, threats = _whole(z), rng.random(len(z)) < site.risk(z)
    truth = site.truth()
    ours = truth(fixed_sequence(scores, threats, edges, cap=CAP).threshold)
    return *ours, *truth(naive_threshold_without_any_guarantee(scores, threats))


def _whole(z: Floats) -> npt.NDArray[np.int64]:
    return np.rint(z * SCALE).astype(np.int64)


def summary(found: Outcome) -> dict[str, Any]:
    """Counts, shares in ppm, and 95 % Clopper-Pearson intervals of the rates."""
    limit, sites = ALPHA_PPM / PPM, len(found.ours_share)
    ours, tuned = found.ours_share > 0, found.tuned_share > 0
    broken = found.ours_risk > limit
    return {
        "sites": sites,
        "closed_anything": int(ours.sum()),
        "broken": streams.rate(int(broken.sum()), int(ours.sum())),
        "broken_of_all": streams.rate(int(broken.sum()), sites),
        "tuned_broken": streams.rate(int((found.tuned_risk > limit).sum()), int(tuned.sum())),
        "share_closed_ppm": _median_ppm(found.ours_share),
        "tuned_share_closed_ppm": _median_ppm(found.tuned_share),
        "paired_difference_ppm": _median_ppm(found.tuned_share - found.ours_share),
    }


def _median_ppm(values: Floats) -> int:
    return round(PPM * float(np.median(values)))


def evaluate(sites: int, seed: int = SEED) -> dict[str, Any]:
    """Everything that ``countersign evaluate sites`` prints: the worlds, the review streams, and the checks."""
    worlds = {name: {"title": w.title, **summary(simulate(w, sites, seed))} for name, w in WORLDS.items()}
    stream = streams.measure(sites, seed)
    head = {"alpha_ppm": ALPHA_PPM, "delta_ppm": DELTA_PPM, "seed": seed}
    return {**head, "worlds": worlds, "streams": stream, "checks": checks(worlds, stream)}


def checks(worlds: dict[str, Any], stream: dict[str, Any]) -> list[dict[str, Any]]:
    """The acceptance figures: name, value, limit, whether held. Shares in ppm. False certificates come as near to delta
    as they may (nothing is given away), so that only the interval's low end can tell a fault from chance."""
    sharp, hopeless = worlds["sharp"], worlds["hopeless"]
    gap = sharp["tuned_share_closed_ppm"] - sharp["share_closed_ppm"]
    alarms = (stream["false_alarms"], stream["false_alarms_sampled"])
    certificates = (stream["false_certificates"], stream["false_certificates_sampled"])
    return [
        _at_most("promise broken, of sites that closed anything", sharp["broken"]["ppm"], DELTA_PPM),
        _at_most("promise broken, of all sites, hopeless world", hopeless["broken_of_all"]["ppm"], DELTA_PPM),
        _more_than("promise broken by a tuned threshold", sharp["tuned_broken"]["ppm"], 300_000),
        _at_most("median share closed, below that of the tuned", gap, 30_000),
        _at_most("false alarms at risk alpha", max(a["ppm"] for a in alarms), DELTA_PPM),
        _at_most("false certificates at risk alpha, low end", max(c["low_ppm"] for c in certificates), DELTA_PPM),
        _at_most("reviews until a jump is noticed, median", stream["jump_noticed_reviews"], 110),
        _at_most("clean reviews until the certificate", stream["clean_reviews"], 370),
    ]


def _at_most(name: str, value: int, limit: int) -> dict[str, Any]:
    return {"check": name, "value": value, "limit": limit, "at": "most", "held": value <= limit}


def _more_than(name: str, value: int, limit: int) -> dict[str, Any]:
    return {"check": name, "value": value, "limit": limit, "at": "more than", "held": value > limit}
