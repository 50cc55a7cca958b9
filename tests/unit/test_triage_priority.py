"""Rank of a case: a sum of few parts, each in words, that only ever adds to the score of the top finding."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from countersign.model.alerts import Severity
from countersign.model.verdicts import PICO
from countersign.triage.priority import parts, rank
from countersign.triage.tactics import KILL_CHAIN

PICOS = st.integers(-20 * PICO, 20 * PICO)
STAGES = st.sets(st.sampled_from(KILL_CHAIN))
TOOLS = st.sets(st.sampled_from(["Wazuh", "Suricata", "EDR", "Mail", "IdP"]))
GRADES = st.sampled_from(list(Severity))


@given(PICOS, STAGES, TOOLS, GRADES)
def test_rank_is_the_sum_of_its_parts_and_never_below_the_score(
    pico: int, stages: set[str], tools: set[str], grade: Severity
) -> None:
    found = parts(pico, stages, tools, grade)
    assert rank(pico, stages, tools, grade) == sum(part.pico for part in found)
    assert found[0].pico == pico
    assert all(part.pico > 0 and part.words for part in found[1:])
    assert 0 <= rank(pico, stages, tools, grade) - pico <= 4 * PICO


@given(PICOS, STAGES, STAGES, TOOLS, TOOLS, GRADES, GRADES)
def test_more_of_anything_never_lowers_the_rank(
    pico: int, stages: set[str], more_stages: set[str], tools: set[str], more_tools: set[str], a: Severity, b: Severity
) -> None:
    less = rank(pico, stages, tools, min(a, b))
    assert less <= rank(pico, stages | more_stages, tools | more_tools, max(a, b))
    assert rank(pico + 1, stages, tools, a) == rank(pico, stages, tools, a) + 1


def test_one_detection_of_one_tool_adds_only_what_the_tool_says() -> None:
    assert rank(5, {"TA0001"}, {"Wazuh"}, Severity.LOW) == 5
    words = [part.words for part in parts(5, {"TA0001", "TA0008", "TA0010"}, {"Wazuh", "EDR"}, Severity.HIGH)]
    assert words[1:] == ["3 stages of an attack", "2 tools agree", "highest severity high"]
