"""NIST SP 800-61r3 (incident response, CSF 2.0 profile), RS.AN-06 and RS.AN-07; ISO/IEC 42001:2023, A.6.2.8."""

from __future__ import annotations

from countersign.model.entries import Kind as K
from countersign.reporting.articles import Article, Ask, Part, apart, authors, coverage

NIST = Article(
    "nist-800-61r3",
    "NIST SP 800-61r3: what this log shows for RS.AN-06 and RS.AN-07",
    ("This maps entries to two outcomes of the profile. It is not an assessment of an incident response programme.",),
    (
        Part(
            "RS.AN-06",
            "RS.AN-06: what was done during an investigation is recorded, with integrity and provenance",
            "Actions during an investigation are recorded, and the records’ integrity and provenance are preserved.",
            (
                Ask("people worked on cases", (K.CASE_ASSIGNED, K.CASE_DISPOSED, K.CASE_REOPENED, K.CASE_MERGED)),
                Ask("agents looked things up and decided under leases", (K.LEASE_ISSUED,)),
                Ask("responses were proposed", (K.PROPOSAL_CREATED,)),
                apart,
                Ask("responses were carried out and probed", (K.ACTION_INTENDED, K.ACTION_STARTED, K.ACTION_PROBED, K.ACTION_LEFT)),
                authors,
                coverage,
            ),
        ),
        Part(
            "RS.AN-07",
            "RS.AN-07: incident data and metadata are collected, with integrity and provenance",
            "Data and metadata of incidents are collected, and their integrity and provenance are preserved.",
            (
                Ask("raw messages were collected, each with source and SHA-256", (K.ALERT_RECEIVED,)),
                Ask("what could not be read was kept", (K.ALERT_QUARANTINED,)),
                Ask("what each decision rests on was committed to", (K.FINDING_DECIDED,)),
                Ask("the inventory that data was read against was recorded", (K.INVENTORY_IMPORTED,)),
                coverage,
            ),
        ),
    ),
)
ISO = Article(
    "iso-42001",
    "ISO/IEC 42001: what this log shows for A.6.2.8",
    ("This maps entries to one control of Annex A. It is neither a statement of applicability nor a certificate.",),
    (
        Part(
            "A.6.2.8",
            "A.6.2.8: event logs of the AI system",
            "It is settled in which phases of its life an AI system keeps event logs, at least while it is in use.",
            (
                coverage,
                Ask("decisions were logged while the system was in use", (K.FINDING_DECIDED,)),
                Ask("models and policies were put in force", (K.MODEL_ACTIVATED, K.POLICY_ACTIVATED)),
                Ask("models were trained and measured", (K.MODEL_PROPOSED,)),
                Ask("autonomy changed", (K.AUTONOMY_PROMOTED, K.AUTONOMY_DEMOTED, K.AUTONOMY_HALTED, K.AUTONOMY_RESTARTED)),
                Ask("the system was stopped or allowed again", (K.AUTONOMY_STOPPED, K.AUTONOMY_RESUMED, K.AGENT_STOPPED, K.AGENT_RESUMED)),
                authors,
            ),
        ),
    ),
)
