"""Requests generated from the app's own OpenAPI: no 5xx, and no status or answer that it does not
describe. By hand with hundreds of examples: ``schemathesis run http://.../api/openapi.json``."""

import pytest
import schemathesis
from flask import Flask
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis.checks import not_a_server_error
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import response_schema_conformance, status_code_conformance

from tests.conftest import ADMIN_TOKEN, BACKENDS

CHECKS = [not_a_server_error, status_code_conformance, response_schema_conformance]
EXAMPLES = 4  # an operation and database, and others on the other one
# These change the token that asks.
LEFT_OUT = {("delete", "/api/tokens/{token_id}"), ("patch", "/api/tokens/{token_id}")}


@pytest.mark.timeout(400)
def test_generated_requests_get_the_answers_that_openapi_describes(
    app: Flask, backend: str
) -> None:
    schema = schemathesis.openapi.from_wsgi("/api/openapi.json", app)
    operations = [result.ok() for result in schema.get_all_operations()]
    tried = [it for it in operations if (it.method, it.path) not in LEFT_OUT]
    for operation in tried:
        _try(operation, BACKENDS.index(backend))
    assert len(tried) > 45


def _try(operation: APIOperation, number: int) -> None:
    @seed(number)  # the same requests on every run: a failure can be looked at
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=False,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy())
    def ask(case: schemathesis.Case) -> None:
        # A made-up version ends a request before it is looked at.
        case.headers.pop("If-Match", None)
        authorised = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
        case.call_and_validate(headers=authorised, checks=CHECKS)

    ask()
