"""The worker: ``celery -A worker worker``. A task opens a context and calls a service."""

from worker import beat as beat
from worker import heartbeat as heartbeat
from worker.celery_app import app

__all__ = ["app"]
