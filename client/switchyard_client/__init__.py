"""Live LLM configuration for Python agents, from a Switchyard server.

from switchyard_client import SwitchyardClient

client = SwitchyardClient()
config = client.get_agent_config("market-analyst")
"""

from ._agents import Agent, AgentTask, AsyncAgent, Prompts, SpeechConfig
from ._async import AsyncSwitchyardClient
from ._attempts import Attempt
from ._client import SwitchyardClient
from ._errors import (
    AgentHalted,
    AllAttemptsFailed,
    BudgetBlocked,
    ConfigurationError,
    FailedAttempt,
    SwitchyardError,
    TransportError,
    UnparsableReply,
)
from ._failures import Reason
from ._models import AgentConfig, LLMStep, Prices, Status
from ._recording import Usage
from ._secret import Secret
from ._shared import get_client, init_client, shutdown_client
from ._timings import Timings

__all__ = [
    "Agent",
    "AgentConfig",
    "AgentHalted",
    "AgentTask",
    "AllAttemptsFailed",
    "AsyncAgent",
    "AsyncSwitchyardClient",
    "Attempt",
    "BudgetBlocked",
    "ConfigurationError",
    "FailedAttempt",
    "LLMStep",
    "Prices",
    "Prompts",
    "Reason",
    "Secret",
    "SpeechConfig",
    "Status",
    "SwitchyardClient",
    "SwitchyardError",
    "Timings",
    "TransportError",
    "UnparsableReply",
    "Usage",
    "get_client",
    "init_client",
    "shutdown_client",
]

__version__ = "0.1.0"
