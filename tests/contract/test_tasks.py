"""Rows T1 and A12: tasks, their response schemas, and who is assigned to what."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from app.changes.services import history_query
from app.core.db import db
from tests.conftest import ADMIN_TOKEN, Api
from tests.contract.conftest import MakeToken, MakeUser, SignIn

SHORT = {
    "category": {"type": "enum", "values": ["buy", "sell"]},
    "at": {"type": "date-time", "required": False},
}
STORED = {
    "type": "object",
    "properties": {
        "category": {"type": "string", "enum": ["buy", "sell"]},
        "at": {"type": "string", "format": "date-time"},
    },
    "required": ["category"],
}


@pytest.fixture
def task(api: Api) -> dict[str, Any]:
    """A task with a schema."""
    body = {"name": "classify", "description": "Which side?", "response_schema": SHORT}
    created: dict[str, Any] = api("POST", "/tasks", body).json
    return created


@pytest.fixture
def trader(api: Api) -> str:
    """An agent without any task."""
    return str(api("POST", "/agents", {"name": "Trader"}).json["agent_id"])


def test_a_task_reads_back_with_its_schema_as_json_schema(api: Api) -> None:
    body = {"name": "classify", "description": "Which side?", "response_schema": SHORT}
    created = api("POST", "/tasks", body)
    assert created.status_code == 201
    assert created.json == {
        "id": created.json["id"],
        "name": "classify",
        "description": "Which side?",
        "response_schema": STORED,
        "version": 1,
        "created_at": created.json["created_at"],
        "updated_at": created.json["updated_at"],
    }
    assert created.json["created_at"].endswith("+00:00")
    assert created.location.endswith(f"/api/tasks/{created.json['id']}")
    read = api("GET", f"/tasks/{created.json['id']}")
    assert read.json == created.json
    assert read.headers["ETag"] == '"1"'


def test_json_schema_is_stored_as_it_is_sent(api: Api, task: dict[str, Any]) -> None:
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", "minProperties": 1}
    answer = api("PATCH", f"/tasks/{task['id']}", {"response_schema": schema})
    assert answer.json["response_schema"] == schema
    again = api("PATCH", f"/tasks/{task['id']}", {"response_schema": STORED})
    assert again.json["response_schema"] == STORED


def test_the_order_of_properties_is_kept_and_a_new_order_is_a_change(api: Api) -> None:
    names = ["zulu", "reason", "a", "bb"]
    schema = {name: {"type": "string"} for name in names}
    task = api("POST", "/tasks", {"name": "ordered", "response_schema": schema}).json
    path = f"/tasks/{task['id']}"
    assert list(api("GET", path).json["response_schema"]["properties"]) == names
    turned = {name: schema[name] for name in reversed(names)}
    assert api("PATCH", path, {"response_schema": turned}).json["version"] == 2
    read = api("GET", path).json
    assert list(read["response_schema"]["properties"]) == names[::-1]
    assert api("PATCH", path, {"response_schema": turned}).json["version"] == 2


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_only_the_sent_fields_change_and_null_clears(
    api: Api, task: dict[str, Any], method: str
) -> None:
    path = f"/tasks/{task['id']}"
    renamed = api(method, path, {"name": "decide"}).json
    assert renamed["response_schema"] == STORED
    assert (renamed["name"], renamed["version"]) == ("decide", 2)
    cleared = api(method, path, {"response_schema": None, "description": None}).json
    assert (cleared["response_schema"], cleared["description"]) == (None, None)
    assert api(method, path, {}).json["version"] == 3


def test_a_save_insists_on_the_version_it_read(api: Api, task: dict[str, Any]) -> None:
    path = f"/tasks/{task['id']}"
    first = {"If-Match": '"1"'}
    assert api("PATCH", path, {"description": "mine"}, headers=first).status_code == 200
    for method, body in (("PATCH", {"description": "late"}), ("DELETE", None)):
        assert api(method, path, body, headers=first).status_code == 412
    assert api("GET", path).json["description"] == "mine"
    assert api("DELETE", path, headers={"If-Match": '"2"'}).status_code == 200


def test_tasks_are_listed_by_name_in_pages_and_searched(api: Api) -> None:
    for name, description in (("b", "100% sure"), ("a", "other"), ("c_c", None), ("cxc", None)):
        api("POST", "/tasks", {"name": name, "description": description})
    listed = api("GET", "/tasks?page_size=3").json
    assert [task["name"] for task in listed["tasks"]] == ["a", "b", "c_c"]
    assert listed["total"] == 4
    assert [task["name"] for task in api("GET", "/tasks?page=2&page_size=3").json["tasks"]] == [
        "cxc"
    ]
    for term, names in (("C_C", ["c_c"]), ("100%25", ["b"]), ("nothing", [])):
        found = api("GET", f"/tasks?search={term}").json
        assert [task["name"] for task in found["tasks"]] == names
        assert found["total"] == len(names)


BAD_BODIES: list[tuple[Any, str]] = [
    ({}, "name"),
    ({"name": ""}, "name"),
    ({"name": "x" * 129}, "name"),
    ({"name": 3}, "name"),
    ({"name": None}, "name"),
    ({"name": "x", "colour": "red"}, "colour"),
    ({"name": "x", "id": 7}, "id"),
    ({"name": "x", "description": 3}, "description"),
    ({"name": "x", "response_schema": "string"}, "response_schema"),
    ({"name": "x", "response_schema": []}, "response_schema"),
    ({"name": "x", "response_schema": True}, "response_schema"),
    ({"name": "x", "response_schema": {"a": {"type": "text"}}}, "response_schema"),
    ({"name": "x", "response_schema": {"type": "text"}}, "response_schema"),
    ({"name": "x", "response_schema": {"$ref": "#"}}, "response_schema"),
    ({"name": "x", "response_schema": {"$ref": "http://127.0.0.1/x"}}, "response_schema"),
    ({"name": "x", "response_schema": {"type": "string", "pattern": "(a+)+"}}, "response_schema"),
    (
        {"name": "x", "response_schema": {"type": "string", "title": "x" * 66_000}},
        "response_schema",
    ),
    ({"name": "x", "response_schema": {"type": "array", "allOf": [{}] * 1_001}}, "response_schema"),
]


def test_bad_tasks_are_refused_by_their_field(api: Api, rev: Callable[[], int]) -> None:
    before = rev()
    for body, field in BAD_BODIES:
        answer = api("POST", "/tasks", body)
        assert answer.status_code == 422, body
        assert list(answer.json["errors"]["json"]) == [field]
        assert field in answer.json["message"]
    assert rev() == before
    assert api("GET", "/tasks").json["total"] == 0


def test_the_message_names_the_place_in_the_schema(api: Api, task: dict[str, Any]) -> None:
    schema = {"orders": {"type": "array", "items": {"type": "number", "minimum": "0"}}}
    answer = api("PATCH", f"/tasks/{task['id']}", {"response_schema": schema})
    (message,) = answer.json["errors"]["json"]["response_schema"]
    assert message.startswith("$.properties.orders.items.minimum: ")
    assert api("GET", f"/tasks/{task['id']}").json == task


NO_STRICT_JSON = [
    b'{"name": "x", "name": "y"}',
    b'{"name": "x", "response_schema": {"type": "number", "minimum": NaN}}',
    b'{"name": "x", "response_schema": {"type": "number", "minimum": 1e400}}',
    b'{"name": "a\\u0000b"}',
    b'{"name": "a\\ud800"}',
    b'{"name": "x", "response_schema": ' + b'{"items": ' * 40 + b"{}" + b"}" * 41,
    b"[]]",
    b"\xff",
]


def test_what_is_no_strict_json_is_refused(http: FlaskClient) -> None:
    headers = {"Authorization": f"Bearer {ADMIN_TOKEN}", "Content-Type": "application/json"}
    for raw in NO_STRICT_JSON:
        assert http.post("/api/tasks", data=raw, headers=headers).status_code == 400, raw


def test_a_name_is_taken_once(api: Api, task: dict[str, Any]) -> None:
    assert api("POST", "/tasks", {"name": "classify"}).status_code == 409
    other = api("POST", "/tasks", {"name": "other"}).json
    answer = api("PATCH", f"/tasks/{other['id']}", {"name": "classify"})
    assert answer.status_code == 409
    assert "name" in answer.json["message"]


def test_unknown_tasks_are_404(api: Api) -> None:
    for task_id in ("0", "999", "2147483647", "2147483648", "-1", "x"):
        path = f"/tasks/{task_id}"
        assert api("GET", path).status_code == 404, path
        assert api("PATCH", path, {"name": "x"}).status_code == 404, path
        assert api("DELETE", path).status_code == 404, path
        assert api("POST", f"{path}/check", {"sample": 1}).status_code == 404, path
        assert api("GET", f"{path}/pydantic").status_code == 404, path


def test_a_sample_is_checked(api: Api, task: dict[str, Any], rev: Callable[[], int]) -> None:
    path, before = f"/tasks/{task['id']}/check", rev()
    right = api("POST", path, {"sample": {"category": "buy", "at": "2026-01-31T12:00:00Z"}})
    assert right.json == {"valid": True, "errors": []}
    wrong = api("POST", path, {"sample": {"category": "hold", "at": "2026-02-30T12:00:00Z"}})
    assert wrong.status_code == 200
    assert wrong.json["valid"] is False
    assert sorted(error["path"] for error in wrong.json["errors"]) == ["$.at", "$.category"]
    assert all(error["message"] for error in wrong.json["errors"])
    assert api("POST", path, {"sample": None}).json["valid"] is False
    assert rev() == before


def test_a_bad_check_is_refused(api: Api, task: dict[str, Any]) -> None:
    for body, field in (
        ({}, "sample"),
        ({"sample": 1, "extra": 2}, "extra"),
        ({"sample": "x" * 66_000}, "sample"),
    ):
        answer = api("POST", f"/tasks/{task['id']}/check", body)
        assert answer.status_code == 422
        assert list(answer.json["errors"]["json"]) == [field]


def test_without_a_schema_any_sample_will_do_and_there_is_no_model(api: Api) -> None:
    path = f"/tasks/{api('POST', '/tasks', {'name': 'free'}).json['id']}"
    assert api("POST", f"{path}/check", {"sample": [1, "x"]}).json["valid"] is True
    answer = api("GET", f"{path}/pydantic")
    assert answer.status_code == 404
    assert "no response schema" in answer.json["message"]


def test_the_pydantic_models_source_is_shown(api: Api, task: dict[str, Any]) -> None:
    path = f"/tasks/{task['id']}/pydantic"
    source = api("GET", path).json["source"]
    assert "class ClassifyResponse(BaseModel):" in source
    assert "category: Literal['buy', 'sell']" in source
    plain = api("GET", path, headers={"Accept": "text/x-python"})
    assert plain.mimetype == "text/x-python"
    assert plain.text == source


def test_an_agent_gets_a_task_and_shows_it(
    api: Api, task: dict[str, Any], trader: str, rev: Callable[[], int]
) -> None:
    version, before = api("GET", f"/agents/{trader}").json["version"], rev()
    answer = api("POST", f"/agents/{trader}/tasks", {"task_id": task["id"]})
    assert answer.status_code == 201
    assert answer.json == {
        "agent_id": "trader",
        "task_id": task["id"],
        "name": "classify",
        "description": "Which side?",
        "response_schema": STORED,
        "is_active": True,
    }
    assert answer.location.endswith(f"/api/agents/trader/tasks/{task['id']}")
    assert rev() == before + 1
    agent = api("GET", f"/agents/{trader}").json
    assert agent["tasks"] == [{"id": task["id"], "name": "classify", "is_active": True}]
    assert agent["version"] == version + 1
    assert answer.headers["ETag"] == f'"{version + 1}"'
    listed = {it["agent_id"]: it for it in api("GET", "/agents").json["agents"]}
    assert listed["trader"]["tasks"] == agent["tasks"]
    assert listed["default"]["tasks"] == []
    assert api("GET", f"/agents/{trader}/tasks").json == {"tasks": [answer.json], "total": 1}
    assert api("GET", f"/agents/{trader}/tasks/{task['id']}").json == answer.json


def test_twice_is_a_conflict(api: Api, task: dict[str, Any], trader: str) -> None:
    body = {"task_id": task["id"]}
    assert api("POST", f"/agents/{trader}/tasks", body).status_code == 201
    answer = api("POST", f"/agents/{trader}/tasks", body)
    assert answer.status_code == 409
    assert "classify" in answer.json["message"]
    assert api("GET", f"/agents/{trader}").json["version"] == 2


def test_twenty_at_once_give_it_once(
    app: Flask, api: Api, task: dict[str, Any], trader: str
) -> None:
    headers = {"Authorization": f"Bearer {ADMIN_TOKEN}"}

    def give(_number: int) -> int:
        body = {"task_id": task["id"]}
        http = app.test_client()
        return http.post(f"/api/agents/{trader}/tasks", json=body, headers=headers).status_code

    with ThreadPoolExecutor(8) as threads:
        statuses = sorted(threads.map(give, range(20)))
    assert statuses == [201] + [409] * 19
    assert api("GET", f"/agents/{trader}").json["version"] == 2


def test_an_assignment_is_switched_off_and_taken_away(
    api: Api, task: dict[str, Any], trader: str
) -> None:
    api("POST", f"/agents/{trader}/tasks", {"task_id": task["id"], "is_active": False})
    path = f"/agents/{trader}/tasks/{task['id']}"
    assert api("GET", path).json["is_active"] is False
    assert api("PATCH", path, {"is_active": True}).json["is_active"] is True
    assert api("GET", f"/agents/{trader}").json["version"] == 3
    assert api("PATCH", path, {"is_active": True}).json["is_active"] is True
    assert api("GET", f"/agents/{trader}").json["version"] == 3
    assert api("DELETE", path, headers={"If-Match": '"2"'}).status_code == 412
    gone = api("DELETE", path, headers={"If-Match": '"3"'})
    assert (gone.json["agent_id"], gone.json["task_id"]) == ("trader", task["id"])
    assert api("GET", path).status_code == api("DELETE", path).status_code == 404
    assert api("GET", f"/agents/{trader}").json["tasks"] == []


BAD_ASSIGNMENTS: list[tuple[Any, str]] = [
    ({}, "task_id"),
    ({"task_id": 999}, "task_id"),
    ({"task_id": "1"}, "task_id"),
    ({"task_id": True}, "task_id"),
    ({"task_id": 1.0}, "task_id"),
    ({"task_id": 0}, "task_id"),
    ({"task_id": 10**20}, "task_id"),
    ({"task_id": 1, "is_active": "yes"}, "is_active"),
    ({"task_id": 1, "position": 0}, "position"),
]


def test_bad_assignments_are_refused(api: Api, trader: str) -> None:
    for body, field in BAD_ASSIGNMENTS:
        answer = api("POST", f"/agents/{trader}/tasks", body)
        assert answer.status_code == 422, body
        assert list(answer.json["errors"]["json"]) == [field]


def test_assignments_of_unknown_agents_are_404(api: Api, task: dict[str, Any]) -> None:
    body = {"task_id": task["id"]}
    assert api("GET", "/agents/nobody/tasks").status_code == 404
    assert api("POST", "/agents/nobody/tasks", body).status_code == 404
    assert api("PATCH", f"/agents/nobody/tasks/{task['id']}", {}).status_code == 404
    assert api("DELETE", f"/agents/nobody/tasks/{task['id']}").status_code == 404


def test_assignments_are_listed_by_agent_and_task(api: Api) -> None:
    tasks = {name: api("POST", "/tasks", {"name": name}).json["id"] for name in ("b", "a")}
    for agent in ("two", "one"):
        api("POST", "/agents", {"name": agent})
        for task_id in tasks.values():
            api("POST", f"/agents/{agent}/tasks", {"task_id": task_id})

    def listed(query: str) -> list[tuple[str, str]]:
        body = api("GET", f"/assignments{query}").json
        found = [(it["agent_id"], it["name"]) for it in body["assignments"]]
        assert body["total"] >= len(found)
        return found

    assert listed("") == [("one", "a"), ("one", "b"), ("two", "a"), ("two", "b")]
    assert listed("?agent_id=two") == [("two", "a"), ("two", "b")]
    assert listed(f"?task_id={tasks['b']}") == [("one", "b"), ("two", "b")]
    assert listed(f"?agent_id=one&task_id={tasks['a']}") == [("one", "a")]
    assert listed("?page=2&page_size=3") == [("two", "b")]
    assert listed("?agent_id=nobody") == []
    assert api("GET", "/assignments?task_id=99999999999999999999").status_code == 422
    assert api("GET", "/assignments?colour=red").status_code == 422


def test_an_assigned_task_is_deleted_only_on_purpose(api: Api, task: dict[str, Any]) -> None:
    for name in ("zoe", "adam"):
        api("POST", "/agents", {"name": name})
        api("POST", f"/agents/{name}/tasks", {"task_id": task["id"]})
    path = f"/tasks/{task['id']}"
    refused = api("DELETE", path)
    assert refused.status_code == 409
    assert "adam, zoe" in refused.json["message"]
    assert "cascade" in refused.json["message"]
    assert api("DELETE", f"{path}?cascade=true").json["id"] == task["id"]
    assert api("GET", path).status_code == 404
    for name in ("zoe", "adam"):
        agent = api("GET", f"/agents/{name}").json
        assert (agent["tasks"], agent["version"]) == ([], 3)
    assert api("GET", "/assignments").json["total"] == 0


def test_giving_and_deleting_at_once_leave_no_remains(
    app: Flask, api: Api, task: dict[str, Any]
) -> None:
    headers = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
    for number in range(8):
        api("POST", "/agents", {"name": f"a{number}"})

    def act(number: int) -> int:
        http = app.test_client()
        if number % 4 == 3:
            path = f"/api/tasks/{task['id']}?cascade=true"
            return http.delete(path, headers=headers).status_code
        path = f"/api/agents/a{number % 8}/tasks"
        return http.post(path, json={"task_id": task["id"]}, headers=headers).status_code

    with ThreadPoolExecutor(8) as threads:
        statuses = list(threads.map(act, range(16)))
    assert statuses.count(200) == 1
    assert set(statuses) <= {200, 201, 404, 409, 422}
    assert api("GET", "/assignments").json["total"] == 0
    for number in range(8):
        agent = api("GET", f"/agents/a{number}").json
        assert (agent["tasks"], agent["version"]) in [([], 1), ([], 3)]


def test_an_agent_with_tasks_is_deleted_and_the_task_stays(
    api: Api, task: dict[str, Any], trader: str
) -> None:
    api("POST", f"/agents/{trader}/tasks", {"task_id": task["id"]})
    assert api("DELETE", f"/agents/{trader}").status_code == 200
    assert api("GET", "/assignments").json["total"] == 0
    assert api("DELETE", f"/tasks/{task['id']}").status_code == 200


def test_the_history_tells_of_tasks_and_assignments(
    app: Flask, api: Api, task: dict[str, Any], trader: str
) -> None:
    api("PATCH", f"/tasks/{task['id']}", {"name": "decide"})
    api("POST", f"/agents/{trader}/tasks", {"task_id": task["id"]})
    api("DELETE", f"/tasks/{task['id']}?cascade=true")
    with app.app_context():
        found = [
            (change.entity, change.operation.value, change.root, set(change.diff))
            for change in db.session.scalars(history_query())
            if change.entity in {"task", "assignment"}
        ]
    task_fields = {"name", "description", "response_schema"}
    assignment_fields = {"agent_id", "task_id", "is_active"}
    assert found[-1] == ("task", "create", "classify", task_fields)
    assert found[-2] == ("task", "update", "decide", {"name"})
    assert found[-3] == ("assignment", "create", "trader", assignment_fields)
    assert sorted(found[:-3]) == [
        ("assignment", "delete", "trader", assignment_fields),
        ("task", "delete", "decide", task_fields),
    ]


def test_bound_tokens_keep_to_their_agents(
    api: Api, task: dict[str, Any], make_token: MakeToken
) -> None:
    for name in ("mine", "other"):
        api("POST", "/agents", {"name": name})
        api("POST", f"/agents/{name}/tasks", {"task_id": task["id"]})
    token = make_token("config:read", "config:write", agents=["mine"])
    second = api("POST", "/tasks", {"name": "second"}).json["id"]
    assert api("GET", f"/tasks/{second}", token=token).status_code == 200
    for path in ("/agents/mine/tasks", "/assignments"):
        assert api("GET", path, token=token).json["total"] == 1
    body = {"task_id": second}
    assert api("POST", "/agents/mine/tasks", body, token=token).status_code == 201
    forbidden: list[tuple[str, str, Any]] = [
        ("GET", "/agents/other/tasks", None),
        ("GET", f"/agents/other/tasks/{task['id']}", None),
        ("GET", "/assignments?agent_id=other", None),
        ("POST", "/agents/other/tasks", body),
        ("PATCH", f"/agents/other/tasks/{task['id']}", {"is_active": False}),
        ("DELETE", f"/agents/other/tasks/{task['id']}", None),
        ("POST", "/tasks", {"name": "third"}),
        ("PATCH", f"/tasks/{second}", {"name": "x"}),
        ("PUT", f"/tasks/{second}", {"name": "x"}),
        ("DELETE", f"/tasks/{second}?cascade=true", None),
    ]
    for method, path, body in forbidden:
        assert api(method, path, body, token=token).status_code == 403, (method, path)


def test_viewers_see_the_assignments_of_their_agents(
    api: Api, task: dict[str, Any], make_user: MakeUser, sign_in: SignIn
) -> None:
    mine, other = make_user("viewer@example.com"), make_user("other@example.com")
    for name, owner in (("mine", mine), ("theirs", other), ("nobodys", None)):
        api("POST", "/agents", {"name": name, "owner_id": owner})
        api("POST", f"/agents/{name}/tasks", {"task_id": task["id"]})
    viewer = sign_in("viewer@example.com")
    listed = viewer("GET", "/assignments").json
    assert [it["agent_id"] for it in listed["assignments"]] == ["mine", "nobodys"]
    assert listed["total"] == 2
    assert viewer("GET", "/agents/mine/tasks").json["total"] == 1
    assert viewer("GET", "/agents/theirs/tasks").status_code == 404
    assert viewer("GET", f"/agents/theirs/tasks/{task['id']}").status_code == 404
    assert viewer("POST", f"/tasks/{task['id']}/check", {"sample": 1}).status_code == 200
    assert viewer("POST", "/tasks", {"name": "x"}).status_code == 403
    assert viewer("POST", "/agents/mine/tasks", {"task_id": 1}).status_code == 403


@pytest.mark.parametrize("path", ["/agents", "/assignments", "/agents/a0/tasks", "/tasks"])
def test_a_longer_list_takes_no_more_queries(app: Flask, api: Api, path: str) -> None:
    def add(numbers: range) -> None:
        for number in numbers:
            api("POST", "/agents", {"name": f"a{number}"})
            task_id = api("POST", "/tasks", {"name": f"t{number}"}).json["id"]
            for agent in {"a0", f"a{number}"}:
                api("POST", f"/agents/{agent}/tasks", {"task_id": task_id})

    def count() -> int:
        statements: list[str] = []
        with app.app_context():
            engine = db.engine

        def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
            statements.append(statement)

        sa.event.listen(engine, "before_cursor_execute", note)
        assert api("GET", path).status_code == 200
        sa.event.remove(engine, "before_cursor_execute", note)
        return len(statements)

    add(range(2))
    few = count()
    add(range(2, 6))
    assert count() == few
