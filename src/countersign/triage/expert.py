"""Terms that people set, because the training data hold no such facts (docs/decisions/0003-expert-terms.md).

Log-odds are in thousandths here, so that the table reads easily; one logit multiplies the odds by 2.7. Every table but
the two review shares, which people's own dispositions fill, and severity, which the tool sets, only adds: an attacker
who writes more into an alert cannot lower its score (P10).
"""

from __future__ import annotations

from countersign.model.verdicts import PICO
from countersign.triage.terms import NumericTerm

ORIGIN = "expert"
_MILLI = PICO // 1000

_TABLES: tuple[tuple[str, str, tuple[int, ...], tuple[int, ...]], ...] = (
    (
        "actors",
        "several sources against one target at once: spraying or a distributed attack",
        (3, 10),
        (0, 200, 400),
    ),
    (
        "severity",
        "the tool's own grade; steps of the order of one analyst's re-ranking, below the learnt terms' range",
        (1, 2, 3, 4, 5),
        (0, -400, -100, 300, 900, 1500),
    ),
    (
        "tactic_stage",
        "the further along the kill chain, the less room for a benign reading and the less time left",
        (2, 6, 9, 12),
        (0, 200, 300, 500, 800),
    ),
    (
        "tactics_in_case",
        "detections of three different stages on linked entities are a chain, which routine noise does not form",
        (2, 3, 4),
        (0, 400, 1500, 1800),
    ),
    (
        "asset_criticality",
        "equal evidence on a critical asset deserves a person sooner",
        (3, 4),
        (0, 300, 700),
    ),
    (
        "identity_criticality",
        "equal evidence on a privileged account deserves a person sooner",
        (3, 4),
        (0, 300, 700),
    ),
    (
        "ti_hits",
        "named by threat intelligence: strong, but lists hold stale and shared infrastructure",
        (1, 2),
        (0, 1200, 1500),
    ),
    (
        "off_hours",
        "fewer people work, so less routine explains it; weak, because jobs run at night",
        (1,),
        (0, 150),
    ),
    (
        "pattern_share_ppm",
        "the site's own reviews of this very pattern; smoothed, so three benign reviews weigh little and thirty more",
        (50_000, 150_000, 300_000, 600_000, 800_000),
        (-1500, -900, -400, 0, 600, 1200),
    ),
    (
        "rule_share_ppm",
        "the site's own reviews of this rule in any pattern: half the weight of the pattern's",
        (50_000, 150_000, 300_000, 600_000, 800_000),
        (-700, -400, -200, 0, 300, 600),
    ),
)


def expert_terms() -> tuple[NumericTerm, ...]:
    """One term per table; "never or not known" adds nothing."""
    return tuple(
        NumericTerm(feature, ORIGIN, reason, edges, tuple(score * _MILLI for score in scores), 0)
        for feature, reason, edges, scores in _TABLES
    )
