"""A request survives its document: read back from JSON it is the same, and what is no request is refused in one line."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countersign.errors import UsageError
from countersign.policy import documents
from countersign.policy.engine import Request, Uid

text = st.text(max_size=12)
values = st.recursive(
    st.booleans() | st.integers(-(2**63), 2**63 - 1) | text,
    lambda inner: st.lists(inner, max_size=3).map(tuple) | st.dictionaries(text, inner, max_size=3),
    max_leaves=6,
)
uids = st.builds(Uid, text, text)
requests = st.builds(
    Request,
    uids,
    text,
    uids,
    st.dictionaries(uids, st.dictionaries(text, values, max_size=3), max_size=3),
    st.dictionaries(text, values),
)


@given(requests)
def test_a_request_survives_its_document(request: Request) -> None:
    raw = json.loads(json.dumps(documents.document(request)))
    again = documents.read(raw, "test")
    assert (again.principal, again.action, again.resource) == (request.principal, request.action, request.resource)
    assert again.content == request.content


@pytest.mark.parametrize(
    "raw",
    [
        {},
        {"principal": {"type": "Agent", "id": "a"}, "action": "read"},
        {"principal": "Agent::a", "action": "read", "resource": {"type": "Source", "id": "x"}},
        {"principal": {"type": "A", "id": 1}, "action": "read", "resource": {"type": "Source", "id": "x"}},
        {"principal": {"type": "A", "id": "a"}, "action": "read", "resource": {"type": "S", "id": "x"}, "entities": [1]},
    ],
)
def test_what_is_no_request_is_refused(raw: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="not a request") as refused:
        documents.read(raw, "a file")
    assert "\n" not in str(refused.value)
