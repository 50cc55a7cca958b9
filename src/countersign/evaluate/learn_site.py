"""``countersign learn`` on a site: a candidate from the site's own labels, measured against the model in force.

Time-ordered folds of whole cases, never random ones (triage.md section 7). The newest fold is the test: nothing in the
candidate comes from it, and the candidate that was measured is, byte for byte, the one that is proposed. Calibration and
the choice whether text is read rest on scores of folds that were still to come when their model was fitted.
"""

from __future__ import annotations

import hashlib
import math
import pkgutil
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import Any

import msgspec

from countersign import __version__
from countersign.autonomy.bounds import reviews_needed
from countersign.autonomy.threshold import grid
from countersign.errors import ConflictError
from countersign.evaluate import learn_terms, learn_text
from countersign.evaluate.learn import pack
from countersign.evaluate.learn_compare import compare, log_loss
from countersign.evaluate.learn_labels import Example, snapshot
from countersign.evaluate.metrics import summary
from countersign.model.findings import by_chance
from countersign.model.verdicts import PICO, PPM, Label
from countersign.triage.calibrate import Calibration, calibrate
from countersign.triage.features import FEATURES
from countersign.triage.model import FORMAT, HARD_CAP_PPM, NEVER, CalibrationTable, Document, Model, label
from countersign.triage.terms import Term
from countersign.triage.text import Reader, TextPart

FOLDS = 5
LABELS_MIN = reviews_needed()
THREATS_MIN, TESTED_THREATS_MIN = 8, 2
"""Fewest threats in all, and cases with one in the newest fold; below, no figure would mean anything."""
CASE_FINDINGS_MAX = 25
"""Most findings that one case may weigh, in training as in the calibration: one noisy case is still one judgement."""
TEXT_FINDINGS_MIN, TEXT_FINDINGS_MAX = 200, 20_000
"""Fewest findings with text worth reading, and most, the newest, that the text part is fitted to."""
TEXT_CHARS_MIN = 20
TEXT_GAIN_PPM = 10_000
"""Text is read only when it lowers the log-loss of folds to come by 1 % at least."""
SEED = 7
_UNKNOWN = CalibrationTable(0, 0, (), (0,), (), (PPM,))

Say = Callable[[str], None]
Folds = Sequence[Sequence[Example]]


@dataclass(frozen=True, slots=True)
class Candidate:
    """The model file's bytes, and what the ledger says of it (integers and strings)."""

    data: bytes
    measured: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Fitted:
    """A model before its calibration."""

    intercept: int
    terms: tuple[Term, ...]
    text: TextPart | None

    def scores(self, found: Sequence[Example]) -> list[int]:
        """Scores in pico-logits, text and all."""
        rows = _plain(self.intercept, self.terms).score_rows([one.row for one in found])[0].tolist()
        if self.text is None:
            return [int(score) for score in rows]
        reader = Reader(self.text)
        return [int(score) + reader.pico(one.texts) for score, one in zip(rows, found, strict=True)]


def learn(found: Sequence[Example], current: Model, say: Say = lambda _: None) -> Candidate:
    """Train on all but the newest fold, calibrate, and measure on the newest. Raises ConflictError when the labels are too
    few, EnvironmentFault without the extra ``learn``."""
    training, tested = split(found)
    say(f"{len(found)} labelled findings, {len(tested)} newest set apart as the test")
    with_text, ahead = _ahead(training, say)
    every = [one for fold in training for one in fold]
    fitted = read(fit(every), every) if with_text else fit(every)
    document = _document(fitted, _calibration(ahead), every)
    candidate = Model.from_bytes(pack(document))
    say("candidate fitted; comparing with the model in force")
    return Candidate(pack(document), _measured(candidate, current, found, every, tested))


def split(found: Sequence[Example]) -> tuple[Folds, Sequence[Example]]:
    """(training folds in time order, the newest fold). Cases stay whole and stand where their first decision stands."""
    threats = sum(one.threat for one in found)
    if len(found) < LABELS_MIN or threats < THREATS_MIN or threats == len(found):
        raise _too_few(f"{len(found)} labelled findings, {threats} of them threats; needs {LABELS_MIN} and {THREATS_MIN}")
    cases: dict[str, list[Example]] = {}
    for one in sorted(found, key=lambda each: (each.entry, each.finding)):
        cases.setdefault(one.case, []).append(one)
    ordered = list(cases.values())
    cut = _newest(ordered, len(found))
    training = _parts(ordered[:cut])
    later = sum(one.threat for fold in training[1:] for one in fold)
    if len(training) < FOLDS - 1 or later < TESTED_THREATS_MIN or not any(one.threat for one in training[0]):
        raise _too_few("the threats among the labels lie too close together in time to train before and test after")
    return training, [one for case in ordered[cut:] for one in case]


def _newest(cases: Sequence[Sequence[Example]], total: int) -> int:
    """Where the newest fold begins: a fifth of the findings, more if it takes more to hold threats, at most half."""
    held = threats = bad = 0
    for at in range(len(cases) - 1, -1, -1):
        held += len(cases[at])
        threats += (found := sum(one.threat for one in cases[at]))
        bad += found > 0
        if held * FOLDS >= total and bad >= TESTED_THREATS_MIN and threats < held:
            return at
        if held * 2 > total:
            break
    raise _too_few(f"the newer half of the labels holds fewer than {TESTED_THREATS_MIN} cases with a threat to test with")


def _parts(cases: Sequence[Sequence[Example]]) -> list[list[Example]]:
    """Four folds of about as many findings each, in time order; the first has a threat in it."""
    total = sum(map(len, cases))
    parts: list[list[Example]] = [[]]
    done = 0
    for case in cases:
        full = done * (FOLDS - 1) >= len(parts) * total and any(one.threat for one in parts[0])
        if full and len(parts) < FOLDS - 1:
            parts.append([])
        parts[-1].extend(case)
        done += len(case)
    return parts


def _too_few(what: str) -> ConflictError:
    return ConflictError(f"too little to learn from: {what}", where="learn", todo="dispose of more cases")


def fit(found: Sequence[Example]) -> Fitted:
    """The prior with what these labels add to its terms."""
    prior = Model.load_prior().document
    base = Fitted(prior.intercept, prior.terms, None)
    threats = [one.threat for one in found]
    delta = learn_terms.learn([one.row for one in found], threats, weigh(found), base.scores(found))
    reason = f"the prior, and what {len(found)} labelled findings of this site added"
    return Fitted(prior.intercept + delta.intercept, learn_terms.merge(prior.terms, delta.terms, reason), None)


def read(own: Fitted, found: Sequence[Example]) -> Fitted:
    """The same with what the words of the newest of these say beyond it."""
    newest, weights = found[-TEXT_FINDINGS_MAX:], weigh(found)[-TEXT_FINDINGS_MAX:]
    learnt = learn_text.learn(
        [one.texts for one in newest],
        [one.case for one in newest],
        [one.threat for one in newest],
        weights,
        own.scores(newest),
        f"words in {len(newest)} labelled findings of this site",
    )
    return own if learnt is None else Fitted(own.intercept + learnt.intercept, own.terms, learnt.part)


def weigh(found: Sequence[Example]) -> list[float]:
    """A finding counts once, a case at most its cap."""
    sizes = Counter(one.case for one in found)
    return [min(1.0, CASE_FINDINGS_MAX / sizes[one.case]) for one in found]


Scored = list[tuple[Example, int]]


def _ahead(training: Folds, say: Say) -> tuple[bool, Scored]:
    """(whether text helps, every example of the later folds with the score of the model fitted to all before it)."""
    worth = _enough_text(training)
    plain: Scored = []
    reading: Scored = []
    for at in range(1, len(training)):
        past = [one for fold in training[:at] for one in fold]
        own = fit(past)
        plain.extend(zip(training[at], own.scores(training[at]), strict=True))
        if worth:
            reading.extend(zip(training[at], read(own, past).scores(training[at]), strict=True))
        say(f"fitted to the {len(past)} oldest")
    if not worth:
        say("text is not read: the labelled findings hold too little of it")
        return False, plain
    before, after = _raw_loss(plain), _raw_loss(reading)
    better = after * PPM <= before * (PPM - TEXT_GAIN_PPM)
    verb = "is" if better else "is not"
    say(f"text {verb} read: log-loss of folds to come {after / PPM:.4f} with it, {before / PPM:.4f} without")
    return better, reading if better else plain


def _enough_text(training: Folds) -> bool:
    held = [sum(map(len, one.texts[1:])) >= TEXT_CHARS_MIN for fold in training for one in fold]
    return sum(held) >= TEXT_FINDINGS_MIN


def _raw_loss(scored: Scored) -> int:
    chances = [round(PPM / (1 + math.exp(-max(-40.0, score / PICO)))) for _, score in scored]
    return log_loss(chances, [one.threat for one, _ in scored])


def _calibration(ahead: Scored) -> Calibration:
    """Venn-Abers over scores of folds to come, of each case at most its cap, from any time of it."""
    taken: Counter[str] = Counter()
    scores, threats = [], []
    for one, score in sorted(ahead, key=lambda item: by_chance(item[0].finding)):
        taken[one.case] += 1
        if taken[one.case] <= CASE_FINDINGS_MAX:
            scores.append(score)
            threats.append(one.threat)
    return calibrate(scores, threats)


def _document(fitted: Fitted, found: Calibration, training: Sequence[Example]) -> Document:
    table = CalibrationTable(found.n, found.threats, found.p0.edges, found.p0.values, found.p1.edges, found.p1.values)
    limit = found.largest_score(HARD_CAP_PPM)
    scores = fitted.scores(training)
    benign = [score for score in scores if label(*found.interval(score)) is Label.BENIGN]
    return msgspec.structs.replace(
        _bare(fitted.intercept, fitted.terms),
        calibration=table,
        threshold=NEVER if limit is None else limit,
        edges=grid(benign, cap=max(benign)) if benign else (min(scores),),
        training={"labels": snapshot(training), "prior": Model.load_prior().id},
        settings={
            "terms": learn_terms.SETTINGS | {"rounds": learn_terms.ROUNDS},
            "directions": dict(learn_terms.DIRECTIONS),
            "folds": FOLDS,
            "case_findings_max": CASE_FINDINGS_MAX,
            "calibration": "Venn-Abers over folds to come",
        },
        metrics={"training": summary(scores, [one.threat for one in training])},
        text=fitted.text,
    )


def _bare(intercept: int, terms: tuple[Term, ...]) -> Document:
    return Document(
        format=FORMAT,
        name="site",
        code_version=__version__,
        features=FEATURES,
        intercept=intercept,
        terms=terms,
        calibration=_UNKNOWN,
        threshold=NEVER,
        training={},
        settings={},
        metrics={},
    )


def _plain(intercept: int, terms: tuple[Term, ...]) -> Model:
    return Model.from_bytes(pack(_bare(intercept, terms)))


def _measured(
    candidate: Model, current: Model, found: Sequence[Example], training: Sequence[Example], tested: Sequence[Example]
) -> dict[str, Any]:
    """Body of ``model.proposed`` beside the model itself."""
    text = candidate.document.text
    return {
        "current": current.id,
        "snapshot": snapshot(found),
        "labels": dict(sorted(Counter(one.source for one in found).items())),
        "findings": len(found),
        "cases": len({one.case for one in found}),
        "threats": sum(one.threat for one in found),
        "trained": len(training),
        "tested": len(tested),
        "tested_threats": sum(one.threat for one in tested),
        "text_grams": len(text.buckets) if text is not None else 0,
        "seed": SEED,
        "code": __version__,
        "code_sha256": _code(),
        "trainer": _trainer(),
        "metrics": compare(candidate, current, tested, SEED),
    }


def _code() -> str:
    """SHA-256 over the modules that decide what is learnt, so that two states of one version can be told apart."""
    total = hashlib.sha256()
    for name in ("learn_compare", "learn_labels", "learn_site", "learn_terms", "learn_text", "trainer"):
        total.update(hashlib.sha256(pkgutil.get_data(__package__, f"{name}.py") or b"").digest())
    return total.hexdigest()


def _trainer() -> str:
    """Name and version of the library that fitted the terms."""
    return f"{learn_terms.TRAINER} {metadata.version(learn_terms.TRAINER)}"
