"""Policy files: every policy is taken, wherever it stands, and every mistake names file and line."""

from __future__ import annotations

import cedarpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from countersign.errors import ConfigError
from countersign.policy.shipped import default_texts, schema
from countersign.policy.texts import PolicyTexts, problems, statements

PIECES = [
    "permit (principal, action, resource);",
    'forbid (principal, action, resource) when { context.a == "x;y // not a comment" };',
    '@id("a;b")\npermit (principal, action, resource) unless { context.b == "\\"; " };',
    "permit (\n  principal,\n  action, // which; ever\n  resource\n);",
]


@given(
    st.lists(st.tuples(st.sampled_from(PIECES), st.sampled_from(["", " ", "\n", '\n\n// a; comment " here\n'])), max_size=6)
)
def test_no_policy_is_lost_whatever_stands_between(parts: list[tuple[str, str]]) -> None:
    text = "".join(piece + gap for piece, gap in parts)
    texts = PolicyTexts({"a.cedar": text}, schema())
    assert len(texts.policies) == len(parts) == len(cedarpy.policies_to_pst(text).static_policies)


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("\n\npermit (principal, action, resource) when { context. };", "mine.cedar:3"),
        ("permit (principal, action, resource);\npermit (principal", "mine.cedar:2"),
        ('permit (principal, action == Action::"dance", resource);', "mine.cedar:1"),
        ('permit (principal, action == Action::"close", resource)\nwhen { context.p1_ppm < 3 };', "mine.cedar:1"),
        (
            '@conditions("one")\npermit (principal, action == Action::"propose", resource) when { true } when { true };',
            "mine.cedar:1",
        ),
        ("permit (principal == ?principal, action, resource);", "mine.cedar:1"),
    ],
)
def test_a_mistake_names_file_and_line(text: str, where: str) -> None:
    found = problems(PolicyTexts({**default_texts().files, "mine.cedar": text}, schema()))
    assert {one.where for one in found} == {where}


def test_the_shipped_set_has_none() -> None:
    assert problems(default_texts()) == ()


def test_what_follows_the_last_policy_is_read_too() -> None:
    with pytest.raises(ConfigError, match=r"a\.cedar:2"):
        PolicyTexts({"a.cedar": "permit (principal, action, resource);\nand then"}, schema()).policies  # noqa: B018
    assert list(statements("// only words\n")) == []
