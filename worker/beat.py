"""``celery worker --with-beat``: the schedule as a thread of the worker.

Celery's own ``--beat`` forks a second process, which carries the whole app (95 MiB) in order to
send one message every five seconds.
"""

import logging
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import click
from celery import bootsteps
from celery.beat import EmbeddedService, ScheduleEntry, Scheduler, SchedulingError
from celery.schedules import schedule as celery_schedule

from worker.celery_app import app

log = logging.getLogger(__name__)


def steady_now() -> datetime:
    """What a clock says that nobody sets."""
    return datetime.fromtimestamp(0, UTC) + timedelta(seconds=time.monotonic())


class SteadyEntry(ScheduleEntry):
    """Comes every so many seconds, whatever happens to the machine's clock: set back by an hour, it
    would stop the schedule for an hour."""

    def __init__(self, *args: Any, schedule: float | celery_schedule, **options: Any) -> None:
        if isinstance(schedule, int | float):
            schedule = celery_schedule(schedule, nowfun=steady_now)
        super().__init__(*args, schedule=schedule, **options)


class PlainScheduler(Scheduler):
    """Keeps nothing on disk: what is due is a question to the database."""

    Entry = SteadyEntry

    def apply_entry(self, entry: Any, producer: Any = None) -> None:
        """As Celery's, which prints a hundred lines each time that Redis does not take it."""
        try:
            self.apply_async(entry, producer=producer, advance=False)
        except SchedulingError as error:
            log.warning("%s", error)


class BeatThread(bootsteps.StartStopStep):
    """Starts with the worker and stops with it; slots in the database bear any number of them."""

    conditional = True

    def __init__(self, worker: Any, with_beat: bool = False, **options: Any) -> None:
        super().__init__(worker, **options)
        self.enabled = with_beat

    def create(self, worker: Any) -> Any:
        return EmbeddedService(worker.app, thread=True, scheduler_cls=PlainScheduler)

    def stop(self, worker: Any) -> None:
        # Not waited for: it may be looking for a Redis that is away, and has nothing to put down.
        self.obj.service.stop()


app.steps["worker"].add(BeatThread)
app.user_options["worker"].add(
    click.Option(("--with-beat",), is_flag=True, help="Run the schedule in this worker as well.")
)
