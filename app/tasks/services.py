"""The verbs of tasks: create, update, delete, check a sample, show the model."""

from typing import Any

import sqlalchemy as sa

from app.agents.models import Agent
from app.core.db import commit, db, find_row, flush, lock
from app.core.errors import Conflict, Invalid, NotFound
from app.core.versions import check_version
from app.tasks import pydantic_source, samples
from app.tasks.models import Assignment, Task, ordered
from app.tasks.response_schema import normalise

MAX_SAMPLES = 10


def get_task(task_id: int, *, for_update: bool = False) -> Task:
    """The task with this id. Raises NotFound."""
    task = find_row(Task, task_id, for_update=for_update)
    if task is None:
        raise NotFound("There is no such task.")
    return task


def find_by_name(name: str) -> Task | None:
    """The task with this name."""
    return db.session.scalar(sa.select(Task).where(Task.name == name))


def list_query(args: dict[str, Any]) -> sa.Select[Any]:
    """Tasks by name, filtered by a part of name or description."""
    query = sa.select(Task).order_by(Task.name, Task.id)
    if args.get("search"):
        term = args["search"]
        query = query.where(
            Task.name.icontains(term, autoescape=True)
            | Task.description.icontains(term, autoescape=True)
        )
    return query


def create_task(data: dict[str, Any]) -> Task:
    """Store a task; its schema may come in either form. Raises Invalid, Conflict."""
    task = add_task(data)
    commit()
    return task


def add_task(data: dict[str, Any]) -> Task:
    """The same within a larger transaction: flushed, not committed."""
    task = Task(name=data["name"])
    _write(task, data)
    db.session.add(task)
    flush()
    return task


def update_task(task_id: int, data: dict[str, Any], expected_version: int | None = None) -> Task:
    """Change the sent fields; null clears. Raises NotFound, Stale, Invalid, Conflict."""
    task = get_task(task_id, for_update=True)
    check_version(task.version, expected_version)
    change_task(task, data)
    commit()
    return task


def change_task(task: Task, data: dict[str, Any]) -> None:
    """The same within a larger transaction: flushed, not committed."""
    _write(task, data)
    flush()


def delete_task(
    task_id: int, expected_version: int | None = None, *, cascade: bool = False
) -> None:
    """Remove a task that no agent has, or with ``cascade`` take it from them as well.

    Raises NotFound, Stale, Conflict naming the agents.
    """
    get_task(task_id)
    lock_assignments(task_id)
    _lock_agents_with(task_id)  # before the task, in the order in which `assign` takes them
    task = get_task(task_id, for_update=True)
    check_version(task.version, expected_version)
    remove_task(task, cascade=cascade)
    commit()


def remove_task(task: Task, *, cascade: bool = False) -> None:
    """The same within a larger transaction: flushed, not committed."""
    users = used_by(task)
    if users and not cascade:
        raise Conflict(
            f"The task is assigned to: {', '.join(users)}. Add ?cascade=true to take it from them."
        )
    db.session.delete(task)
    flush()


def used_by(task: Task) -> list[str]:
    """The slugs of the agents that have the task."""
    query = sa.select(Agent.agent_id).join(Assignment, Assignment.agent_pk == Agent.id)
    return sorted(db.session.scalars(query.where(Assignment.task_id == task.id)))


def brief(task: Task) -> dict[str, Any]:
    """A task as the socket tells of it: enough to know that a schema is to be read again."""
    return {
        "id": task.id,
        "name": task.name,
        "description": task.description,
        "version": task.version,
    }


def check_sample(task_id: int, sample: Any) -> list[dict[str, str]]:
    """What is wrong with a sample answer: ``path`` and ``message`` each.

    Raises NotFound, and Invalid for a sample that is too large.
    """
    schema = get_task(task_id).response_schema
    db.session.rollback()  # a POST holds SQLite's write lock, and a check may take a moment
    return [] if schema is None else samples.check_sample(schema, sample)


def check_draft(name: str, raw: Any, to_try: list[Any]) -> dict[str, Any]:
    """What a schema that is not stored yet amounts to; ``to_try`` are sample answers.

    Returns ``problem`` (None where it is a schema), ``response_schema`` (JSON Schema), ``source``
    (None where no model can be made of it) and ``errors``, a list for each sample.
    """
    db.session.rollback()  # as above
    try:
        if not isinstance(raw, dict):
            raise Invalid.field("response_schema", "A JSON object is wanted.")
        schema = normalise(raw)
        errors = [samples.check_sample(schema, sample) for sample in to_try[:MAX_SAMPLES]]
    except Invalid as error:
        return {"problem": error.message}
    try:
        source = pydantic_source.generate(name, schema)
    except Conflict:
        source = None
    return {"problem": None, "response_schema": schema, "source": source, "errors": errors}


def pydantic_source_of(task: Task) -> str:
    """Python source of a Pydantic model of the task's answers. Raises NotFound, Conflict."""
    if task.response_schema is None:
        raise NotFound("The task has no response schema, so there is no model of it.")
    return pydantic_source.generate(task.name, task.response_schema)


def _write(task: Task, data: dict[str, Any]) -> None:
    changed: dict[str, Any] = {name: data[name] for name in ("name", "description") if name in data}
    if "response_schema" in data:
        schema = data["response_schema"]
        changed["response_schema"] = None if schema is None else ordered(normalise(schema))
    for name, value in changed.items():
        if getattr(task, name) != value:
            setattr(task, name, value)


def lock_assignments(task_id: int) -> None:
    """Nobody else gives the task or deletes it until the transaction ends: the first lock taken."""
    lock(f"assignments of task {task_id}")


def _lock_agents_with(task_id: int) -> None:
    assigned = sa.select(Assignment.agent_pk).where(Assignment.task_id == task_id)
    query = sa.select(Agent.id).where(Agent.id.in_(assigned)).order_by(Agent.id)
    db.session.execute(query.with_for_update())
