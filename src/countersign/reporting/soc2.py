"""SOC 2: common criteria on access (CC6), on detection and response (CC7), as far as this log can speak for them.

AICPA, Trust Services Criteria (2017, points of focus 2022). The criteria are named, and said in our own words.
"""

from __future__ import annotations

from countersign.model.entries import Kind as K
from countersign.reporting.articles import Article, Ask, Part, apart, coverage

CC61 = Part(
    "CC6.1",
    "CC6.1 Logical access: who and what is let in, and how it is told apart",
    "Access to protected information is restricted: people, software and keys are identified and authenticated before they get in.",
    (
        Ask(
            "people’s keys and passkeys were enrolled or taken back",
            (K.PERSON_ENROLLED, K.PASSKEY_ENROLLED, K.PASSKEY_REVOKED, K.PERSON_INVITED),
        ),
        Ask("people signed in or were signed out", (K.PERSON_SIGNED_IN, K.PERSON_SIGNED_OUT)),
        Ask("tokens of tools and programs were issued or revoked", (K.TOKEN_ISSUED, K.TOKEN_REVOKED)),
        Ask("every agent has an identity and a key of its own", (K.AGENT_REGISTERED,)),
        Ask("agents work under leases for one task, which end by themselves", (K.LEASE_ISSUED,)),
        Ask("a use that no lease covered was refused", (K.LEASE_REFUSED,)),
    ),
)
CC63 = Part(
    "CC6.3",
    "CC6.3 Rights: granted, changed and taken back by role, and duties kept apart",
    "Access follows roles and least privilege; it is granted, changed and removed by somebody authorised, and duties are separated.",
    (
        Ask("roles were granted or taken back", (K.ROLE_GRANTED, K.ROLE_REVOKED)),
        Ask("people’s right to approve was taken back", (K.PERSON_REVOKED,)),
        Ask("changes of rights, policy, models or autonomy were put before people", (K.CHANGE_PROPOSED,)),
        Ask("such changes were refused", (K.CHANGE_DENIED,)),
        apart,
        Ask("agents were stopped, retired or allowed again", (K.AGENT_STOPPED, K.AGENT_RETIRED, K.AGENT_RESUMED)),
        Ask("leases were taken back before they ended", (K.LEASE_REVOKED,)),
    ),
)
CC72 = Part(
    "CC7.2",
    "CC7.2 Monitoring: what the tools reported was watched for anomalies",
    "System components are monitored for signs of malicious acts, disasters and errors, and anomalies are analysed.",
    (
        Ask("messages of the site’s tools were received, each with its SHA-256", (K.ALERT_RECEIVED,)),
        Ask("messages that could not be read were kept rather than dropped", (K.ALERT_QUARANTINED, K.ALERT_RESUBMITTED)),
        Ask("findings were scored and decided", (K.FINDING_DECIDED,)),
        Ask(
            "the monitoring watched itself: alarms, detected changes and steps back of the agent’s autonomy",
            (K.AUTONOMY_HALTED, K.AUTONOMY_DEMOTED, K.AUTONOMY_RESTARTED, K.AUTONOMY_ACKNOWLEDGED),
        ),
    ),
)
CC73 = Part(
    "CC7.3",
    "CC7.3 Evaluation: whether an event is an incident",
    "Security events are evaluated to find out whether they could or did keep the entity from meeting its objectives.",
    (
        Ask("findings were put before a person, with the reason", (K.FINDING_DECIDED,), b'"action":"escalate"'),
        Ask("findings were closed by the agent, with every condition that held", (K.FINDING_DECIDED,), b'"action":"close"'),
        Ask("people said what a case was", (K.CASE_DISPOSED,)),
        Ask("people reviewed closes blind", (K.REVIEW_ANSWERED,)),
        Ask("closed cases were taken up again, or closes taken back", (K.CASE_REOPENED, K.RECALL_OPENED)),
    ),
)
CC74 = Part(
    "CC7.4",
    "CC7.4 Response: what was done about incidents",
    "Identified incidents are responded to by a defined programme: contained, remediated, and communicated.",
    (
        Ask("cases were found to be true incidents", (K.CASE_DISPOSED,), b'"disposition":"true_positive"'),
        Ask("responses were put before people", (K.PROPOSAL_CREATED,)),
        apart,
        Ask("responses were refused or ended unanswered", (K.PROPOSAL_DENIED, K.PROPOSAL_EXPIRED, K.PROPOSAL_OUTDATED)),
        Ask("an intent was sealed before anything was done", (K.ACTION_INTENDED, K.ACTION_STARTED)),
        Ask("the target was asked from outside whether the effect holds", (K.ACTION_PROBED,)),
        Ask("a response was left to a person", (K.ACTION_LEFT,)),
    ),
)
CC75 = Part(
    "CC7.5",
    "CC7.5 Recovery: what was put back, and what was learnt",
    "The environment is restored after incidents, and changes keep them from happening again.",
    (
        Ask("taking a response back was proposed", (K.PROPOSAL_CREATED,), b'"undoes":'),
        Ask("what rested on the same reason as a miss was taken back", (K.RECALL_OPENED,)),
        Ask(
            "policy or model changed afterwards",
            (K.POLICY_ACTIVATED, K.MODEL_ACTIVATED, K.MODEL_PROPOSED),
        ),
        Ask("autonomy was narrowed", (K.AUTONOMY_STOPPED, K.AUTONOMY_DEMOTED, K.AUTONOMY_HALTED)),
        coverage,
    ),
)
SOC2 = Article(
    "soc2",
    "SOC 2: what this log shows for CC6.1, CC6.3, CC7.2, CC7.3, CC7.4 and CC7.5",
    (
        "This is evidence for a service auditor, who decides what it is worth. It is no SOC 2 report and no opinion on controls.",
        "It speaks for this product alone; what the entity does elsewhere is not in its log.",
    ),
    (CC61, CC63, CC72, CC73, CC74, CC75),
)
