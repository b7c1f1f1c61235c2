"""The wire shape of tasks and assignments."""

from typing import Any

from marshmallow import fields, validate

from app.core.rest import MAX_ID, Flag, PageArgs, ReadBack, Schema, Text, WholeNumber
from app.tasks.models import Assignment, Task

MAX_TEXT = 200_000  # characters of a description: it may be a prompt


class TaskPatch(Schema):
    """What changes a task: only the sent fields."""

    name = Text(min_length=1, max_length=128)
    description = Text(max_length=MAX_TEXT, allow_none=True)
    response_schema = fields.Dict(
        keys=fields.String(),
        allow_none=True,
        metadata={"description": "JSON Schema or the short form; null = any answer will do."},
    )


class TaskPut(ReadBack, TaskPatch):
    """The same, or a task as it was read."""


class TaskIn(TaskPatch):
    """What creates a task."""

    name = Text(min_length=1, max_length=128, required=True)


class TaskOut(Schema):
    """A task as it is read; its schema is always JSON Schema."""

    id = fields.Integer()
    name = fields.String()
    description = fields.String(allow_none=True)
    response_schema = fields.Dict(allow_none=True)
    version = fields.Integer()
    created_at = fields.AwareDateTime()
    updated_at = fields.AwareDateTime()


class TaskList(Schema):
    """A page of tasks."""

    tasks = fields.List(fields.Nested(TaskOut))
    total = fields.Integer()


class DeleteArgs(Schema):
    """Whether assigned agents lose the task as well."""

    cascade = fields.Boolean(load_default=False)


class SampleIn(Schema):
    """An answer to try."""

    sample = fields.Raw(required=True, allow_none=True)


class SampleError(Schema):
    """One thing that is wrong with a sample; ``$`` is the whole of it."""

    path = fields.String()
    message = fields.String()


class SampleOut(Schema):
    """What is wrong with a sample."""

    valid = fields.Boolean()
    errors = fields.List(fields.Nested(SampleError))


class SourceOut(Schema):
    """Python source of the schema's Pydantic model."""

    source = fields.String()


class AssignmentIn(Schema):
    """What gives an agent a task."""

    task_id = WholeNumber(low=1, high=MAX_ID, required=True)
    is_active = Flag(load_default=True)


class AssignmentPatch(Schema):
    """What changes an assignment."""

    is_active = Flag()


class AssignmentOut(Schema):
    """An agent's task."""

    agent_id = fields.String()
    task_id = fields.Integer()
    name = fields.String()
    description = fields.String(allow_none=True)
    response_schema = fields.Dict(allow_none=True)
    is_active = fields.Boolean()


class AgentTasks(Schema):
    """A page of an agent's tasks."""

    tasks = fields.List(fields.Nested(AssignmentOut))
    total = fields.Integer()


class AssignmentList(Schema):
    """A page of assignments."""

    assignments = fields.List(fields.Nested(AssignmentOut))
    total = fields.Integer()


class AssignmentArgs(PageArgs):
    """Filters of the list."""

    agent_id = Text(max_length=64, load_default=None)
    task_id = fields.Integer(load_default=None, validate=validate.Range(1, MAX_ID))


class AssignmentDeleted(Schema):
    """What a delete answers."""

    message = fields.String()
    agent_id = fields.String()
    task_id = fields.Integer()


def dump_task(task: Task) -> dict[str, Any]:
    """A task as it is read."""
    body: dict[str, Any] = TaskOut().dump(task)
    return body


def dump_assignment(assignment: Assignment) -> dict[str, Any]:
    """An agent's task."""
    return {
        "agent_id": assignment.agent.agent_id,
        "task_id": assignment.task_id,
        "name": assignment.task.name,
        "description": assignment.task.description,
        "response_schema": assignment.task.response_schema,
        "is_active": assignment.is_active,
    }
