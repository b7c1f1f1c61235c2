"""Bringing a task, or that an agent has it, back to what it was."""

from typing import Any

from app.core.db import find_row
from app.core.errors import Conflict
from app.core.versions import check_version
from app.tasks import services
from app.tasks.assignments import get_assignment, replace_assignments
from app.tasks.models import Assignment, Task
from app.transfer.restorers.agents import part_of_agent
from app.transfer.restorers.base import Wish, find_today, past_of

FIELDS = ("name", "description", "response_schema")


def restore_task(wish: Wish) -> tuple[Any, list[str]]:
    """The task as it was, under a new id where it was deleted. Agents keep the tasks they have."""
    row = find_row(Task, wish.entity_id, for_update=True)
    past = past_of(wish, row)
    data = {name: past.image.get(name) for name in FIELDS}
    if row is None or past.ended:
        return services.add_task(data), []
    check_version(row.version, wish.expected_version)
    services.change_task(row, data)
    return row, []


def restore_assignment(wish: Wish) -> tuple[Any, list[str]]:
    """The agent has the task again, as it had it."""
    part, agent = part_of_agent(Assignment, wish)
    image = part.past.image
    task_id, name = find_today(Task, image["task_id"], wish.rev)
    if task_id is None:
        raise Conflict(f"The task {name} is deleted: restore it first.")
    wanted = {it.task_id: it.is_active for it in agent.assignments}
    replace_assignments(agent, wanted | {task_id: image["is_active"]})
    return get_assignment(agent, task_id), []
