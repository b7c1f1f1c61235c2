"""The OpenAPI document says what the API does, and its page works offline."""

import re
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

pytestmark = pytest.mark.parametrize("backend", ["sqlite"])

METHODS = {"get", "post", "put", "patch", "delete"}


@pytest.fixture
def spec(http: FlaskClient) -> dict[str, Any]:
    document: dict[str, Any] = http.get("/api/openapi.json").json
    return document


def test_every_route_is_documented(app: Flask, spec: dict[str, Any]) -> None:
    routes = {
        (re.sub(r"<(?:[^:<>]+:)?([^<>]+)>", r"{\1}", rule.rule), method.lower())
        for rule in app.url_map.iter_rules()
        for method in rule.methods or ()
        if rule.rule.startswith("/api/") and not rule.rule.startswith(("/api/docs", "/api/openapi"))
    }
    routes = {(path, method) for path, method in routes if method in METHODS}
    routes -= {("/api/ws", "get")}  # a socket: docs/push.md has it
    documented = {
        (path, method) for path, item in spec["paths"].items() for method in item.keys() & METHODS
    }
    assert documented == routes


def test_every_operation_has_a_name_of_its_own(spec: dict[str, Any]) -> None:
    names = {(m, path): it["operationId"] for path, m, it in operations(spec)}
    assert len(set(names.values())) == len(names)
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)+", name) for name in names.values())
    agents = "/api/agents"
    for method, path, name in (
        ("get", agents, "list_agents"),
        ("post", agents, "create_agent"),
        ("get", f"{agents}/{{agent_id}}", "get_agent"),
        ("patch", f"{agents}/{{agent_id}}", "update_agent"),
        ("put", f"{agents}/{{agent_id}}/llm-configs", "replace_agent_llm_configs"),
        ("post", f"{agents}/{{agent_id}}/set-default", "set_default_agent"),
        ("post", "/api/halt", "halt_all"),
    ):
        assert names[method, path] == name


def test_every_error_has_its_payload_and_every_change_its_if_match(spec: dict[str, Any]) -> None:
    for path, method, operation in operations(spec):
        where = f"{method} {path}"
        for status, response in operation["responses"].items():
            if status == "default" or status >= "400":
                schema = resolve(spec, response)["content"]["application/json"]["schema"]
                assert schema == {"$ref": "#/components/schemas/Error"}, where
        headers = {it["name"] for it in operation.get("parameters", []) if it["in"] == "header"}
        if method in {"put", "patch", "delete"}:
            assert headers == {"If-Match"}, where
            assert "412" in operation["responses"], where


def test_patterns_mean_the_same_in_every_language(spec: dict[str, Any]) -> None:
    patterns = set(re.findall(r"'pattern': '([^']+)'", str(spec)))
    assert len(patterns) > 2
    for pattern in patterns:
        assert pattern.startswith("^"), pattern
        assert pattern.endswith("$"), pattern
        assert "\\Z" not in pattern


def test_every_operation_says_what_it_takes_and_gives(spec: dict[str, Any]) -> None:
    for path, method, operation in operations(spec):
        where = f"{method} {path}"
        assert operation["summary"], where
        assert operation["tags"], where
        responses = operation["responses"]
        assert any(status.startswith("2") for status in responses), where
        assert "default" in responses, where
        named = set(re.findall(r"{(\w+)}", path))
        parameters = [*spec["paths"][path].get("parameters", []), *operation.get("parameters", [])]
        described = {p["name"] for p in (resolve(spec, p) for p in parameters) if p["in"] == "path"}
        assert named == described, where
        if method in {"put", "patch"}:
            assert "requestBody" in operation, where


def test_what_may_be_null_is_otherwise_what_it_is_said_to_be(spec: dict[str, Any]) -> None:
    provider = spec["components"]["schemas"]["AgentOut"]["properties"]["provider"]
    null = {"nullable": True, "enum": [None]}
    assert provider == {"anyOf": [{"$ref": "#/components/schemas/ProviderBrief"}, null]}


def test_every_reference_leads_somewhere(spec: dict[str, Any]) -> None:
    references = set(re.findall(r"'\$ref': '([^']+)'", str(spec)))
    assert references
    for reference in references:
        assert resolve(spec, {"$ref": reference})


def test_errors_are_described_as_they_are(spec: dict[str, Any]) -> None:
    assert spec["components"]["schemas"]["Error"]["properties"].keys() == {
        "code",
        "status",
        "message",
        "errors",
        "request_id",
    }


def test_keys_go_in_and_never_come_out(spec: dict[str, Any]) -> None:
    schemas = spec["components"]["schemas"]
    assert "api_key" in schemas["ProviderIn"]["properties"]
    for name in ("ProviderOut", "AgentOut", "LLMConfigOut"):
        shown = schemas[name]["properties"]
        for key in ("api_key", "llm_api_key"):
            assert key not in shown or shown[key].get("writeOnly"), name


def test_who_may_call_is_said_once(spec: dict[str, Any]) -> None:
    assert spec["security"] == [{"bearer": []}]
    assert spec["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"
    assert spec["openapi"].startswith("3.")


def test_the_page_works_offline(http: FlaskClient) -> None:
    page = http.get("/api/docs")
    assert (page.status_code, page.mimetype) == (200, "text/html")
    links = re.findall(r"(?:src|href)=[\"']([^\"']+)", page.text)
    assert links
    for link in links:
        assert not re.match(r"(?:https?:)?//", link)
        found = http.get(link if link.startswith("/") else f"/api/{link}")
        assert found.status_code == 200, link
        assert len(found.data) > 0
        found.close()
    assert not re.findall(r"https?://", page.text)
    assert "<script>" not in page.text  # a strict policy allows no inline script
    # The menu of the admin interface leads here: a page like any other of it.
    assert [page.text.count(tag) for tag in ("<main", "<h1")] == [1, 1]
    page.close()


def test_the_pages_assets_are_a_folder_and_no_more(http: FlaskClient) -> None:
    for path in ("../../app/settings.py", "..%2f..%2fsettings.py", "not-there.js", "/etc/passwd"):
        assert http.get(f"/api/docs/{path}").status_code in {404, 308}


def operations(spec: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (path, method, item[method])
        for path, item in spec["paths"].items()
        for method in sorted(item.keys() & METHODS)
    ]


def resolve(spec: dict[str, Any], node: Any) -> Any:
    while isinstance(node, dict) and "$ref" in node:
        found: Any = spec
        for part in node["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        node = found
    return node
