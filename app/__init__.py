"""Switchyard's server: one folder per domain, one app factory."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # `make up` reads the settings only, and stays 20 MiB smaller without Flask
    from flask import Flask


def create_app(overrides: dict[str, Any] | None = None) -> "Flask":
    """Build the app: settings -> extensions -> domains -> doors.

    ``overrides`` are settings that win over the environment. Raises SettingsError, naming the
    setting that is missing or wrong. Connects to nothing.
    """
    with _collector_paused():
        from app import api, cli, console, core, metrics, push, web
        from app.settings import load_settings
        from app.usage import intake

        app = web.App(__name__)
        app.config.update(load_settings() | (overrides or {}))
        core.init_app(app)
        web.init_app(app)
        intake.init_app(app)
        api.init_app(app)
        console.init_app(app)
        push.init_app(app)
        metrics.init_app(app)
        cli.init_app(app)
        return app


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Nothing that is loaded here is garbage; looking for it takes a quarter of a start."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
