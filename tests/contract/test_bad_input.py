"""Bad input, over every endpoint that takes a body: 4xx, naming the field, and nothing stored.

The endpoints and their fields come from the OpenAPI document, so that a new one is covered too.
"""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import sqlalchemy as sa
from flask import Flask
from werkzeug.test import TestResponse

from app.core.db import Base, db
from tests.conftest import ADMIN_TOKEN, Api, close_app, make_app
from tests.contract.conftest import MakeToken
from tests.support.servers import RedisServer

MIB = 1024 * 1024
BEARER = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
JSON = "application/json"
LARGE = {"/api/config/import", "/api/usage"}  # takes 16 MiB; its own tests go beyond
NOT_A_NUMBER: list[Any] = ["1", "", True, [], {}, "NaN", 10**20, 1e300, -(10**20)]
WRONG: dict[str, list[Any]] = {
    "integer": [*NOT_A_NUMBER, 1.9, -1, "1_000"],
    "number": [*NOT_A_NUMBER, -1, -0.0001],
    "boolean": ["true", "false", "", 0, 1, [], {}],
    "string": [True, [], {}, [1]],
    "object": [[], "x", 1, True],
    "array": [{}, "x", 1, True],
}
PRICES = [-1, "-1", "NaN", "Infinity", "1e999999999", "1e-999999999", "1_000", "", "x", 1e300, True]
PRICES += ["0.0000000000000000001", "1000001", "٣", [], {}]


class Operation(NamedTuple):
    """An endpoint that takes JSON."""

    method: str
    path: str
    fields: dict[str, dict[str, Any]]
    needs_body: bool

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


Send = Callable[..., TestResponse]


@pytest.fixture(scope="module")
def shared_app(
    sqlite_template: Path, redis: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Flask]:
    """One app for the module: nothing here may change anything."""
    file = tmp_path_factory.mktemp("bad-input") / "switchyard.db"
    shutil.copyfile(sqlite_template, file)
    app = make_app(f"sqlite:///{file}", redis.url)
    yield app
    close_app(app)


@pytest.fixture(scope="module")
def operations(shared_app: Flask) -> list[Operation]:
    """Every endpoint with a body."""
    spec = shared_app.test_client().get("/api/openapi.json").json
    found = []
    for path, item in spec["paths"].items():
        for method in ("post", "put", "patch"):
            body = item.get(method, {}).get("requestBody", {})
            content = body.get("content", {})
            if schema := content.get(JSON, {}).get("schema"):
                name = schema["$ref"].rpartition("/")[2]
                fields = spec["components"]["schemas"][name]["properties"]
                filled = re.sub(r"{agent_id}", "default", path)
                path_of_one = re.sub(r"{\w+}", "1", filled)
                found.append(Operation(method.upper(), path_of_one, fields, body["required"]))
    assert len(found) > 10
    return found


@pytest.fixture
def send(shared_app: Flask) -> Iterator[Send]:
    """``send(operation, data=, content_type=)``; in the end nothing is stored."""
    before = _content(shared_app)
    http = shared_app.test_client()

    def call(operation: Operation, **options: Any) -> TestResponse:
        return http.open(operation.path, method=operation.method, headers=BEARER, **options)

    yield call
    assert _content(shared_app) == before


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b'{"%s": NaN}', 400),
        (b'{"%s": Infinity}', 400),
        (b'{"%s": -Infinity}', 400),
        (b'{"%s": 1e999}', 400),
        (b'{"%s": 1' + b"0" * 400 + b"}", 400),
        (b'{"%s": 1' + b"0" * 5000 + b"}", 400),
        (b'{"%s": 1, "%s": 1}', 400),
        (b'{"%s": "a\\u0000b"}', 400),
        (b'{"%s": "a\x00b"}', 400),
        (b'{"%s": {"a\\u0000b": 1}}', 400),
        (b'{"%s": "\\ud800"}', 400),
        (b'{"%s": "\xed\xa0\x80"}', 400),
        (b'{"%s": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", 400),
        (b'{"%s": ' + b'{"a":' * 50_000 + b"1" + b"}" * 50_001, 400),
        (b'"' + b'\\"' * 300_000, 400),
        ('{"%s": "é"}'.encode("utf-16"), 400),
        ('{"%s": "é"}'.encode("latin-1"), 400),
        (b"\xef\xbb\xbf{}", 400),
        (b"[]", 422),
        (b'[{"%s": 1}]', 422),
        (b'"text"', 422),
        (b"1", 422),
        (b"null", 422),
        (b'{"%s": "' + b"x" * MIB + b'"}', 413),
    ],
    ids=lambda value: repr(value)[:24],
)
def test_a_body_that_is_no_decent_json_object(
    send: Send, operations: list[Operation], body: bytes, status: int
) -> None:
    for operation in operations:
        field = next(iter(operation.fields)).encode()
        answer = send(operation, data=body.replace(b"%s", field), content_type=JSON)
        expected = 422 if status == 413 and operation.path in LARGE else status
        assert (answer.status_code, answer.json["request_id"] != "") == (expected, True), operation
        assert answer.json["message"], operation
        assert "_schema" not in answer.json["message"], operation


@pytest.mark.parametrize(
    ("value", "where"),
    [
        (b"NaN", ""),
        (b"-Infinity", ""),
        (b"1e400", ""),
        (b"9" * 5000, ""),
        (b'"a\\u0000b"', ""),
        (b'"\\ud800"', ""),
        (b'{"b": [1, {"c": NaN}]}', ".b.1.c"),
        (b'{"b": 1, "b": 2}', ".b"),
    ],
    ids=lambda value: repr(value)[:24],
)
def test_a_value_that_json_or_a_database_does_not_take_is_named(
    send: Send, operations: list[Operation], value: bytes, where: str
) -> None:
    for operation in operations:
        field = next(iter(operation.fields))
        body = b'{"%s": %s}' % (field.encode(), value)
        answer = send(operation, data=body, content_type=JSON)
        assert answer.status_code == 400, operation
        if operation.path not in LARGE:
            assert answer.json["errors"]["json"].keys() == {field + where}, operation
        assert field + where in answer.json["message"], operation


def test_an_empty_body_where_one_is_needed(send: Send, operations: list[Operation]) -> None:
    without = {str(operation) for operation in operations if not operation.needs_body}
    halts = {"POST /api/agents/default/halt", "POST /api/halt"}
    assert without == {*halts, "POST /api/changes/1/restore"}
    for operation in operations:
        if operation.needs_body:
            assert send(operation, data=b"", content_type=JSON).status_code == 400, operation
            assert send(operation, data=b"").status_code == 415, operation


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "text/json", None],
)
def test_a_body_that_is_not_said_to_be_json(
    send: Send, operations: list[Operation], content_type: str | None
) -> None:
    for operation in operations:
        answer = send(operation, data=b"{}", content_type=content_type)
        assert answer.status_code == 415, operation


@pytest.mark.parametrize("name", ["unknown", "__proto__", "id ", "ID", "", "x" * 1000])
def test_an_unknown_field_is_named(send: Send, operations: list[Operation], name: str) -> None:
    for operation in operations:
        answer = send(operation, json={name: 1})
        assert answer.status_code == 422, operation
        assert name in answer.json["errors"]["json"], operation


def test_a_value_of_the_wrong_kind_is_named(send: Send, operations: list[Operation]) -> None:
    tried, taken = 0, []
    for operation in operations:
        for name, schema in operation.fields.items():
            for value in _wrong_values(name, schema):
                tried += 1
                answer = send(operation, json={name: value})
                if answer.status_code != 422 or name not in answer.json["errors"]["json"]:
                    taken.append((str(operation), name, value, answer.status_code))
    assert taken == []
    assert tried > 500


def test_what_the_bounds_say_holds(send: Send, operations: list[Operation]) -> None:
    for operation in operations:
        for name, schema in operation.fields.items():
            for value in _beyond_bounds(schema):
                answer = send(operation, json={name: value})
                where = f"{operation} {name}={str(value)[:40]!r}"
                assert answer.status_code == 422, where
                assert name in answer.json["errors"]["json"], where


@pytest.mark.parametrize("text", ["%00", "%ff", "%ed%a0%80", "a%00b", "%2e%2e%2f", "x" * 5000])
def test_odd_paths_and_queries_are_not_found_or_refused(
    app: Flask, api: Api, make_token: MakeToken, text: str
) -> None:
    for path in (f"/agents/{text}", f"/agents/{text}/llm-configs", f"/providers/{text}"):
        assert api("GET", path).status_code in {308, 404, 422}, path
    assert api("GET", f"/agents/{text}/llm").status_code in {200, 308, 404, 422}
    assert api("PATCH", f"/agents/{text}", {"name": "x"}).status_code in {404, 422}
    for path in ("/agents", "/providers"):
        assert api("GET", f"{path}?search={text}").status_code in {200, 422}
    assert api("GET", "/agents", token="x" * 10_000).status_code == 401
    for tag in ('"' + "9" * 5000 + '"', '"1", "2"', '"x"'):
        assert api("PATCH", "/agents/default", {}, headers={"If-Match": tag}).status_code == 412


def test_a_null_character_in_a_url_is_the_same_on_both_databases(api: Api) -> None:
    for method, path in (("GET", "/agents/%00"), ("GET", "/agents/a%00b/llm")):
        assert api(method, path).status_code == 404, path
    for path, name in (("/agents?search=a%00", "search"), ("/changes?entity=%00", "entity")):
        refused = api("GET", path)
        assert (refused.status_code, refused.json["errors"]["query"].keys()) == (422, {name})


def test_json_that_is_merely_unusual_is_taken(api: Api) -> None:
    body = {"name": "Ünï 🚂", "metadata": {"deep": [[[{"a": [1.5, -0.0, 2**53, None]}]]], "": ""}}
    answer = api("POST", "/agents", body)
    assert answer.status_code == 201
    assert api("GET", "/agents/n").json["metadata"] == body["metadata"]
    raw = json.dumps({"name": "B", "llm_temperature": 1}).encode() + b"\n \t"
    headers = {"Content-Type": "application/json; charset=utf-8"}
    created = api("POST", "/agents", data=raw, headers=headers)
    assert created.status_code == 422  # only for want of a model
    assert created.json["errors"]["json"].keys() == {"llm_provider", "llm_model"}


def _wrong_values(name: str, schema: dict[str, Any]) -> list[Any]:
    if name.startswith("cost_"):
        return PRICES
    wrong = list(WRONG.get(schema.get("type", ""), []))
    if "minimum" not in schema:
        wrong = [value for value in wrong if not isinstance(value, float | int) or value is True]
    return wrong if schema.get("nullable") or not wrong else [*wrong, None]


def _beyond_bounds(schema: dict[str, Any]) -> Iterator[Any]:
    if "maxLength" in schema:
        yield "x" * (schema["maxLength"] + 1)
    if schema.get("minLength"):
        yield ""
    if "minimum" in schema:
        yield schema["minimum"] - 1
    if "maximum" in schema:
        yield schema["maximum"] + 1
    if "enum" in schema:
        yield "none of these"


def _content(app: Flask) -> dict[str, list[Any]]:
    """Every row of every table."""
    with app.app_context(), db.engine.connect() as connection:
        return {
            table.name: list(connection.execute(sa.select(table)))
            for table in Base.metadata.sorted_tables
        }
