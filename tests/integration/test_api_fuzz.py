"""Whatever is asked of ``/api/v1``, it answers as its own OpenAPI document says, and never with a fault of its own."""

from __future__ import annotations

from collections.abc import Iterator

import hypothesis
import pytest
import schemathesis
from hypothesis import HealthCheck
from schemathesis.checks import not_a_server_error
from starlette.applications import Starlette

from countersign.api.server import create_app
from countersign.bootstrap import open_site
from countersign.web.session import Sessions
from tests.examples import examples
from tests.fakes import StepClock, data_directory, deliver, wazuh

BASE = "/api/v1"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Starlette, str]]:
    site = open_site(data_directory(tmp_path_factory.mktemp("fuzz") / "data"), clock=StepClock())
    deliver(site, [wazuh(f"{i}", host=f"h{i}", rule=str(i)) for i in range(5)])
    token = site.commands.issue_api_token("fuzz", ["api:read"], 1)
    yield create_app(site, Sessions(site.session_key), worker=False), token
    site.close()


def test_nothing_that_is_asked_is_a_fault(service: tuple[Starlette, str]) -> None:
    app, token = service
    headers = {"authorization": f"Bearer {token}"}
    schema = schemathesis.openapi.from_asgi(f"{BASE}/openapi.json", app, headers=headers)
    seen: dict[str, set[int]] = {}
    for result in schema.get_all_operations():
        operation = result.ok()

        @hypothesis.settings(
            max_examples=examples(40),
            derandomize=True,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        )
        @hypothesis.given(case=operation.as_strategy())
        def ask(case: schemathesis.Case) -> None:
            answer = case.call(headers=headers)
            case.validate_response(answer, checks=[not_a_server_error])
            seen.setdefault(case.path, set()).add(answer.status_code)

        ask()
    assert len(seen) == 7
    assert set.union(*seen.values()) <= {200, 404, 405, 422}
    assert 200 in seen["/cases"]
