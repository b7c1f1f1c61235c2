"""REST: T1 and A12."""

from typing import Any

from flask import Response, request, url_for
from flask.views import MethodView

from app.accounts.gate import Permission, current_caller, requires
from app.agents.answers import visible_agent
from app.core.db import read_on
from app.core.rest import MAX_ID, Blueprint, Deleted, PageArgs, expected_version, paged, with_etag
from app.tasks import assignments, services
from app.tasks.models import Assignment, Task
from app.tasks.schemas import (
    AgentTasks,
    AssignmentArgs,
    AssignmentDeleted,
    AssignmentIn,
    AssignmentList,
    AssignmentOut,
    AssignmentPatch,
    DeleteArgs,
    SampleIn,
    SampleOut,
    SourceOut,
    TaskIn,
    TaskList,
    TaskOut,
    TaskPatch,
    TaskPut,
    dump_assignment,
    dump_task,
)

blueprint = Blueprint("tasks", __name__, description="Tasks, their response schemas, assignments")
ID = f"<int(max={MAX_ID}):task_id>"
PYTHON = "text/x-python"


@blueprint.route("/tasks")
class Tasks(MethodView):
    """Row T1."""

    @requires(Permission.READ)
    @blueprint.arguments(PageArgs, location="query")
    @blueprint.response(200, TaskList)
    def get(self, args: dict[str, Any]) -> dict[str, Any]:
        """List tasks by name."""
        tasks, total = paged(services.list_query(args), args)
        return {"tasks": tasks, "total": total}

    @requires(Permission.WRITE)
    @blueprint.arguments(TaskIn)
    @blueprint.response(201, TaskOut)
    @blueprint.alt_response(409, description="The name is taken")
    def post(self, data: dict[str, Any]) -> Response:
        """Create a task; its schema may be JSON Schema or the short form."""
        current_caller().require_unbound()
        task = services.create_task(data)
        response = _task_response(task, 201)
        response.location = url_for("tasks.OneTask", task_id=task.id)
        return response


@blueprint.route(f"/tasks/{ID}")
class OneTask(MethodView):
    """Row T1, one of them."""

    @requires(Permission.READ)
    @blueprint.response(200, TaskOut)
    def get(self, task_id: int) -> Response:
        """Read one task."""
        return _task_response(services.get_task(task_id))

    @requires(Permission.WRITE)
    @blueprint.arguments(TaskPatch)
    @blueprint.response(200, TaskOut)
    def patch(self, data: dict[str, Any], task_id: int) -> Response:
        """Change the sent fields; null clears."""
        current_caller().require_unbound()
        return _task_response(services.update_task(task_id, data, expected_version()))

    @requires(Permission.WRITE)
    @blueprint.arguments(TaskPut)
    @blueprint.response(200, TaskOut)
    def put(self, data: dict[str, Any], task_id: int) -> Response:
        """The same as PATCH: only the sent fields change."""
        current_caller().require_unbound()
        return _task_response(services.update_task(task_id, data, expected_version()))

    @requires(Permission.WRITE)
    @blueprint.arguments(DeleteArgs, location="query")
    @blueprint.response(200, Deleted)
    @blueprint.alt_response(409, description="Agents have it; the message names them")
    def delete(self, args: dict[str, Any], task_id: int) -> dict[str, Any]:
        """Remove a task that no agent has; ``?cascade=true`` takes it from those that do."""
        current_caller().require_unbound()
        services.delete_task(task_id, expected_version(), cascade=args["cascade"])
        return {"message": "The task is deleted.", "id": task_id}


@blueprint.route(f"/tasks/{ID}/check", methods=["POST"])
@requires(Permission.READ)
@blueprint.arguments(SampleIn)
@blueprint.response(200, SampleOut)
def check_task_sample(data: dict[str, Any], task_id: int) -> dict[str, Any]:
    """Try a sample answer against the schema; nothing is stored."""
    errors = services.check_sample(task_id, data["sample"])
    return {"valid": not errors, "errors": errors}


@blueprint.route(f"/tasks/{ID}/pydantic")
@requires(Permission.READ)
@blueprint.response(200, SourceOut)
@blueprint.alt_response(409, description="No model can be made of the schema")
def get_task_pydantic(task_id: int) -> Any:
    """Python source of the answers' Pydantic model, as JSON or as ``text/x-python``."""
    source = services.pydantic_source_of(services.get_task(task_id))
    if request.accept_mimetypes.best_match(["application/json", PYTHON]) == PYTHON:
        return Response(source, mimetype=PYTHON)
    return {"source": source}


@blueprint.route("/agents/<agent_id>/tasks")
class AgentTaskList(MethodView):
    """Row A12."""

    @requires(Permission.READ)
    @blueprint.arguments(PageArgs, location="query")
    @blueprint.response(200, AgentTasks)
    def get(self, args: dict[str, Any], agent_id: str) -> dict[str, Any]:
        """The agent's tasks by name."""
        visible_agent(agent_id)
        found, total = paged(assignments.list_query(args | {"agent_id": agent_id}), args)
        return {"tasks": [dump_assignment(assignment) for assignment in found], "total": total}

    @requires(Permission.WRITE)
    @blueprint.arguments(AssignmentIn)
    @blueprint.response(201, AssignmentOut)
    @blueprint.alt_response(409, description="It has the task already")
    def post(self, data: dict[str, Any], agent_id: str) -> Response:
        """Give the agent a task."""
        current_caller().require_agent(agent_id)
        assignment = assignments.assign(agent_id, data, expected_version())
        response = _assignment_response(assignment, 201)
        task_id = assignment.task_id
        response.location = url_for("tasks.OneAssignment", agent_id=agent_id, task_id=task_id)
        return response


@blueprint.route(f"/agents/<agent_id>/tasks/{ID}")
class OneAssignment(MethodView):
    """Row A12, one of them. Its version is its agent's."""

    @requires(Permission.READ)
    @blueprint.response(200, AssignmentOut)
    def get(self, agent_id: str, task_id: int) -> Response:
        """Read one of the agent's tasks."""
        return _assignment_response(assignments.get_assignment(visible_agent(agent_id), task_id))

    @requires(Permission.WRITE)
    @blueprint.arguments(AssignmentPatch)
    @blueprint.response(200, AssignmentOut)
    def patch(self, data: dict[str, Any], agent_id: str, task_id: int) -> Response:
        """Switch it on or off."""
        current_caller().require_agent(agent_id)
        return _assignment_response(
            assignments.update_assignment(agent_id, task_id, data, expected_version())
        )

    @requires(Permission.WRITE)
    @blueprint.response(200, AssignmentDeleted)
    def delete(self, agent_id: str, task_id: int) -> dict[str, Any]:
        """Take the task from the agent."""
        current_caller().require_agent(agent_id)
        assignments.unassign(agent_id, task_id, expected_version())
        message = f"The agent '{agent_id}' no longer has the task."
        return {"message": message, "agent_id": agent_id, "task_id": task_id}


@blueprint.route("/assignments")
@requires(Permission.READ)
@blueprint.arguments(AssignmentArgs, location="query")
@blueprint.response(200, AssignmentList)
def list_assignments(args: dict[str, Any]) -> dict[str, Any]:
    """Who has which task, by agent and task."""
    caller = current_caller()
    if args["agent_id"] is not None:
        caller.require_agent(args["agent_id"])
    narrowed = args | {"visible_to": caller.visible_to, "slugs": caller.agents}
    found, total = paged(assignments.list_query(narrowed), args)
    return {"assignments": [dump_assignment(assignment) for assignment in found], "total": total}


def _task_response(task: Task, status: int = 200) -> Response:
    read_on()
    return with_etag(dump_task(task), task.version, status)


def _assignment_response(assignment: Assignment, status: int = 200) -> Response:
    read_on()
    return with_etag(dump_assignment(assignment), assignment.agent.version, status)
