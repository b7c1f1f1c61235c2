"""The Celery app: celeryconfig.py's settings, and a Flask context around every task."""

import logging
from functools import cache
from typing import Any

from celery import Celery, Task
from celery.signals import setup_logging
from flask import Flask

from app import create_app
from app.core.actor import acting_as
from app.core.errors import Unavailable
from app.core.keys import check_before_serving
from app.core.trouble import AWAY, reason_of
from app.settings import SettingsError

log = logging.getLogger(__name__)


class ContextTask(Task):
    """A task that runs inside the Flask app, in its own name."""

    when_away = "the next sweep does it"
    """What becomes of it where the database or Redis is away."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        with flask_app().app_context(), acting_as(f"worker:{self.name}"):
            try:
                return self.run(*args, **kwargs)
            except (*AWAY, Unavailable) as error:
                # A traceback of a hundred lines every second hides what else there is to read in
                # an outage.
                log.error("%s: %s; %s", self.name, reason_of(error), self.when_away)
                return None


@cache
def flask_app() -> Flask:
    """The process's one Flask app."""
    return create_app()


@setup_logging.connect
def set_up(**_: Any) -> None:
    """Build the app before the first task, and let its log format stand: Celery's own handlers
    would print every line twice, once without redaction."""
    try:
        check_before_serving(flask_app())
    except SettingsError as error:
        # Any other exception in a signal is logged and forgotten: the worker would start anyway.
        raise SystemExit(str(error)) from None


app = Celery("switchyard", task_cls=ContextTask, amqp="worker.broker:Broker")
app.config_from_object("celeryconfig")
