"""REST: U2. The history and restore stand here, for they look at every domain."""

from typing import Any

from flask import Response, jsonify, request
from werkzeug.exceptions import UnsupportedMediaType

from app.accounts.gate import Permission, current_caller, requires
from app.changes.schemas import ChangeArgs, ChangeList, RestoreIn, RestoreOut, dump_changes
from app.changes.services import read_state
from app.core.rest import (
    Blueprint,
    expected_tag,
    expected_version,
    paged,
    refuse_encoded,
    with_etag,
)
from app.transfer import document
from app.transfer.export import export_document
from app.transfer.history import visible_history
from app.transfer.importing import MAX_BYTES, import_document
from app.transfer.restore import restore
from app.transfer.schemas import ImportArgs, ImportReport
from app.transfer.sections import SHAPES

blueprint = Blueprint("transfer", __name__, description="History, restore, export, import")
DocumentIn = document.schema_of(SHAPES)
YAML = "text/yaml; charset=utf-8"
CONTENT = {"text/yaml": {"schema": {"type": "string"}}, "application/json": {"schema": DocumentIn}}
YAML_TYPES = {"text/yaml", "application/yaml", "text/x-yaml", "application/x-yaml"}


@blueprint.route("/changes")
@requires(Permission.READ)
@blueprint.arguments(ChangeArgs, location="query")
@blueprint.response(200, ChangeList)
def list_changes(args: dict[str, Any]) -> Any:
    """Who changed what, newest first."""
    caller = current_caller()
    page = {name: args.pop(name) for name in ("page", "page_size")}
    if (agent_id := args.pop("agent_id", None)) is not None:
        caller.require_agent(agent_id)
        args["root"] = agent_id
    query = visible_history(args, visible_to=caller.visible_to, slugs=caller.agents)
    changes, total = paged(query, page)
    return jsonify({"changes": dump_changes(changes), "total": total})


@blueprint.route("/changes/<int(max=9007199254740991):rev>/restore", methods=["POST"])
@requires(Permission.WRITE)
@blueprint.arguments(RestoreIn, required=False)
@blueprint.response(200, RestoreOut)
@blueprint.alt_response(404, description="The history does not know it")
@blueprint.alt_response(409, description="What it belongs to is gone, or its name is taken")
@blueprint.alt_response(412, description="Somebody saved it since you read it")
def restore_change(data: dict[str, Any], rev: int) -> Any:
    """Bring one entity back to its state right after a change, as a new change."""
    caller = current_caller()
    caller.require_unbound()
    restored = restore(
        rev,
        **data,
        expected_version=expected_version(),
        may_give_away=caller.may(Permission.ADMINISTER),
    )
    return restored._asdict()


@blueprint.route("/config/export")
@requires(Permission.SURVEY)
@blueprint.response(200, content_type="text/yaml")
def export_config() -> Response:
    """The whole configuration without secrets, as YAML, or as JSON where that is accepted."""
    found, state = export_document(), read_state()
    kind = "json" if _wants_json() else "yaml"
    if kind == "json":
        response: Response = jsonify(document.with_version(found))
    else:
        response = Response(document.write(found), content_type=YAML)
        response.headers["Content-Disposition"] = 'attachment; filename="switchyard.yaml"'
    response.set_etag(f"{state.epoch[:8]}-{state.rev}-{kind}")
    response.vary.add("Accept")
    response.make_conditional(request)
    return response


@blueprint.route("/config/import", methods=["POST"])
@requires(Permission.ADMINISTER)
@blueprint.arguments(ImportArgs, location="query")
@blueprint.doc(requestBody={"required": True, "content": CONTENT})
@blueprint.response(200, ImportReport)
@blueprint.alt_response(400, description="It is not YAML or JSON, or not allowed in this state")
@blueprint.alt_response(409, description="An item clashes with what is stored; it is named")
@blueprint.alt_response(413, description="Larger than 16 MiB")
@blueprint.alt_response(415, description="Neither YAML nor JSON")
@blueprint.alt_response(412, description="The difference is another than the one of If-Match")
def import_config(args: dict[str, Any]) -> Response:
    """Make the configuration what a document says, all of it or nothing.

    A dry run's ETag, sent as If-Match, insists on the difference that it showed.
    """
    report = import_document(_read_document(), **args, expected=expected_tag())
    return with_etag(report.to_dict(), report.digest)


def _wants_json() -> bool:
    offered = ["text/yaml", *sorted(YAML_TYPES), "application/json"]
    return request.accept_mimetypes.best_match(offered) == "application/json"


def _read_document() -> Any:
    if request.mimetype not in {*YAML_TYPES, "application/json"}:
        raise UnsupportedMediaType("Send YAML (text/yaml) or JSON (application/json).")
    refuse_encoded(request)
    request.max_content_length = MAX_BYTES
    return document.read(request.get_data(), is_json=request.is_json)
