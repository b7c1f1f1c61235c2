"""The OpenAPI document, written when it is first asked for: it is half of what a start costs."""

from collections.abc import Callable
from functools import partial
from threading import RLock
from typing import Any

from apispec import APISpec
from flask import Flask
from flask_smorest import Api
from flask_smorest import Blueprint as SmorestBlueprint


class LateApi(Api):
    """smorest's Api; ``spec`` is whole from the moment that ``describe_from_now_on`` was called."""

    def __init__(self, app: Flask) -> None:
        self._pending: list[Callable[[], None]] = []
        self._is_asked = False
        self._writing = RLock()
        super().__init__(app)

    @property
    def spec(self) -> APISpec:
        """The document, with every view that is registered by now."""
        if self._is_asked:
            with self._writing:
                # Taken first: each of them asks for the document as well.
                pending, self._pending = self._pending, []
                for describe in pending:
                    describe()
        return self._spec

    @spec.setter
    def spec(self, spec: APISpec) -> None:
        self._spec = spec

    def _register_responses(self) -> None:
        """A schema for each HTTP status: only the document needs them."""
        self.describe_later(super()._register_responses)

    def describe_later(self, describe: Callable[[], None]) -> None:
        """Put off what adds views to the document."""
        self._pending.append(describe)

    def describe_from_now_on(self) -> None:
        """Every blueprint is registered: whoever reads the document now, means all of it."""
        self._is_asked = True


class LateBlueprint(SmorestBlueprint):
    """A blueprint of a ``LateApi``."""

    def register_views_in_doc(self, api: LateApi, *args: Any, **options: Any) -> None:
        """Put it off."""
        api.describe_later(partial(super().register_views_in_doc, api, *args, **options))
