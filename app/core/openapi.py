"""The OpenAPI document, written when it is first asked for: it is half of what a start costs."""

import re
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from threading import RLock
from typing import Any

from apispec import APISpec
from flask import Flask
from flask_smorest import Api
from flask_smorest import Blueprint as SmorestBlueprint
from flask_smorest.error_handler import ErrorSchema as PlainErrorSchema
from marshmallow import fields

IF_MATCH = {
    "in": "header",
    "name": "If-Match",
    "description": "The ETag of what you have read: 412 where somebody saved it since.",
    "schema": {"type": "string"},
}
NULL = {"nullable": True, "enum": [None]}
CHANGING = frozenset({"put", "patch", "delete"})
_OF_MANY = {"get": "list", "post": "create", "put": "replace"}
_OF_ONE = {"get": "get", "put": "put", "patch": "update", "delete": "delete"}


class ErrorSchema(PlainErrorSchema):
    """The one error payload, for the documentation."""

    request_id = fields.String(metadata={"description": "What the log has it under"})


class LateApi(Api):
    """smorest's Api; ``spec`` is whole from the moment that ``describe_from_now_on`` was called."""

    def __init__(self, app: Flask) -> None:
        self._pending: list[Callable[[], None]] = []
        self._is_asked = False
        self._writing = RLock()
        super().__init__(app)
        self.ma_plugin.converter.add_attribute_function(_reference_or_null)

    @property
    def spec(self) -> APISpec:
        """The document, with every view that is registered by now."""
        if self._is_asked:
            with self._writing:
                # Taken first: each of them asks for the document as well.
                pending, self._pending = self._pending, []
                for describe in pending:
                    describe()
        return self._spec

    @spec.setter
    def spec(self, spec: APISpec) -> None:
        self._spec = spec

    def _register_responses(self) -> None:
        """A schema for each HTTP status: only the document needs them."""
        self.describe_later(super()._register_responses)

    def describe_later(self, describe: Callable[[], None]) -> None:
        """Put off what adds views to the document."""
        self._pending.append(describe)

    def describe_from_now_on(self) -> None:
        """Every blueprint is registered: whoever reads the document now, means all of it."""
        self._is_asked = True


class LateBlueprint(SmorestBlueprint):
    """A blueprint of a ``LateApi``: each operation has a name, each error its payload."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._prepare_doc_cbks.append(_describe_if_match)

    def add_url_rule(
        self, rule: str, endpoint: str | None = None, view_func: Any = None, **options: Any
    ) -> None:
        """smorest's; an operation goes by its function's name, or by its place and method."""
        super().add_url_rule(rule, endpoint, view_func, **options)
        name = self._endpoints[-1]
        for method in self._docs[name].keys() - {"parameters"}:
            named = operation_id(rule, method) if isinstance(view_func, type) else name
            described = self._docs[name][method]
            described["manual_doc"] = {"operationId": named} | described.get("manual_doc", {})

    def alt_response(self, status_code: int, *args: Any, **options: Any) -> Any:
        """smorest's; what an error looks like need not be said."""
        if status_code >= HTTPStatus.BAD_REQUEST:
            options.setdefault("schema", ErrorSchema)
        return super().alt_response(status_code, *args, **options)

    def register_views_in_doc(self, api: LateApi, *args: Any, **options: Any) -> None:
        """Put it off."""
        api.describe_later(partial(super().register_views_in_doc, api, *args, **options))


def operation_id(rule: str, method: str) -> str:
    """What generated clients call it: ``list_agents``, ``create_agent``, ``get_agent``, ..."""
    parts = re.findall(r"/([a-z-]+)(/<[^>]+>)?", rule)
    nouns = [name.removesuffix("s") if one else name for name, one in parts]
    verb = (_OF_ONE if parts[-1][1] else _OF_MANY)[method]
    if verb == "create":
        nouns[-1] = nouns[-1].removesuffix("s")
    return "_".join([verb, *nouns]).replace("-", "_")


def _reference_or_null(
    _converter: Any, _field: Any, *, ret: dict[str, Any], **_context: Any
) -> dict[str, Any]:
    """apispec lets a nested field that may be null be any object whatever as well."""
    either = ret.pop("anyOf", [])
    references = [it for it in either if "$ref" in it]
    return {"anyOf": [*references, NULL]} if references else {}


def _describe_if_match(
    doc: dict[str, Any], _info: dict[str, Any], *, method: str, **_context: Any
) -> dict[str, Any]:
    """Whatever changes one resource takes the version that it was read at."""
    if method in CHANGING:
        doc["parameters"] = [*doc.get("parameters", []), IF_MATCH]
        doc["responses"].setdefault(412, HTTPStatus.PRECONDITION_FAILED.name)
    return doc
