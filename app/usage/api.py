"""REST: usage comes in, and what it came to goes out."""

from collections.abc import Iterable
from dataclasses import asdict
from itertools import chain
from typing import Any

from flask import Response, jsonify, request, stream_with_context
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge, UnsupportedMediaType

from app.accounts.gate import Permission, current_caller, requires
from app.core.rest import Blueprint, refuse_encoded
from app.usage.body import MAX_BYTES, TooMany, parse_events
from app.usage.csv_rows import csv_lines
from app.usage.event_fields import Event
from app.usage.event_pages import list_events
from app.usage.ingestion import ingest
from app.usage.intake import intake
from app.usage.listing import FILTERS, Selection, dump_event, slices
from app.usage.measures import COUNTS, PERCENTILES
from app.usage.periods import read_period, read_zone
from app.usage.reach import Reach, Sight
from app.usage.schemas import (
    EventArgs,
    EventExportArgs,
    EventList,
    ReceiptOut,
    SummaryArgs,
    SummaryOut,
    UsageIn,
)
from app.usage.summary import read_group_by, rows_of, summarise
from app.usage.sums import DAILY, GROUPS, Question

blueprint = Blueprint("usage", __name__, description="What agents spent")
CONTENT = {"application/json": {"schema": UsageIn}}
CSV = "text/csv; charset=utf-8"
EVENT_COLUMNS = (
    *Event._fields,
    *("received_at", "clock_skew", "cost", "currency", "price_source"),
)


@blueprint.route("/usage", methods=["POST"])
@requires(Permission.REPORT)
@blueprint.doc(requestBody={"required": True, "content": CONTENT})
@blueprint.response(200, ReceiptOut)
@blueprint.alt_response(400, description="The body is no JSON")
@blueprint.alt_response(413, description="More than 1,000 events, or 16 MiB")
@blueprint.alt_response(415, description="Not JSON, or compressed")
@blueprint.alt_response(422, description="Not a list of events")
@blueprint.alt_response(429, description="More than can be stored just now: see Retry-After")
def report_usage() -> Response:
    """Store usage events, each once; those that will not do are named, the others kept."""
    reach, events = Reach(current_caller()), _read_events()
    with intake().enter():
        receipt = ingest(events, reach)
    return jsonify(asdict(receipt))


@blueprint.route("/usage/summary")
@requires(Permission.READ)
@blueprint.arguments(SummaryArgs, location="query")
@blueprint.response(200, SummaryOut)
def get_usage_summary(args: dict[str, Any]) -> Response:
    """What was spent, by agent, model, provider, task and day of a time zone."""
    return jsonify(summarise(_question(args)))


@blueprint.route("/usage/summary.csv")
@requires(Permission.READ)
@blueprint.arguments(SummaryArgs, location="query")
@blueprint.response(200, content_type="text/csv")
def export_usage_summary(args: dict[str, Any]) -> Response:
    """The same as a table, with the total as its last row."""
    question = _question(args)
    answer = summarise(question)
    stated = {"currency": answer["currency"], "tz": answer["tz"]}
    groups = [GROUPS.get(name, DAILY) for name in question.group_by]
    latencies = [f"latency_ms_p{share}" for share in PERCENTILES]
    columns = [*groups, *COUNTS, "cost", *latencies, *stated]
    return _csv("usage-summary.csv", columns, (row | stated for row in rows_of(answer)))


@blueprint.route("/usage/events")
@requires(Permission.READ)
@blueprint.arguments(EventArgs, location="query")
@blueprint.response(200, EventList)
def list_usage_events(args: dict[str, Any]) -> Response:
    """The events with their costs and the rates applied, newest first."""
    events, total = list_events(_selection(args), args["page"], args["page_size"])
    return jsonify({"events": [dump_event(event) for event in events], "total": total})


@blueprint.route("/usage/events.csv")
@requires(Permission.READ)
@blueprint.arguments(EventExportArgs, location="query")
@blueprint.response(200, content_type="text/csv")
def export_usage_events(args: dict[str, Any]) -> Response:
    """All of them as a table."""
    events = chain.from_iterable(slices(_selection(args)))
    return _csv("usage-events.csv", EVENT_COLUMNS, map(dump_event, events))


def _read_events() -> list[Any]:
    if not request.is_json:
        raise UnsupportedMediaType("Send the body as JSON, with Content-Type: application/json.")
    refuse_encoded(request)
    request.max_content_length = MAX_BYTES
    try:
        return parse_events(request.get_data())
    except TooMany as error:
        raise RequestEntityTooLarge(str(error)) from None
    except (ValueError, RecursionError) as error:
        raise BadRequest(str(error)) from None


def _question(args: dict[str, Any]) -> Question:
    group_by = read_group_by(",".join(args["group_by"]))
    return Question(group_by, read_zone(args["tz"]), _selection(args))


def _selection(args: dict[str, Any]) -> Selection:
    caller = current_caller()
    if "agent_id" in args:
        caller.require_agent(args["agent_id"])
    period = read_period(args.get("from_"), args.get("to"), read_zone(args["tz"]))
    filters = {name: args[name] for name in FILTERS if name in args}
    return Selection(period, filters, Sight.of(caller))


def _csv(name: str, columns: Iterable[str], rows: Iterable[dict[str, Any]]) -> Response:
    body = stream_with_context(csv_lines(list(columns), rows))
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(body, content_type=CSV, headers=headers)
