"""SOC 2: common criteria on access (CC6), on detection and response (CC7), as far as this log can speak for them.

AICPA, Trust Services Criteria (2017, points of focus 2022). The criteria are named, and said in our own words.
"""

from __future__ import annotations

from countersign.model.entries import Kind
from countersign.reporting.articles import Article, Ask, Part, apart, coverage

CC61 = Part(
    "CC6.1",
    "CC6.1 Logical access: who and what is let in, and how it is told apart",
    "Access to protected information is restricted: people, software and keys are identified and "
    "authenticated before they get in.",
    (
        Ask(
            "people’s keys and passkeys were enrolled or taken back",
            (Kind.PERSON_ENROLLED, Kind.PASSKEY_ENROLLED, Kind.PASSKEY_REVOKED, Kind.PERSON_INVITED),
        ),
        Ask("people signed in or were signed out", (Kind.PERSON_SIGNED_IN, Kind.PERSON_SIGNED_OUT)),
        Ask("tokens of tools and programs were issued or revoked", (Kind.TOKEN_ISSUED, Kind.TOKEN_REVOKED)),
        Ask("every agent has an identity and a key of its own", (Kind.AGENT_REGISTERED,)),
        Ask("agents work under leases for one task, which end by themselves", (Kind.LEASE_ISSUED,)),
        Ask("a use that no lease covered was refused", (Kind.LEASE_REFUSED,)),
        Ask("the key that signs the log was exchanged, the old one signing for the new one", (Kind.LEDGER_REKEYED,)),
    ),
)
CC63 = Part(
    "CC6.3",
    "CC6.3 Rights: granted, changed and taken back by role, and duties kept apart",
    "Access follows roles and least privilege; it is granted, changed and removed by somebody "
    "authorised, and duties are separated.",
    (
        Ask("roles were granted or taken back", (Kind.ROLE_GRANTED, Kind.ROLE_REVOKED)),
        Ask("people’s right to approve was taken back", (Kind.PERSON_REVOKED,)),
        Ask("changes of rights, policy, models or autonomy were put before people", (Kind.CHANGE_PROPOSED,)),
        Ask("such changes were refused", (Kind.CHANGE_DENIED,)),
        apart,
        Ask("agents were stopped, retired or allowed again", (Kind.AGENT_STOPPED, Kind.AGENT_RETIRED, Kind.AGENT_RESUMED)),
        Ask("leases were taken back before they ended", (Kind.LEASE_REVOKED,)),
    ),
)
CC72 = Part(
    "CC7.2",
    "CC7.2 Monitoring: what the tools reported was watched for anomalies",
    "System components are monitored for signs of malicious acts, disasters and errors, and anomalies are analysed.",
    (
        Ask("messages of the site’s tools were received, each with its SHA-256", (Kind.ALERT_RECEIVED,)),
        Ask(
            "messages that could not be read were kept rather than dropped", (Kind.ALERT_QUARANTINED, Kind.ALERT_RESUBMITTED)
        ),
        Ask("findings were scored and decided", (Kind.FINDING_DECIDED,)),
        Ask(
            "alarms, detected changes or steps back of the agent’s autonomy were recorded",
            (Kind.AUTONOMY_HALTED, Kind.AUTONOMY_DEMOTED, Kind.AUTONOMY_RESTARTED, Kind.AUTONOMY_ACKNOWLEDGED),
        ),
    ),
)
CC73 = Part(
    "CC7.3",
    "CC7.3 Evaluation: whether an event is an incident",
    "Security events are evaluated to find out whether they could or did keep the entity from meeting its objectives.",
    (
        Ask("findings were put before a person, with the reason", (Kind.FINDING_DECIDED,), b'"action":"escalate"'),
        Ask(
            "findings were closed by the agent, with every condition that held", (Kind.FINDING_DECIDED,), b'"action":"close"'
        ),
        Ask("people said what a case was", (Kind.CASE_DISPOSED,)),
        Ask("people reviewed closes blind", (Kind.REVIEW_ANSWERED,)),
        Ask("closed cases were taken up again, or closes taken back", (Kind.CASE_REOPENED, Kind.RECALL_OPENED)),
    ),
)
CC74 = Part(
    "CC7.4",
    "CC7.4 Response: what was done about incidents",
    "Identified incidents are responded to by a defined programme: contained, remediated, and communicated.",
    (
        Ask("cases were found to be true incidents", (Kind.CASE_DISPOSED,), b'"disposition":"true_positive"'),
        Ask("responses were put before people", (Kind.PROPOSAL_CREATED,)),
        apart,
        Ask(
            "responses were refused or ended unanswered",
            (Kind.PROPOSAL_DENIED, Kind.PROPOSAL_EXPIRED, Kind.PROPOSAL_OUTDATED),
        ),
        Ask("an intent was sealed before anything was done", (Kind.ACTION_INTENDED, Kind.ACTION_STARTED)),
        Ask("the target was asked from outside whether the effect holds", (Kind.ACTION_PROBED,)),
        Ask("a response was left to a person", (Kind.ACTION_LEFT,)),
    ),
)
CC75 = Part(
    "CC7.5",
    "CC7.5 Recovery: what was put back, and what was learnt",
    "The environment is restored after incidents, and changes keep them from happening again.",
    (
        Ask("taking a response back was proposed", (Kind.PROPOSAL_CREATED,), b'"undoes":'),
        Ask("what rested on the same reason as a miss was taken back", (Kind.RECALL_OPENED,)),
        Ask(
            "policy or model changed afterwards",
            (Kind.POLICY_ACTIVATED, Kind.MODEL_ACTIVATED, Kind.MODEL_PROPOSED),
        ),
        Ask("autonomy was narrowed", (Kind.AUTONOMY_STOPPED, Kind.AUTONOMY_DEMOTED, Kind.AUTONOMY_HALTED)),
        coverage,
    ),
)
SOC2 = Article(
    "soc2",
    "SOC 2: what this log shows for CC6.1, CC6.3, CC7.2, CC7.3, CC7.4 and CC7.5",
    (
        "This is evidence for a service auditor, who decides what it is worth; it is no SOC 2 report and no opinion.",
        "It speaks for this product alone; what the entity does elsewhere is not in its log.",
    ),
    (CC61, CC63, CC72, CC73, CC74, CC75),
)
