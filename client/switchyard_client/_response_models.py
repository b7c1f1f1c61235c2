"""A Pydantic model made at run time from a task's JSON Schema. Pydantic is an extra: `[pydantic]`.

Built with `create_model`, no code is generated or executed. What a schema says beyond types,
enums, limits, formats, nesting and references makes no difference to the model.
"""

import json
import keyword
import re
import threading
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union
from urllib.parse import unquote

from ._errors import ConfigurationError
from ._forks import in_forked_children
from ._frozen import thaw

if TYPE_CHECKING:
    from pydantic import BaseModel

Schema = Mapping[str, Any]

PLAIN = {"string": str, "integer": int, "number": float, "boolean": bool, "null": None}
# JSON Schema's words for limits, Pydantic's for the same.
TEXT_LIMITS = {"minLength": "min_length", "maxLength": "max_length"}
LIST_LIMITS = {"minItems": "min_length", "maxItems": "max_length"}
NUMBER_LIMITS = {
    "minimum": "ge",
    "maximum": "le",
    "exclusiveMinimum": "gt",
    "exclusiveMaximum": "lt",
    "multipleOf": "multiple_of",
}
SCALARS = (str, int, bool, type(None))

_one_at_a_time = threading.Lock()  # two threads that ask for the same model get the same one


@in_forked_children
def _renew() -> None:
    global _one_at_a_time
    _one_at_a_time = threading.Lock()


def response_model(task_name: str, schema: Schema) -> "type[BaseModel]":
    """The model of a task's answers; the same one for the same schema.

    Raises ConfigurationError where Pydantic is not installed.
    """
    try:
        import pydantic  # noqa: F401
    except ImportError:
        raise ConfigurationError(
            "response_model needs Pydantic: pip install 'switchyard-client[pydantic]'"
        ) from None
    with _one_at_a_time:
        return _build(task_name, json.dumps(thaw(schema), sort_keys=False))


@lru_cache(maxsize=256)
def _build(task_name: str, schema: str) -> "type[BaseModel]":
    from pydantic import BaseModel, RootModel

    root = json.loads(schema)
    builder = _Builder(root)
    name = f"{_class_name(task_name)}Response"
    kind = builder.type_of(root, name)
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return kind
    model: type[BaseModel] = type(name, (RootModel[kind],), {"__module__": __name__})  # type: ignore[valid-type]
    return model


class _Builder:
    """Walks one schema; a reference leads to the same class each time."""

    def __init__(self, root: Schema) -> None:
        self._root = root
        self._referred: dict[str, Any] = {}

    def type_of(self, schema: Any, name: str) -> Any:
        """The annotation for a subschema; `name` is for the class it may need."""
        if not isinstance(schema, Mapping):
            return Any  # true
        if "$ref" in schema:
            return self._reference(schema["$ref"])
        if "const" in schema:
            return _literal([schema["const"]])
        if "enum" in schema:
            return _literal(schema["enum"])
        for choice in ("anyOf", "oneOf"):
            if choice in schema:
                return self._union(schema[choice], name)
        if "allOf" in schema:
            return self.type_of(self._merged(schema), name)
        return self._typed(schema, name)

    def _typed(self, schema: Schema, name: str) -> Any:
        kind = schema.get("type", "object" if "properties" in schema else None)
        if isinstance(kind, list):
            return self._union([{**schema, "type": single} for single in kind], name)
        match kind:
            case "object":
                return self._object(schema, name)
            case "array":
                return self._array(schema, name)
            case "string":
                return _text(schema)
            case "integer" | "number":
                return _limited(PLAIN[kind], schema, NUMBER_LIMITS)
            case "boolean" | "null":
                return PLAIN[kind]
        return Any

    def _object(self, schema: Schema, name: str) -> Any:
        from pydantic import ConfigDict, create_model

        others = schema.get("additionalProperties", True)
        if not schema.get("properties"):
            return dict[str, self.type_of(others, f"{name}Value")]  # type: ignore[misc]
        required = schema.get("required", ())
        taken: set[str] = set()
        fields = {
            _field_name(key, taken): self._field(key, value, name, key in required)
            for key, value in schema["properties"].items()
        }
        return create_model(
            name,
            __config__=ConfigDict(
                extra="forbid" if others is False else "ignore",
                validate_by_name=True,
                validate_by_alias=True,
                serialize_by_alias=True,
                protected_namespaces=(),  # names that are really taken have been changed
            ),
            __doc__=schema.get("description"),
            __module__=__name__,
            **fields,
        )

    def _field(self, key: str, schema: Any, parent: str, required: bool) -> Any:
        from pydantic import Field

        kind = self.type_of(schema, f"{parent}{_class_name(key)}")
        said = schema if isinstance(schema, Mapping) else {}
        about = Field(alias=key, title=said.get("title"), description=said.get("description"))
        if required:
            return Annotated[kind, about], ...
        # Pydantic's custom: what may be left out may be null.
        return Annotated[kind | None if kind is not Any else Any, about], said.get("default")

    def _array(self, schema: Schema, name: str) -> Any:
        first = schema.get("prefixItems")
        items = schema.get("items", True)
        if first and items is False and schema.get("minItems") == len(first):
            members = [self.type_of(item, f"{name}{i}") for i, item in enumerate(first, 1)]
            return tuple[tuple(members)]  # type: ignore[misc]
        kind = Any if first else self.type_of(items, f"{name}Item")
        return _limited(list[kind], schema, LIST_LIMITS)  # type: ignore[valid-type]

    def _union(self, schemas: Sequence[Any], name: str) -> Any:
        kinds = [self.type_of(schema, f"{name}{i}") for i, schema in enumerate(schemas, 1)]
        return Union[tuple(kinds)] if kinds else Any  # noqa: UP007  # made of a list

    def _merged(self, schema: Schema) -> Schema:
        """One object with the properties of all parts; other words are the last one's."""
        merged: dict[str, Any] = {}
        rest = {key: value for key, value in schema.items() if key != "allOf"}
        for part in [*schema["allOf"], rest]:
            part = self._followed(part)
            properties = {**merged.get("properties", {}), **part.get("properties", {})}
            required = [*merged.get("required", ()), *part.get("required", ())]
            merged |= part
            if properties:
                merged |= {"properties": properties, "required": required}
        return merged

    def _followed(self, schema: Any) -> Schema:
        while isinstance(schema, Mapping) and "$ref" in schema:
            schema = self._target(schema["$ref"])
        if isinstance(schema, Mapping) and "allOf" in schema:
            schema = self._merged(schema)
        return schema if isinstance(schema, Mapping) else {}

    def _reference(self, reference: str) -> Any:
        if reference not in self._referred:
            self._referred[reference] = Any  # where one leads back to itself
            name = _class_name(reference.rpartition("/")[2])
            self._referred[reference] = self.type_of(self._target(reference), name)
        return self._referred[reference]

    def _target(self, reference: str) -> Any:
        found: Any = self._root
        for part in reference.removeprefix("#").split("/")[1:]:
            key = unquote(part).replace("~1", "/").replace("~0", "~")
            found = found[int(key)] if isinstance(found, list) else found[key]
        return found


def _text(schema: Schema) -> Any:
    from pydantic import AwareDatetime, Field

    if schema.get("format") == "date-time":
        return AwareDatetime
    kind = _limited(str, schema, TEXT_LIMITS)
    pattern = schema.get("pattern")
    if pattern is None or not _runs(pattern):
        return kind
    return Annotated[kind, Field(pattern=pattern)]


def _runs(pattern: str) -> bool:
    """False for what Pydantic's engine cannot run in linear time, such as a look-ahead."""
    from pydantic_core import SchemaError, SchemaValidator, core_schema

    try:
        SchemaValidator(core_schema.str_schema(pattern=pattern))
    except SchemaError:
        return False
    return True


def _limited(kind: Any, schema: Schema, words: Mapping[str, str]) -> Any:
    from pydantic import Field

    limits: dict[str, Any] = {words[word]: schema[word] for word in words if word in schema}
    return Annotated[kind, Field(**limits)] if limits else kind


def _literal(values: Sequence[Any]) -> Any:
    if all(isinstance(value, SCALARS) for value in values):
        return Literal[tuple(values)]
    return Any  # floats, lists, objects: Python has no literal of these


def _class_name(text: str) -> str:
    words = re.findall(r"[A-Za-z0-9]+", text)
    name = "".join(word[0].upper() + word[1:] for word in words)
    return f"{'Task' if not name or name[0].isdigit() else ''}{name}"


def _field_name(key: str, taken: set[str]) -> str:
    """A name that a field may have; the key itself is its alias."""
    name = re.sub(r"\W", "_", key).lstrip("_") or "field"
    if name[0].isdigit() or keyword.iskeyword(name) or name in _reserved() or name in taken:
        name = f"field_{name}" if name[0].isdigit() else f"{name}_"
    while name in taken:
        name += "_"
    taken.add(name)
    return name


@lru_cache(maxsize=1)
def _reserved() -> frozenset[str]:
    """What a model has itself: a field of that name would hide it."""
    from pydantic import BaseModel

    return frozenset(dir(BaseModel))
