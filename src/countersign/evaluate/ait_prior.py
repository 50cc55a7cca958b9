"""The prior model that a network of AIT-ADS would meet on its first day: trained and calibrated without it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from countersign.evaluate import learn
from countersign.evaluate.ait_stream import Stream
from countersign.evaluate.datasets import Network, Row
from countersign.triage.calibrate import envelope
from countersign.triage.model import Model


@dataclass(frozen=True, slots=True)
class Learned:
    """A model ready to score and what it was trained on."""

    model: Model
    fit: learn.Fit


def network_of(stream: Stream) -> Network:
    """The stream as ``learn`` takes it: a row per touch of a finding."""
    touches = [touch for batch in stream.batches for touch in batch.touches]
    last = {touch.finding: i for i, touch in enumerate(touches)}
    rows = tuple(
        Row(stream.found[t.finding].id, t.values, stream.found[t.finding].step, last[t.finding] == i)
        for i, t in enumerate(touches)
    )
    steps = {found.id: found.step for found in stream.found if found.step}
    return Network(stream.name, stream.sha256, stream.alerts, rows, steps)


def prior(networks: Sequence[Network]) -> Learned:
    """Trained on all of these, calibrated by the envelope over leaving each of them out, as ``learn`` does."""
    calibrations = []
    for network in networks if len(networks) > 1 else ():
        apart = learn.fit([other for other in networks if other is not network])
        rows = [row for row in network.rows if row.last]
        calibrations.append(learn.calibration_of(list(zip(rows, apart.scores([r.values for r in rows]), strict=True))))
    fitted = learn.fit(networks)
    return Learned(Model.from_bytes(learn.pack(learn.assemble(fitted, envelope(calibrations), networks))), fitted)
