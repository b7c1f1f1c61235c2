"""Everything the client raises.

SwitchyardError
├── ConfigurationError      the client was set up wrongly (also a ValueError)
├── AgentHalted             the red button: no call may be made
├── BudgetBlocked           the agent's budget is spent: no call may be made
├── UnparsableReply         a provider's answer is none; inside an attempt: the next step
├── AllAttemptsFailed       every step of a chain failed; `.attempts` says why
└── TransportError          an exchange with the server failed; reads never raise it
    ├── Unreachable         network, TLS, time-out, 5xx
    │   └── InvalidAnswer   something answered, but not a Switchyard server's answer
    │       └── Refused     the server will not take this content, ever
    ├── Unauthorized        401: the token is unknown, revoked or expired
    │   └── Forbidden       403: the token may not read this
    ├── NotFound            404
    ├── Throttled           429 or 503, with the server's `retry_after`
    └── StreamClosed        the server ended the stream, with its close `code`
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ._failures import Reason


class SwitchyardError(Exception):
    """Base of every error of this library."""


class ConfigurationError(SwitchyardError, ValueError):
    """The client was set up wrongly; the message names the argument and the way out."""


class AgentHalted(SwitchyardError):
    """Somebody halted the agent: make no call until it is resumed."""

    def __init__(self, agent_id: str, reason: str | None = None) -> None:
        super().__init__(agent_id, reason)
        self.agent_id = agent_id
        self.reason = reason
        """What was said when it was halted, if anything."""

    def __str__(self) -> str:
        return f"agent {self.agent_id} is halted{f': {self.reason}' if self.reason else ''}"


class BudgetBlocked(SwitchyardError):
    """The agent's budget, or that of each of its providers, is spent and set to block."""

    def __init__(self, agent_id: str) -> None:
        super().__init__(agent_id)
        self.agent_id = agent_id

    def __str__(self) -> str:
        return f"agent {self.agent_id} has spent its budget"


class UnparsableReply(SwitchyardError):
    """What a provider answered is no answer of its API; another step may do better."""


@dataclass(frozen=True, slots=True)
class FailedAttempt:
    """One step that was tried, and what came of it."""

    position: int
    """0 is the primary."""
    provider: str
    """The provider's type, e.g. `openai`."""
    model: str
    """As the provider calls it."""
    endpoint: str | None
    """Base URL including its version path."""
    reason: Reason
    """Why it failed; a str, e.g. `rate_limited`."""
    status: int | None
    """HTTP status, where there was one."""
    seconds: float
    """How long the attempt took."""
    error: Exception | None = field(repr=False)
    """What was raised. None in an error that came out of a pickle."""

    def __str__(self) -> str:
        # Never the provider's own text: some quote the key.
        status = f" {self.status}" if self.status else ""
        kind = f", {type(self.error).__name__}" if self.error else ""
        return f"{self.provider} {self.model}: {self.reason}{status} ({self.seconds:.2f} s{kind})"


class AllAttemptsFailed(SwitchyardError):
    """Every step that was tried failed; the last error is the `__cause__`."""

    def __init__(
        self, agent_id: str, attempts: Sequence[FailedAttempt], *, deadline: bool = False
    ) -> None:
        super().__init__(agent_id)
        self.agent_id = agent_id
        self.attempts: tuple[FailedAttempt, ...] = tuple(attempts)
        """Each `FailedAttempt` in the order of the calls. Steps that cool down are not tried."""
        self.deadline_exceeded = deadline
        """The time for the whole chain was over before its end."""

    def __str__(self) -> str:
        head = f"no step of agent {self.agent_id} answered"
        if self.deadline_exceeded:
            head += " before the deadline"
        return "; ".join([head, *map(str, self.attempts)])

    def __reduce__(self) -> tuple[Any, ...]:
        # Errors of SDKs hold open responses and cannot travel between processes.
        bare = tuple(replace(attempt, error=None) for attempt in self.attempts)
        return _all_attempts_failed, (self.agent_id, bare, self.deadline_exceeded)


def _all_attempts_failed(
    agent_id: str, attempts: tuple[FailedAttempt, ...], deadline: bool
) -> AllAttemptsFailed:
    return AllAttemptsFailed(agent_id, attempts, deadline=deadline)


class TransportError(SwitchyardError):
    """An exchange with the server failed. Never carries a token or a key."""


class Unreachable(TransportError):
    """The server did not answer: network, TLS, time-out or a 5xx."""


class InvalidAnswer(Unreachable):
    """Something answered, but not with what a Switchyard server says."""


class Refused(InvalidAnswer):
    """The server will not take this content (400, 413, 422): sending it again is no use."""


class Unauthorized(TransportError):
    """The server refused the token (401)."""


class Forbidden(Unauthorized):
    """The token is valid but may not read this (403)."""


class NotFound(TransportError):
    """The server has no answer for this agent, not even a default one (404)."""


class Throttled(TransportError):
    """The server asked for patience (429 or 503)."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        """Seconds to wait, or None where the server did not say."""


class StreamClosed(TransportError):
    """The server ended the stream."""

    def __init__(self, code: int | None, reason: str = "") -> None:
        super().__init__(f"stream closed by the server ({code}{': ' if reason else ''}{reason})")
        self.code = code
        """The close code of RFC 6455, or None for a plain end of file."""
