"""Celery's settings: on Redis, at most once, ids only. Each line's reason is measured."""

from app.core.redis import broker_url as _broker_url
from app.settings import load_settings as _load_settings

_settings = _load_settings()

broker_url = _broker_url(_settings["REDIS_URL"])
broker_connection_retry_on_startup = True
broker_connection_max_retries = None  # after a hundred, the worker would give up and the beat end
broker_transport_options = {
    # Redis does not keep what a worker took: the database does (decision 5). With this on, a worker
    # that has a message open when Redis goes away ends itself.
    "ack_emulation": False,
    "socket_timeout": 1,
    "socket_connect_timeout": 1,
    "health_check_interval": 5,  # a half-open connection is dropped after it, rather than in 25 s
}
# No task is acknowledged late, so there is none to cancel or to hold back when Redis goes away;
# left unsaid, Celery says so at length each time.
worker_cancel_long_running_tasks_on_connection_loss = True
worker_enable_prefetch_count_reduction = False
task_ignore_result = True  # with a result backend a send to a dead broker takes 19 s
task_serializer = "json"
accept_content = ["json"]
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
# A sweep that nobody took for so long has others behind it. Longer than it takes a busy worker to
# get at one, or there would be none while it is busy.
_SWEEP = {"schedule": 5.0, "options": {"expires": 30}}
beat_schedule = {
    "sweep": {"task": "health.sweep", **_SWEEP},
    "agent-tests": {"task": "agents.sweep_tests", **_SWEEP},
    "budgets": {"task": "budgets.sweep", **_SWEEP},
    "usage": {"task": "usage.maintain", "schedule": 600.0, "options": {"expires": 600}},
    "webhooks": {"task": "webhooks.sweep", **_SWEEP},
}
