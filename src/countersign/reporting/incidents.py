"""NIST SP 800-61r3 (incident response, CSF 2.0 profile), RS.AN-06 and RS.AN-07; ISO/IEC 42001:2023, A.6.2.8."""

from __future__ import annotations

from countersign.model.entries import Kind
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
                Ask(
                    "people worked on cases", (Kind.CASE_ASSIGNED, Kind.CASE_DISPOSED, Kind.CASE_REOPENED, Kind.CASE_MERGED)
                ),
                Ask("agents looked things up and decided under leases", (Kind.LEASE_ISSUED,)),
                Ask("responses were proposed", (Kind.PROPOSAL_CREATED,)),
                apart,
                Ask(
                    "responses were carried out and probed",
                    (Kind.ACTION_INTENDED, Kind.ACTION_STARTED, Kind.ACTION_PROBED, Kind.ACTION_LEFT),
                ),
                authors,
                coverage,
            ),
        ),
        Part(
            "RS.AN-07",
            "RS.AN-07: incident data and metadata are collected, with integrity and provenance",
            "Data and metadata of incidents are collected, and their integrity and provenance are preserved.",
            (
                Ask("raw messages were collected, each with source and SHA-256", (Kind.ALERT_RECEIVED,)),
                Ask("what could not be read was kept", (Kind.ALERT_QUARANTINED,)),
                Ask("what each decision rests on was committed to", (Kind.FINDING_DECIDED,)),
                Ask("the inventory that data was read against was recorded", (Kind.INVENTORY_IMPORTED,)),
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
                Ask("decisions were logged while the system was in use", (Kind.FINDING_DECIDED,)),
                Ask("models and policies were put in force", (Kind.MODEL_ACTIVATED, Kind.POLICY_ACTIVATED)),
                Ask("models were trained and measured", (Kind.MODEL_PROPOSED,)),
                Ask(
                    "autonomy changed",
                    (Kind.AUTONOMY_PROMOTED, Kind.AUTONOMY_DEMOTED, Kind.AUTONOMY_HALTED, Kind.AUTONOMY_RESTARTED),
                ),
                Ask(
                    "the system was stopped or allowed again",
                    (Kind.AUTONOMY_STOPPED, Kind.AUTONOMY_RESUMED, Kind.AGENT_STOPPED, Kind.AGENT_RESUMED),
                ),
                authors,
            ),
        ),
    ),
)
