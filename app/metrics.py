"""O1: /metrics for Prometheus.

Nearly all of it is read from the database and Redis when it is asked for, so it is the same
whichever process answers; what is a process's own says so in its labels.
"""

from collections.abc import Iterator, Mapping

from flask import Blueprint, Flask, Response, current_app, request
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector
from redis import Redis, RedisError

from app.accounts.gate import Permission, current_caller
from app.core import heartbeat
from app.core.counters import Count, counters, read_counts
from app.core.redis import connect
from app.health import metrics as health
from app.push import metrics as push

QUEUE = "celery"
REQUESTS = "requests"

blueprint = Blueprint("metrics", __name__)


def init_app(app: Flask) -> None:
    """Count every request, and answer at /metrics."""
    app.register_blueprint(blueprint)
    app.after_request(_count)


@blueprint.get("/metrics")
def metrics() -> Response:
    """All figures, to whoever may read the configuration; to everybody where METRICS_PUBLIC."""
    if not current_app.config["METRICS_PUBLIC"]:
        current_caller().require(Permission.READ)
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Now())
    return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


class _Now(Collector):
    """What there is to say at this moment."""

    def collect(self) -> Iterator[Metric]:
        counts: Mapping[Count, int] = {}
        up = 0
        try:
            with connect(current_app.config["REDIS_URL"]) as redis:
                counts = read_counts(redis)
                yield from _jobs(redis)
                up = 1
        except RedisError:
            pass  # it is down, which is one of the things to say
        yield GaugeMetricFamily("switchyard_redis_up", "Whether Redis answers", value=up)
        yield _requests(counts)
        yield from health.collect(counts)
        yield from push.collect()


def _jobs(redis: Redis) -> Iterator[Metric]:
    ages = heartbeat.ages(redis)
    yield GaugeMetricFamily("switchyard_workers", "Workers that live", value=len(ages))
    age = GaugeMetricFamily(
        "switchyard_worker_heartbeat_age_seconds",
        "Since the worker's last sign of life; after 10 s it is gone",
        labels=["worker"],
    )
    for name, seconds in sorted(ages.items()):
        age.add_metric([name], seconds)
    yield age
    depth = GaugeMetricFamily(
        "switchyard_queue_depth", "Jobs that no worker has taken yet", labels=["queue"]
    )
    depth.add_metric([QUEUE], redis.llen(QUEUE))
    yield depth


def _requests(counts: Mapping[Count, int]) -> CounterMetricFamily:
    family = CounterMetricFamily(
        "switchyard_http_requests",
        "Requests answered, all processes together",
        labels=["method", "endpoint", "status"],
    )
    for (name, *labels), amount in sorted(counts.items()):
        if name == REQUESTS:
            family.add_metric(labels, amount)
    return family


def _count(response: Response) -> Response:
    # Endpoints and the methods they take are few; whatever else is asked for counts as one.
    known = request.endpoint is not None
    method = request.method if known else "other"
    counters().add(REQUESTS, method, request.endpoint or "none", str(response.status_code))
    return response
