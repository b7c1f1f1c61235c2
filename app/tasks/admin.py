"""Admin: tasks, the schemas of their answers, and the grid of who has which."""

import json
from collections.abc import Callable
from typing import Any

from flask import Response, g, jsonify, request
from flask.typing import ResponseReturnValue
from flask_admin.model.template import macro

from app.admin.base import ResourceView, expose
from app.admin.fields import JsonField, LineField, ProseField, ResourceForm
from app.agents import services as agents
from app.core import strict_json
from app.core.errors import Invalid, SwitchyardError
from app.core.rest import paged
from app.tasks import assignments, services
from app.tasks.inference import infer_schema
from app.tasks.models import Task
from app.tasks.schemas import TaskIn, TaskPatch

SHOWN_AGENTS = 100
GRID_AGENTS = 25
GRID_TASKS = 12


class SchemaField(JsonField):
    """A response schema as text, in either form."""

    example = '{"signal": {"type": "string"}}'


class TaskForm(ResourceForm):
    """A task as it is entered. The schema's text is what counts; the fields beside it edit it."""

    name = LineField("Name", required=True)
    description = ProseField("Description", render_kw={"rows": 3})
    response_schema = SchemaField("JSON", render_kw={"rows": 18, "spellcheck": "false"})

    def payload(self) -> dict[str, Any]:
        return {
            "name": self.name.data,
            "description": self.description.data,
            "response_schema": self.response_schema.data or None,
        }


class TaskView(ResourceView):
    """Tasks: list, form with its schema editor, details, grid."""

    noun = "Task"
    icon = "task"
    form = TaskForm
    create_schema = TaskIn
    update_schema = TaskPatch
    list_template = "switchyard/tasks.html"
    details_template = "switchyard/task.html"
    create_template = edit_template = "switchyard/task_form.html"
    column_list = ("name", "response_schema", "agents", "updated_at")
    column_details_list = ("name", "description", "response_schema")
    column_export_list = ("name", "description", "response_schema")
    column_labels = {  # noqa: RUF012  Flask-Admin assigns it to the instance
        "response_schema": "Answer",
        "updated_at": "Changed",
    }
    column_sortable_list = ("name", "updated_at")
    column_formatters = {  # noqa: RUF012
        "name": macro("name_cell"),
        "response_schema": macro("answer_cell"),
        "agents": macro("agents_cell"),
        "updated_at": macro("changed_cell"),
    }
    column_formatters_export: dict[str, Any] = {}  # noqa: RUF012

    def list_query(self, args: dict[str, Any]) -> Any:
        return services.list_query(args)

    def find(self, row_id: int) -> Task:
        return services.get_task(row_id)

    def create(self, data: dict[str, Any]) -> tuple[Task, list[str]]:
        return services.create_task(data), []

    def update(self, row: Task, data: dict[str, Any], version: int) -> tuple[Task, list[str]]:
        return services.update_task(row.id, data, version), []

    def delete(self, row: Task, version: int) -> None:
        """The button says how many agents lose it, so that they do."""
        cascade = request.args.get("cascade") == "1"
        services.delete_task(row.id, version, cascade=cascade)

    def name_of(self, row: Task) -> str:
        return row.name

    @expose("/grid/")
    def grid_view(self) -> ResponseReturnValue:
        """Agents by tasks; a tick gives or takes."""
        search = {name: _argument(name) for name in ("agent", "task")}
        page = {name: _page(f"{name}_page") for name in search}
        rows, row_count = paged(
            agents.list_query({"search": search["agent"], "visible_to": g.caller.visible_to}),
            {"page": page["agent"], "page_size": GRID_AGENTS},
        )
        columns, column_count = paged(
            services.list_query({"search": search["task"]}),
            {"page": page["task"], "page_size": GRID_TASKS},
        )
        return str(
            self.render(
                "switchyard/task_grid.html",
                agents=[(agent, {a.task_id: a for a in agent.assignments}) for agent in rows],
                tasks=columns,
                search=search,
                page=page,
                pages={
                    "agent": -(-row_count // GRID_AGENTS),
                    "task": -(-column_count // GRID_TASKS),
                },
            )
        )

    @expose("/draft/", methods=("POST",))
    def draft_view(self) -> ResponseReturnValue:
        """What a schema that is not saved yet amounts to: JSON Schema, model, a sample's errors."""
        return _answer(_check_draft)

    @expose("/infer/", methods=("POST",))
    def infer_view(self) -> ResponseReturnValue:
        """A schema made from a sample answer."""
        return _answer(lambda body: {"response_schema": infer_schema(body.get("sample"))})

    def render(self, template: str, **kwargs: Any) -> str:
        """The list counts who has a task, its page names them."""
        if template == self.list_template:
            ids = [task.id for task in kwargs["data"]]
            kwargs["agents"] = assignments.count_agents(ids, visible_to=g.caller.visible_to)
        elif template == self.details_template:
            query = assignments.list_query(
                {"task_id": kwargs["model"].id, "visible_to": g.caller.visible_to}
            )
            found, total = paged(query, {"page": 1, "page_size": SHOWN_AGENTS})
            schema = json.dumps(kwargs["model"].response_schema, indent=2, ensure_ascii=False)
            kwargs |= {"assigned": found, "assigned_total": total, "schema_text": schema}
        return str(super().render(template, **kwargs))


def _check_draft(body: dict[str, Any]) -> dict[str, Any]:
    to_try = body.get("samples")
    return services.check_draft(
        str(body.get("name") or "task"),
        body.get("response_schema"),
        to_try if isinstance(to_try, list) else [],
    )


def _answer(verb: Callable[[dict[str, Any]], dict[str, Any]]) -> Response:
    """Run ``verb`` on the JSON body. It answers a script, so what is wrong is JSON too."""
    try:
        body = strict_json.loads(request.get_data())
        if not isinstance(body, dict):
            raise Invalid.field("body", "A JSON object is wanted.")
        return jsonify(verb(body))
    except (ValueError, RecursionError) as error:
        message, status = str(error) or "Nested too deep.", 400
    except SwitchyardError as error:
        message, status = error.message, error.status
    response = jsonify({"message": message})
    response.status_code = status
    return response


def _argument(name: str) -> str:
    return request.args.get(name, "").replace("\x00", "").strip()[:128]


def _page(name: str) -> int:
    text = request.args.get(name, "1")
    return max(1, int(text)) if text.isascii() and text.isdigit() and len(text) < 6 else 1
