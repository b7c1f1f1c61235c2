"""Log lines: structlog renders them, and a last step masks what looks like a secret.

Redaction sits in the formatter, not in a filter: filters leaked four times where a library's
logger or an exception text went past them.
"""

import logging
import re
from typing import Any

import structlog
from flask import Flask, g, has_request_context
from structlog.typing import EventDict, Processor

from app.core.crypto import MASK

_SECRETS = re.compile(
    r"""(?ix)
    (\bsy_[\w-]{6})[\w-]{10,}                                   # our tokens
    | (\bsk-)[\w-]{8,}                                          # the usual shape of provider keys
    | (\bwhsec_)[\w+/=-]{8,}                                    # what webhooks are signed with
    | (\bBearer\s+)[\w.~+/=-]{8,}
    | ((?:api[_-]?key|password|token|secret|authorization)["']?
        \s*[:=]\s*["']?(?:(?:Bearer|Basic)\s+)?)[^\s"',}]{4,}
    | (://[^/\s:@]*:)[^/\s@]+(?=@)                              # passwords in URLs
    | ([?&](?:key|code|sig)=)[^\s"'&]{4,}                      # and keys
    """
)


def redact(text: str) -> str:
    """The text with everything that looks like a secret masked."""
    return _SECRETS.sub(
        lambda match: next(g for g in (*match.groups(), "") if g is not None) + MASK, text
    )


class RedactingFormatter(structlog.stdlib.ProcessorFormatter):
    """The last hand on every line, tracebacks included."""

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


def init_app(app: Flask) -> None:
    """Send the root logger's lines, and structlog's, through the one formatter."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _request_id,
    ]
    formatter = RedactingFormatter(
        foreign_pre_chain=shared,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            _renderer(app.config["LOG_FORMAT"]),
        ],
    )
    handler = next((h for h in logging.root.handlers if getattr(h, "switchyard", False)), None)
    if handler is None:
        handler = logging.StreamHandler()
        handler.switchyard = True  # type: ignore[attr-defined]
        logging.root.addHandler(handler)
    handler.setFormatter(formatter)
    logging.root.setLevel(app.config["LOG_LEVEL"])
    # Its lines for debugging hold whole paths with queries: the keys of webhooks are in there.
    logging.getLogger("urllib3").setLevel(max(logging.INFO, logging.root.level))
    if app.config["LOG_LEVEL"] == "INFO":
        for chatty in ("celery.beat", "celery.worker.strategy", "celery.app.trace"):
            logging.getLogger(chatty).setLevel(logging.WARNING)  # three lines a sweep, every 5 s
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def _renderer(log_format: str) -> Processor:
    if log_format == "json":
        return structlog.processors.JSONRenderer()
    return structlog.dev.ConsoleRenderer(colors=False)


def _request_id(_logger: Any, _name: str, event: EventDict) -> EventDict:
    if has_request_context() and "request_id" in g:
        event["request_id"] = g.request_id
    return event
