"""Admin: the agents' pages with what looks across domains: an agent's own page, a copy of it."""

from itertools import chain
from typing import Any

from flask import flash, g, redirect, request
from flask.typing import ResponseReturnValue

from app.admin.base import Permission, expose
from app.admin.fields import LineField, ResourceForm
from app.admin.gate import may
from app.agents import agent_tests
from app.agents.admin import AgentView
from app.agents.fields import Slug
from app.agents.models import Agent
from app.core.errors import NotFound
from app.core.rest import Schema, Text, paged
from app.pages import agent_cost, agent_page
from app.pages.clone import clone_agent
from app.transfer.history_names import find_names
from app.transfer.restore import restore


class CloneForm(ResourceForm):
    """What the copy is called."""

    name = LineField("Name", required=True)
    agent_id = LineField("Agent id", render_kw={"spellcheck": "false"})

    def payload(self) -> dict[str, Any]:
        return {"name": self.name.data, "agent_id": self.agent_id.data}


class CloneIn(Schema):
    """What makes a copy."""

    name = Text(min_length=1, max_length=128, required=True)
    agent_id = Slug(allow_none=True)


class AgentPageView(AgentView):
    """Agents, each with a page that answers what its clients get and why."""

    needed_by = {  # noqa: RUF012
        **AgentView.needed_by,
        "clone_view": Permission.WRITE,
        "test_view": Permission.OPERATE,
    }

    @expose("/of/")
    def of_view(self) -> ResponseReturnValue:
        """The page of the agent with this slug: costs and the history know no row id."""
        wanted = self.list_query({"slugs": [request.args.get("agent_id", "")]})
        found, _ = paged(wanted, {"page": 1, "page_size": 1})
        if not found:
            raise NotFound("There is no such agent.")
        return redirect(self.get_url(".details_view", id=found[0].id))

    @expose("/clone/", methods=("GET", "POST"))
    def clone_view(self) -> ResponseReturnValue:
        """Ask what the copy is called, and make it."""
        agent = self.get_one(request.args.get("id"))
        form = CloneForm(request.form if request.method == "POST" else None)
        if request.method == "POST":
            made = self._attempt(form, lambda: self._clone(agent, form), "created")
            if made:
                return redirect(self.get_url(".edit_view", id=made.id))
        elif not form.name.data:
            form.name.data = f"{agent.name} copy"[:128]
        return self._form_page("switchyard/agent_clone.html", form, agent)

    @expose("/test/", methods=("POST",))
    def test_view(self) -> ResponseReturnValue:
        """Ask for one real call of each step. Where scripts run, the page does not even reload."""
        return self.act(agent_tests.request_test, "{name} is being tested.")

    @expose("/restore/", methods=("POST",))
    def restore_view(self) -> ResponseReturnValue:
        """Bring an agent back to what it was right after a change."""
        agent = self.get_one(request.form.get("id"))
        rev = _whole(request.form.get("rev"))
        try:
            restored = restore(
                rev,
                "agent",
                agent.id,
                expected_version=_whole(request.form.get("version")),
                may_give_away=g.caller.may(Permission.ADMINISTER),
            )
        except Exception as error:
            self.handle_view_exception(error)
        else:
            told = "is as it was after" if restored.rev else "was already as after"
            flash(f"{restored.root} {told} change {rev}.", "success")
            for text in restored.warnings:
                flash(text, "warning")
        return redirect(self._return_url())

    def render(self, template: str, **kwargs: Any) -> str:
        """An agent's page tells what its clients get, who they are, and what was changed."""
        if template == self.details_template:
            kwargs |= _page_of(kwargs["model"])
        return super().render(template, **kwargs)

    @staticmethod
    def _clone(agent: Agent, form: CloneForm) -> tuple[Agent, list[str]]:
        data = CloneIn().load(form.payload())
        return clone_agent(agent.agent_id, data)


def _page_of(agent: Agent) -> dict[str, Any]:
    history = agent_page.list_history(agent, g.caller.visible_to)
    test = agent_page.find_latest_test(agent)
    page: dict[str, Any] = {
        "effective": agent_page.find_effective(agent),
        "history": history,
        "names": find_names(chain.from_iterable(history), people=may(Permission.INSPECT)),
        "cost": agent_cost.find_cost(agent.agent_id),
        "test": test,
        "test_failed": test is not None and not agent_page.has_passed(test),
        "server": request.url_root.rstrip("/"),
    }
    if may(Permission.INSPECT):
        page["clients"], page["clients_total"] = agent_page.list_clients(agent)
    return page


def _whole(text: str | None) -> int:
    """A rev or a version as it was posted; -1, which nothing has, for anything else."""
    text = text or ""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else -1
