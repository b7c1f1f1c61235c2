"""Python source of the Pydantic model that a response schema stands for.

Written by datamodel-code-generator: docs/decisions/0003 says why.
"""

import json
import re
import warnings
from threading import Lock
from typing import Any

from app.core.errors import Conflict
from app.tasks.response_schema import LISTS, MAPS, ONE

_PLAIN = (
    {"$schema", "$ref", "type", "title", "description", "default", "examples", "enum", "const"}
    | {"format", "pattern", "minLength", "maxLength"}
    | {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}
    | {"minItems", "maxItems", "uniqueItems", "minContains", "maxContains"}
    | {"minProperties", "maxProperties", "required", "dependentRequired"}
)
_IMPORTED = {"Annotated", "Any", "AwareDatetime", "BaseModel", "ConfigDict", "Enum", "Field"} | {
    "Literal",
    "RootModel",
}
_ONE_AT_A_TIME = Lock()  # the generator keeps state of its own while it works


def generate(task_name: str, schema: dict[str, Any]) -> str:
    """The source, one class per object. Raises Conflict where the schema has no such model."""
    # 30 MiB that only a process pays in which somebody asks.
    from datamodel_code_generator import Error
    from datamodel_code_generator import generate as generate_code
    from datamodel_code_generator.enums import DataModelType, InputFileType
    from datamodel_code_generator.format import Formatter, PythonVersion
    from datamodel_code_generator.parser import LiteralType

    try:
        with _ONE_AT_A_TIME, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about formats it does not know: text will do
            source = generate_code(
                json.dumps(standard_only(schema) | {"title": class_name(task_name)}),
                input_file_type=InputFileType.JsonSchema,
                output_model_type=DataModelType.PydanticV2BaseModel,
                target_python_version=PythonVersion.PY_311,
                custom_class_name_generator=_class_name_of,
                custom_file_header=f"# What the task {json.dumps(task_name)} answers.",
                enum_field_as_literal=LiteralType.All,
                use_annotated=True,
                field_constraints=True,
                disable_future_imports=True,
                formatters=[Formatter.BUILTIN],
            )
    except Error as error:
        raise Conflict(f"No Pydantic model can be made of the schema: {error}") from None
    return f"{str(source).rstrip()}\n"


def class_name(task_name: str) -> str:
    """``TradeSignalResponse`` for "trade signal"; no class of Pydantic's ends like that."""
    name = _camel_case(task_name)
    return f"{'Task' if not name or name[0].isdigit() else ''}{name}Response"


def _class_name_of(name: str) -> str:
    """A class named for the title or property that it stands for, unless the source imports that.

    The generator evades the imports itself, but then mixes up two classes that it had to evade.
    """
    camel = _camel_case(name)
    if not camel or camel[0].isdigit() or camel in _IMPORTED:
        return f"Task{camel}"
    return camel


def _camel_case(name: str) -> str:
    words = re.findall(r"[A-Za-z0-9]+", name)
    return "".join(word[0].upper() + word[1:] for word in words)


def standard_only(schema: Any) -> Any:
    """The schema without extensions: the generator has some of its own that import modules."""
    if not isinstance(schema, dict):
        return schema
    kept: dict[str, Any] = {}
    for keyword, value in schema.items():
        if keyword in LISTS and isinstance(value, list):
            kept[keyword] = [standard_only(subschema) for subschema in value]
        elif keyword in MAPS:
            kept[keyword] = {name: standard_only(subschema) for name, subschema in value.items()}
        elif keyword in ONE:
            kept[keyword] = standard_only(value)
        elif keyword in _PLAIN:
            kept[keyword] = value
    return kept
