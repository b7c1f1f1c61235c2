"""REST furniture that every domain's api.py shares: strict bodies, fields, pages, ETags."""

import re
from typing import Any, ClassVar

import marshmallow as ma
import sqlalchemy as sa
from flask import Request, Response, jsonify, request
from marshmallow import fields, validate
from webargs.flaskparser import FlaskParser, abort
from werkzeug.exceptions import BadRequest, PreconditionFailed, UnsupportedMediaType

from app.core import strict_json
from app.core.addresses import check_url_syntax
from app.core.clock import with_plus
from app.core.db import db
from app.core.openapi import LateBlueprint

MAX_ID = 2**31 - 1
MAX_PAGE_SIZE = 200


class StrictParser(FlaskParser):
    """Bodies are JSON, said to be JSON, and strict JSON."""

    DEFAULT_UNKNOWN_BY_LOCATION: dict[str, str | None] = {  # noqa: RUF012
        "json": ma.RAISE,
        "query": ma.RAISE,
        "headers": ma.EXCLUDE,
    }

    def load_json(self, req: Request, schema: ma.Schema) -> Any:
        if not getattr(schema, "needs_body", True) and not req.get_data():
            return {}
        if not req.is_json:
            raise UnsupportedMediaType(
                "Send the body as JSON, with Content-Type: application/json."
            )
        refuse_encoded(req)
        try:
            return strict_json.loads(req.get_data())
        except strict_json.Refused as error:
            named = {"json": {error.field or "_schema": [error.reason]}}
            abort(400, message=str(error), errors=named)
        except (ValueError, RecursionError) as error:
            raise BadRequest(str(error)) from None

    def load_querystring(self, req: Request, schema: ma.Schema) -> Any:
        """Raises ValidationError for what only one of the databases would take."""
        flawed = {name for name, value in req.args.items(multi=True) if "\0" in value}
        if flawed:
            raise ma.ValidationError({name: ["A null character is no text."] for name in flawed})
        return super().load_querystring(req, schema)


def refuse_encoded(req: Request) -> None:
    """Raises UnsupportedMediaType for a compressed body: a small one may unpack to any size."""
    if req.headers.get("Content-Encoding", "identity") != "identity":
        raise UnsupportedMediaType("Send the body as it is, without Content-Encoding.")


class Blueprint(LateBlueprint):
    """A smorest blueprint with the strict parser."""

    ARGUMENTS_PARSER = StrictParser()

    def arguments(self, schema: type["Schema"], *, required: bool = True, **kwargs: Any) -> Any:
        """smorest's, with the schema built once instead of for every request.

        A body that is not ``required`` may be left out: the red button needs no words.
        """
        built = schema()
        built.needs_body = required
        return super().arguments(built, required=required, **kwargs)


class Schema(ma.Schema):
    """Unknown fields are refused, and fields come out in the order they are declared."""

    class Meta:
        unknown = ma.RAISE

    error_messages = {"type": "Not a JSON object."}  # noqa: RUF012
    needs_body = True


class ReadBack(Schema):
    """What a PUT takes: its GET's answer, edited. What can only be read is left out of it."""

    only_read: ClassVar[frozenset[str]] = frozenset({"id", "version", "created_at", "updated_at"})

    @ma.pre_load
    def leave_out(self, data: Any, **_kwargs: Any) -> Any:
        """Anything but an object is for the fields to refuse."""
        if not isinstance(data, dict):
            return data
        return {name: value for name, value in data.items() if name not in self.only_read}


class Text(fields.String):
    """Text without null characters, which PostgreSQL does not store, and of bounded length."""

    def __init__(self, *, max_length: int, min_length: int = 0, **kwargs: Any) -> None:
        super().__init__(validate=validate.Length(min=min_length, max=max_length), **kwargs)


class Pattern(validate.Regexp):
    """What a text is as a whole. It ends in ``$``, which OpenAPI knows: ``\\Z`` is Python's only,
    whose own ``$`` lets a line feed follow."""

    regex: re.Pattern[Any]

    def __call__(self, value: Any) -> Any:
        if self.regex.fullmatch(value) is None:
            raise ma.ValidationError(self._format_error(value))
        return value


class Number(fields.Float):
    """A JSON number: no text, no boolean, no NaN."""

    def __init__(self, *, low: float, high: float, **kwargs: Any) -> None:
        super().__init__(allow_nan=False, validate=validate.Range(low, high), **kwargs)

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.make_error("invalid")
        return super()._deserialize(value, *args, **kwargs)


class WholeNumber(fields.Integer):
    """A JSON integer: 1.9, "1_000" and true are not."""

    def __init__(self, *, low: int, high: int = MAX_ID, **kwargs: Any) -> None:
        super().__init__(strict=True, validate=validate.Range(low, high), **kwargs)

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        if not isinstance(value, int) or isinstance(value, bool):
            raise self.make_error("invalid")
        return super()._deserialize(value, *args, **kwargs)


class Flag(fields.Boolean):
    """true or false, and nothing that merely looks like it."""

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        if not isinstance(value, bool):
            raise self.make_error("invalid")
        return value


class Instant(fields.AwareDateTime):
    """A time with its zone, in a body or in a query."""

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        text = with_plus(value) if isinstance(value, str) else value
        return super()._deserialize(text, *args, **kwargs)


class JsonObject(fields.Dict):
    """A JSON object; null empties it."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(keys=fields.String(), allow_none=True, **kwargs)

    def deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        return {} if value is None else super().deserialize(value, *args, **kwargs)


class HttpUrl(fields.String):
    """An http or https URL, kept verbatim but for blanks around it."""

    def __init__(self, *, metadata: dict[str, str] | None = None, **kwargs: Any) -> None:
        super().__init__(metadata={"format": "uri", **(metadata or {})}, **kwargs)

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> str:
        url = str(super()._deserialize(value, *args, **kwargs)).strip()
        if reason := check_url_syntax(url):
            raise ma.ValidationError(reason)
        return url


class KeyText(Text):
    """A write-only API key; null clears it. A blank or a line's end around it came by pasting."""

    def __init__(self) -> None:
        super().__init__(min_length=1, max_length=4096, allow_none=True, load_only=True)

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> str:
        key = str(super()._deserialize(value, *args, **kwargs)).strip()
        if not (key.isascii() and key.isprintable()):
            raise ma.ValidationError("It holds a character that no header can carry.")
        return key


class PageArgs(Schema):
    """``?page=&page_size=`` of every list."""

    page = fields.Integer(load_default=1, validate=validate.Range(1, 1_000_000))
    page_size = fields.Integer(load_default=50, validate=validate.Range(1, MAX_PAGE_SIZE))
    search = Text(max_length=128, load_default=None)


class Deleted(Schema):
    """What a delete answers."""

    message = fields.String()
    id = fields.Integer()


def paged(query: sa.Select[Any], args: dict[str, Any]) -> tuple[list[Any], int]:
    """One page of a query, and how many rows it has in all."""
    count = sa.select(sa.func.count()).select_from(query.order_by(None).subquery())
    total = db.session.scalar(count) or 0
    page = query.limit(args["page_size"]).offset((args["page"] - 1) * args["page_size"])
    return list(db.session.scalars(page).unique()), total


def with_etag(body: dict[str, Any], etag: str | int, status: int = 200) -> Response:
    """An answer that carries its ETag, for a later ``If-Match``."""
    response: Response = jsonify(body)
    response.status_code = status
    response.set_etag(str(etag))
    return response


def not_modified(etag: str) -> Response | None:
    """The answer 304 to whoever has what this ETag stands for, None to others."""
    if not request.if_none_match.contains_weak(etag):
        return None
    response = Response(status=304, mimetype="application/json")
    response.set_etag(etag)
    return response


def expected_version() -> int | None:
    """The row version that ``If-Match`` insists on, or None where any will do."""
    tag = expected_tag()
    if tag is None:
        return None
    if not tag.isascii() or not tag.isdigit():
        raise PreconditionFailed("If-Match is not the ETag of this resource.")
    return int(tag[:18])


def expected_tag() -> str | None:
    """The one ETag of ``If-Match``, or None where anything will do. What is no ETag at all is not
    what the caller has read, either: raises PreconditionFailed."""
    tags = request.if_match
    if "If-Match" not in request.headers or tags.star_tag:
        return None
    given = tags.as_set(include_weak=True)
    if len(given) != 1:
        raise PreconditionFailed("If-Match takes one ETag: the version that you have read.")
    return (next(iter(given)) or "").removeprefix("W/").strip('"')
