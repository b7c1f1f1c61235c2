"""Admin: what the command palette asks, and what a picker of agents asks."""

from collections.abc import Iterator

from flask import current_app, g, jsonify, request, url_for
from flask.typing import ResponseReturnValue
from flask_admin import BaseView

from app.admin.base import expose
from app.admin.gate import Gate
from app.pages import search


class SearchView(Gate, BaseView):
    """``?q=`` answers with what a person may see of it, as JSON."""

    def is_visible(self) -> bool:
        return False  # it has no page: the palette is on all of them

    @expose("/")
    def index(self) -> ResponseReturnValue:
        """Pages, providers, agents and tasks; each with the address of its page."""
        text = request.args.get("q", "")
        found = [
            {
                "kind": hit.kind,
                "name": hit.name,
                "detail": hit.detail,
                "url": url_for(f"{hit.kind}.details_view", id=hit.row_id),
            }
            for hit in search.find(text, g.caller.visible_to)
            if f"{hit.kind}.details_view" in current_app.view_functions
        ]
        return jsonify({"found": [*self._pages(text), *found]})

    def _pages(self, text: str) -> Iterator[dict[str, str]]:
        """The pages of the menu that the person may open."""
        for item in self.admin.menu():
            pages = item.get_children() if item.is_category() else [item]
            for page in pages:
                stands = page.is_accessible() and page.is_visible()
                if stands and text.strip().lower() in page.name.lower():
                    group = item.name if item.is_category() else ""
                    url = page.get_url() or ""
                    yield {"kind": "page", "name": page.name, "detail": group, "url": url}
