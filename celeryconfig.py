"""Celery's settings: on Redis, at least once, ids only. Each line's reason is measured."""

from app.core.redis import broker_url as _broker_url
from app.settings import load_settings as _load_settings

_settings = _load_settings()

broker_url = _broker_url(_settings["REDIS_URL"])
broker_connection_retry_on_startup = True
broker_transport_options = {
    # Redelivery after a killed worker took 101 s without the restore interval, 21 s with it.
    "visibility_timeout": 15,
    "unacked_restore_interval": 1,
    "socket_timeout": 1,
    "socket_connect_timeout": 1,
}
task_ignore_result = True  # with a result backend a send to a dead broker takes 19 s
task_serializer = "json"
accept_content = ["json"]
task_acks_late = True
task_reject_on_worker_lost = True
worker_prefetch_multiplier = 1
worker_hijack_root_logger = False
timezone = "UTC"
imports = (
    "worker.agents",
    "worker.budgets",
    "worker.health",
    "worker.transfer",
    "worker.usage",
    "worker.webhooks",
)
beat_schedule = {
    "sweep": {"task": "health.sweep", "schedule": 5.0, "options": {"expires": 5}},
    "agent-tests": {"task": "agents.sweep_tests", "schedule": 5.0, "options": {"expires": 5}},
    "budgets": {"task": "budgets.sweep", "schedule": 5.0, "options": {"expires": 5}},
    "usage": {"task": "usage.maintain", "schedule": 600.0, "options": {"expires": 600}},
    "webhooks": {"task": "webhooks.sweep", "schedule": 5.0, "options": {"expires": 5}},
}
