"""Tasks in a configuration document."""

from collections.abc import Iterable
from typing import Any

from app.agents.models import Agent
from app.core.errors import Invalid
from app.core.rest import Flag, Text
from app.tasks import assignments, services
from app.tasks.models import Task
from app.tasks.schemas import TaskPatch
from app.transfer.document import Item, ItemSchema
from app.transfer.sections.base import Section


class TaskItem(ItemSchema, TaskPatch):
    """A task as it stands in a document; its schema may come in either form."""

    name = Text(min_length=1, max_length=128, required=True)


class AssignedItem(ItemSchema):
    """A task that an agent has."""

    name = Text(min_length=1, max_length=128, required=True, attribute="task.name")
    is_active = Flag(load_default=True)


class Tasks(Section):
    """Told apart by their name."""

    name = "tasks"
    key = "name"
    model = Task
    item = TaskItem

    def create(self, data: Item) -> list[str]:
        services.add_task(data)
        return []

    def update(self, row: Any, data: Item) -> list[str]:
        services.change_task(row, data)
        return []

    def delete(self, row: Any) -> None:
        services.remove_task(row)


def write_assigned(agent: Agent, items: Iterable[Item]) -> None:
    """Make the agent's tasks exactly those that its item names. Raises Invalid."""
    wanted: dict[int, bool] = {}
    for number, item in enumerate(items):
        task = services.find_by_name(item["task"]["name"])
        if task is None:
            raise Invalid.field(f"tasks.{number}.name", "There is no task with this name.")
        if task.id in wanted:
            raise Invalid.field(f"tasks.{number}.name", "The agent's list has it twice.")
        wanted[task.id] = item["is_active"]
    assignments.replace_assignments(agent, wanted)
