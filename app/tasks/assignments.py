"""Which agent has which task. A change of it is a change of the agent, under its version."""

from collections.abc import Collection
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import joinedload

from app.agents.chain import get_agent
from app.agents.models import Agent
from app.core.db import commit, db, flush
from app.core.errors import Conflict, Invalid, NotFound
from app.core.versions import check_version
from app.tasks.models import Assignment, Task
from app.tasks.services import lock_assignments


def list_query(args: dict[str, Any]) -> sa.Select[Any]:
    """Assignments by agent and task; ``visible_to`` and ``slugs`` narrow it to the caller's."""
    query = (
        sa.select(Assignment)
        .join(Assignment.agent)
        .join(Task, Task.id == Assignment.task_id)
        .options(joinedload(Assignment.agent))
        .order_by(Agent.agent_id, Task.name, Assignment.id)
    )
    if args.get("agent_id") is not None:
        query = query.where(Agent.agent_id == args["agent_id"])
    if args.get("task_id") is not None:
        query = query.where(Assignment.task_id == args["task_id"])
    if args.get("search"):
        query = query.where(Task.name.icontains(args["search"], autoescape=True))
    if args.get("visible_to") is not None:
        query = query.where(Agent.visible(args["visible_to"]))
    if args.get("slugs") is not None:
        query = query.where(Agent.agent_id.in_(args["slugs"]))
    return query


def count_agents(task_ids: Collection[int], visible_to: int | None = None) -> dict[int, int]:
    """How many agents have each of these tasks, of those that a caller may see (None = all)."""
    query = (
        sa.select(Assignment.task_id, sa.func.count())
        .where(Assignment.task_id.in_(task_ids))
        .group_by(Assignment.task_id)
    )
    if visible_to is not None:
        query = query.join(Agent, Agent.id == Assignment.agent_pk)
        query = query.where(Agent.visible(visible_to))
    return dict(db.session.execute(query).tuples().all())


def get_assignment(agent: Agent, task_id: int) -> Assignment:
    """The agent's assignment of this task. Raises NotFound."""
    query = sa.select(Assignment).where(
        Assignment.agent_pk == agent.id, Assignment.task_id == task_id
    )
    assignment = db.session.scalar(query)
    if assignment is None:
        raise NotFound(f"The agent '{agent.agent_id}' does not have this task.")
    return assignment


def assign(agent_id: str, data: dict[str, Any], expected_version: int | None = None) -> Assignment:
    """Give an agent a task. Raises NotFound, Stale, Invalid, and Conflict where it has it."""
    lock_assignments(data["task_id"])
    assignment = add_assignment(_agent_for_update(agent_id, expected_version), data)
    commit()
    return assignment


def add_assignment(agent: Agent, data: dict[str, Any]) -> Assignment:
    """The same within a larger transaction: flushed, not committed."""
    task = db.session.get(Task, data["task_id"])
    if task is None:
        raise Invalid.field("task_id", "There is no such task.")
    if any(assignment.task_id == task.id for assignment in agent.assignments):
        raise Conflict(f"The agent '{agent.agent_id}' has the task '{task.name}' already.")
    assignment = Assignment(task=task, is_active=data.get("is_active", True))
    agent.assignments.append(assignment)
    flush()
    return assignment


def replace_assignments(agent: Agent, wanted: dict[int, bool]) -> None:
    """Make the agent's tasks exactly these, by id, active or not: flushed, not committed."""
    for assignment in agent.assignments:
        if assignment.task_id not in wanted:
            db.session.delete(assignment)
    flush()
    db.session.expire(agent, ["assignments"])
    present = {assignment.task_id: assignment for assignment in agent.assignments}
    for task_id, is_active in wanted.items():
        if task_id not in present:
            add_assignment(agent, {"task_id": task_id, "is_active": is_active})
        elif present[task_id].is_active != is_active:
            present[task_id].is_active = is_active
    flush()


def update_assignment(
    agent_id: str, task_id: int, data: dict[str, Any], expected_version: int | None = None
) -> Assignment:
    """Change the sent fields. Raises NotFound, Stale."""
    agent = _agent_for_update(agent_id, expected_version)
    assignment = get_assignment(agent, task_id)
    if "is_active" in data and assignment.is_active != data["is_active"]:
        assignment.is_active = data["is_active"]
    commit()
    return assignment


def unassign(agent_id: str, task_id: int, expected_version: int | None = None) -> None:
    """Take a task from an agent. Raises NotFound, Stale."""
    agent = _agent_for_update(agent_id, expected_version)
    db.session.delete(get_assignment(agent, task_id))
    commit()


def _agent_for_update(agent_id: str, expected_version: int | None) -> Agent:
    agent = get_agent(agent_id, for_update=True)
    check_version(agent.version, expected_version)
    return agent
