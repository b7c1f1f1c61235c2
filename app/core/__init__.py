"""What every domain stands on. Knows no domain."""

from flask import Flask


def init_app(app: Flask) -> None:
    """Logs, keys, database, hints, rate limits, counts, outbound requests."""
    from app.core import counters, crypto, db, http, jobs, logs, rate_limits, read_now

    logs.init_app(app)
    crypto.init_app(app)
    db.init_app(app)
    read_now.init_app(app)
    jobs.init_app(app)
    rate_limits.init_app(app)
    counters.init_app(app)
    http.init_app(app)
