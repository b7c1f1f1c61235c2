"""The configuration as one document: its shape, its texts, and the difference of two. Pure.

A document is a mapping of sections to lists of items; an item is told apart by its name, refers to
others by theirs, and holds no secret: ``api_key`` says "set" or null, and means nothing on import.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from marshmallow import Schema, ValidationError, fields, post_load, validate

from app.core import strict_json
from app.core.errors import BadRequest, Invalid
from app.core.rest import JsonObject
from app.core.rest import Schema as StrictSchema
from app.transfer import strict_yaml

FORMAT_VERSION = 1
FREE_FORM = frozenset({"metadata", "options", "settings", "response_schema"})
KEY_IS_SET = "set"
HEADER = "# Switchyard's configuration. Keys are not in it: api_key says whether one is set.\n"

Item = dict[str, Any]
Document = dict[str, list[Item]]


class KeyMarker(fields.Field[Any]):
    """Whether a key is set; read back it changes nothing, and nothing else is read."""

    def __init__(self) -> None:
        super().__init__(attribute="api_key_set", allow_none=True)

    def _serialize(self, value: Any, *args: Any, **kwargs: Any) -> str | None:
        return KEY_IS_SET if value else None

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> None:
        # The value is not repeated: somebody may have put a key there.
        if value != KEY_IS_SET:
            raise ValidationError(f"A key is not imported: write '{KEY_IS_SET}' or null.")


class FreeForm(JsonObject):
    """What people fill freely, in one order on every database: PostgreSQL keeps none."""

    def _serialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        return _in_order(super()._serialize(value, *args, **kwargs))


class ItemSchema(StrictSchema):
    """An item of a section, or a part of one."""

    @post_load
    def drop_marker(self, data: Item, **_kwargs: Any) -> Item:
        """The marker says nothing that could be stored."""
        data.pop("api_key_set", None)
        return data


class Shape(NamedTuple):
    """What a document needs to know of one section."""

    name: str
    key: str
    item: type[Schema]


class Difference(NamedTuple):
    """What happens to one item. ``fields`` maps paths in it to ``[old, new]``."""

    section: str
    name: str
    operation: str
    fields: dict[str, list[Any]]


def read(body: bytes, *, is_json: bool) -> Any:
    """Parse a document's text. Raises BadRequest, saying where it is wrong."""
    try:
        if is_json:
            return strict_json.loads(body, max_depth=strict_yaml.MAX_DEPTH)
        return strict_yaml.loads(body)
    except ValueError as error:
        raise BadRequest(str(error)) from None


def write(document: Document) -> str:
    """The document as YAML, ready for a repository."""
    return HEADER + strict_yaml.dumps(with_version(document))


def write_json(document: Document) -> str:
    """The same as JSON."""
    return json.dumps(with_version(document), ensure_ascii=False, indent=2) + "\n"


def with_version(document: Document) -> dict[str, Any]:
    """The document as it is stored: the version of its format first."""
    return {"format_version": FORMAT_VERSION, **document}


def schema_of(shapes: Iterable[Shape]) -> type[Schema]:
    """The shape of a whole document."""
    version = fields.Integer(strict=True, required=True, validate=validate.Equal(FORMAT_VERSION))
    sections: dict[str, Any] = {
        shape.name: fields.List(fields.Nested(shape.item)) for shape in shapes
    }
    return StrictSchema.from_dict({"format_version": version, **sections}, name="ConfigDocument")


def check(raw: Any, shapes: Iterable[Shape]) -> Document:
    """The validated sections that a document has. Raises Invalid naming the path of each fault."""
    if not isinstance(raw, dict):
        raise Invalid.field("format_version", "The document is a mapping that begins with this.")
    shapes = list(shapes)
    try:
        loaded: dict[str, Any] = schema_of(shapes)().load(raw)
    except ValidationError as error:
        raise Invalid(_by_path(error.messages_dict)) from None
    del loaded["format_version"]
    for shape in shapes:
        _refuse_doubles(shape, loaded.get(shape.name, []))
    return loaded


def diff(before: Document, after: Document, shapes: Iterable[Shape]) -> list[Difference]:
    """What turned the one document into the other, section by section."""
    found: list[Difference] = []
    for shape in shapes:
        old = {item[shape.key]: item for item in before[shape.name]}
        new = {item[shape.key]: item for item in after[shape.name]}
        for name in sorted(old.keys() | new.keys()):
            changed = _changed(old.get(name, {}), new.get(name, {}))
            operation = "delete" if name not in new else "update" if name in old else "create"
            if changed:
                found.append(Difference(shape.name, name, operation, changed))
    return found


def missing_keys(wanted: Document, after: Document, shapes: Iterable[Shape]) -> list[str]:
    """What the document says has a key and has none here: somebody has to enter it."""
    found: list[str] = []
    for shape in shapes:
        present = {item[shape.key]: flatten(item) for item in after[shape.name]}
        for item in wanted.get(shape.name, []):
            leaves = present.get(item[shape.key], {})
            for path, value in flatten(item).items():
                if path.endswith("api_key") and value == KEY_IS_SET and leaves.get(path) is None:
                    found.append(f"{shape.name} {item[shape.key]}: {path} has to be entered here.")
    return found


def alike(name: str, one: Item, other: Item) -> bool:
    """Whether two items say the same in a field, whatever they say about keys."""
    differing = _changed({name: one[name]}, {name: other[name]})
    return all(path.endswith(".api_key") for path in differing)


def flatten(value: Any, path: str = "") -> dict[str, Any]:
    """The leaves of an item by their paths. What people fill freely (metadata) is one leaf."""
    if isinstance(value, Mapping) and path.rpartition(".")[2] not in FREE_FORM:
        inner = [(f"{path}.{name}" if path else str(name), it) for name, it in value.items()]
    elif isinstance(value, list):
        inner = [(f"{path}[{number}]", it) for number, it in enumerate(value)]
    else:
        return {path: value}
    return {leaf: it for name, part in inner for leaf, it in flatten(part, name).items()}


def _in_order(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _in_order(value[name]) for name in sorted(value)}
    return [_in_order(it) for it in value] if isinstance(value, list) else value


def _changed(old: Item, new: Item) -> dict[str, list[Any]]:
    was, now = flatten(old), flatten(new)
    paths = dict.fromkeys([*was, *now])
    pairs = ((path, was.get(path), now.get(path)) for path in paths)
    return {path: [old, new] for path, old, new in pairs if not _same(old, new)}


def _same(one: Any, other: Any) -> bool:
    """Equal, in the same order: a model writes its answer in the order of its schema."""
    return bool(one == other) and (
        not isinstance(one, Mapping) or json.dumps(one) == json.dumps(other)
    )


def _by_path(errors: Mapping[Any, Any], path: str = "") -> dict[str, list[str]]:
    """marshmallow's nested messages under paths like ``agents[3].name``."""
    found: dict[str, list[str]] = {}
    for name, inner in errors.items():
        step = f"[{name}]" if isinstance(name, int) else f".{name}" if path else str(name)
        if isinstance(inner, Mapping):
            found |= _by_path(inner, path + step)
        else:
            found[path + step] = inner
    return found


def _refuse_doubles(shape: Shape, items: list[Item]) -> None:
    seen: set[str] = set()
    for number, item in enumerate(items):
        name = item[shape.key]
        if name in seen:
            message = f"'{name}' stands in the document twice."
            raise Invalid.field(f"{shape.name}[{number}].{shape.key}", message)
        seen.add(name)
