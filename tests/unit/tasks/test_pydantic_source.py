"""The Pydantic model's source: it runs, it agrees with the schema, and it only declares."""

import ast
import json
import sys
import time
from types import ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from app.tasks.pydantic_source import class_name, generate
from app.tasks.response_schema import MAX_SUBSCHEMAS, normalise
from app.tasks.samples import check_sample
from tests.unit.tasks.strategies import SHORT_FORMS, TEXT, answers_to

MODULES = {"typing", "pydantic", "enum", "datetime"}
CALLS = {"Field", "ConfigDict"}


def model_of(schema: dict[str, Any], task_name: str = "signal") -> type[BaseModel]:
    source = generate(task_name, schema)
    module = ModuleType("generated_response")
    sys.modules[module.__name__] = module  # Pydantic looks types up in there
    exec(source, module.__dict__)
    model: type[BaseModel] = module.__dict__[class_name(task_name)]
    return model


def accepts(model: type[BaseModel], answer: Any) -> bool:
    try:
        model.model_validate_json(json.dumps(answer), strict=None)
    except ValidationError:
        return False
    return True


def test_the_source_reads_like_somebody_wrote_it() -> None:
    fields = {
        "side": {"type": "enum", "values": ["buy", "sell"]},
        "score": {"type": "number", "minimum": 0, "description": "How sure it is."},
        "at": {"type": "date-time", "required": False},
        "orders": {
            "type": "array",
            "items": {"type": "object", "properties": {"class": {"type": "string"}}},
        },
    }
    assert (
        generate("trade signal", normalise(fields))
        == """\
# What the task "trade signal" answers.

from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, Field


class Order(BaseModel):
    class_: Annotated[str, Field(alias='class')]


class TradeSignalResponse(BaseModel):
    side: Literal['buy', 'sell']
    score: Annotated[float, Field(description='How sure it is.', ge=0.0)]
    at: AwareDatetime | None = None
    orders: list[Order]
"""
    )


@given(st.data())
@settings(max_examples=50, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_right_answers_fit_the_model_and_incomplete_ones_do_not(data: st.DataObject) -> None:
    fields = data.draw(SHORT_FORMS)
    schema = normalise(fields)
    model = model_of(schema)
    answer = data.draw(answers_to(fields))
    assert accepts(model, answer)
    for name in schema["required"]:
        assert not accepts(model, {key: answer[key] for key in answer.keys() - {name}})


NAMED_LIKE_IMPORTS: dict[str, Any] = {
    "Field": {"type": "array", "required": False},
    "_": {
        "type": "object",
        "properties": {
            "Field": {"type": "object", "properties": {"Field": {"type": "array"}}},
        },
    },
}
CORNERS: list[tuple[dict[str, Any], Any]] = [
    ({"type": "object", "properties": {"a": {"type": "string", "format": "ticker"}}}, {"a": "x"}),
    ({"allOf": [{"properties": {"a": {"type": "string"}}}] * 2, "type": "object"}, {"a": "x"}),
    ({"type": "object", "properties": {"a": False, "b": True}}, {"b": 1}),
    ({"type": "object", "properties": {"a-b": {"type": "null"}, "a_b": {"const": [1]}}}, {}),
    ({"type": "array", "prefixItems": [{"type": "string"}], "items": False}, ["x"]),
    ({"type": "object", "not": {"required": ["a"]}, "dependentRequired": {"b": ["c"]}}, {}),
    (NAMED_LIKE_IMPORTS, {"_": {"Field": {"Field": [1]}}}),
]


@pytest.mark.parametrize(("schema", "answer"), CORNERS, ids=lambda value: str(value)[:40])
def test_the_corners_of_json_schema_have_a_model_too(schema: dict[str, Any], answer: Any) -> None:
    assert check_sample(normalise(schema), answer) == []
    assert accepts(model_of(schema), answer)


def test_a_schema_of_the_largest_size_takes_no_seconds() -> None:
    fields = {f"field_{number}": {"type": "number"} for number in range(MAX_SUBSCHEMAS - 1)}
    started = time.process_time()
    assert len(model_of(normalise(fields)).model_fields) == len(fields)
    assert time.process_time() - started < 5


WRONG: list[tuple[dict[str, Any], Any]] = [
    ({"a": {"type": "integer"}}, {"a": 1.5}),
    ({"a": {"type": "string"}}, {"a": 1}),
    ({"a": {"type": "enum", "values": ["x", 1]}}, {"a": "y"}),
    ({"a": {"type": "date-time"}}, {"a": "2026-01-01"}),
    ({"a": {"type": "array", "items": {"type": "string", "minLength": 2}}}, {"a": ["x"]}),
    ({"a": {"type": "object", "properties": {"b": {"type": "boolean"}}}}, {"a": {"b": []}}),
    ({"type": "object", "additionalProperties": False}, {"a": 1}),
    ({"type": "object", "additionalProperties": {"type": "integer"}}, {"a": "x"}),
    ({"type": "array", "items": {"$ref": "#/$defs/n"}, "$defs": {"n": {"type": "number"}}}, ["x"]),
    ({"type": "string", "pattern": "^a+$"}, "b"),
]


@pytest.mark.parametrize(("raw", "answer"), WRONG, ids=lambda value: str(value)[:40])
def test_wrong_answers_fit_neither_schema_nor_model(raw: dict[str, Any], answer: Any) -> None:
    schema = normalise(raw)
    assert check_sample(schema, answer) != []
    assert not accepts(model_of(schema), answer)


@given(TEXT.filter(bool), TEXT, TEXT)
@settings(max_examples=50, deadline=None)
def test_names_and_descriptions_stay_text(task: str, name: str, text: str) -> None:
    field = {"type": "string", "description": text, "title": text, "default": text}
    evil = {
        "type": "object",
        "title": text,
        "description": text,
        "properties": {name: field, "import os": {"enum": [text]}},
        "customTypePath": "os.system",
        "x-python-import": {"module": "os", "name": "system"},
    }
    assert_only_declares(generate(task, normalise(evil)))


@pytest.mark.parametrize(
    "text", ['"""\nimport os\n"""', "'''\nimport os\n'''", "\\", "{{ 7 }}", "# x\nimport os"]
)
def test_what_tries_to_be_code_stays_text(text: str) -> None:
    schema = {"type": "object", "description": text, "properties": {text: {"const": text}}}
    assert_only_declares(generate(text, schema))


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        ("trade signal", "TradeSignalResponse"),
        ("BaseModel", "BaseModelResponse"),
        ("2nd look", "Task2ndLookResponse"),
        ("日本", "TaskResponse"),
        ("a\nimport os", "AImportOsResponse"),
    ],
)
def test_the_class_is_named_after_the_task(task: str, expected: str) -> None:
    assert class_name(task) == expected


def assert_only_declares(source: str) -> None:
    """Imports of the four modules, classes, annotated fields; calls of Field and ConfigDict."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            assert node.module in MODULES
        if isinstance(node, ast.Call):
            assert isinstance(node.func, ast.Name)
            assert node.func.id in CALLS
        assert not isinstance(node, ast.Import | ast.Attribute | ast.FunctionDef | ast.Lambda)
    for statement in tree.body:
        assert isinstance(statement, ast.ImportFrom | ast.ClassDef), ast.dump(statement)
