"""The agent of `make demo`: a separate process that knows Switchyard through the client alone.

Says each configuration it sees as a line of JSON; answers a line on stdin with what it has now.
"""

import json
import logging
import sys
import time
from typing import Any

from switchyard_client import AgentConfig, SwitchyardClient

AGENT = "market-analyst"


def main() -> None:
    # That nobody answers any more is told by the story.
    logging.getLogger("switchyard_client").setLevel(logging.ERROR)
    with SwitchyardClient() as client:
        client.on_config_change(lambda agent_id, config: _say("change", client, config))
        _say("read", client, client.get_agent_config(AGENT))
        for _ in sys.stdin:
            _say("read", client, client.get_agent_config(AGENT))


def _say(event: str, client: SwitchyardClient, config: AgentConfig) -> None:
    said: dict[str, Any] = {
        "event": event,
        "at": time.time(),
        "agent_id": config.agent_id,
        "provider": config.provider,
        "model": config.model,
        "has_key": config.api_key is not None,
        "fallbacks": [step.model for step in config.fallbacks],
        "source": config.source,
        "status": client.status,
    }
    print(json.dumps(said), flush=True)


if __name__ == "__main__":
    main()
