"""Other clients' reads from memory, filled through their own means, with no server to talk to.

Imported where their packages are: `client_read.py` makes that environment and runs itself in it.
"""

import logging
from collections.abc import Callable
from typing import Any

Read = Callable[[str], Any]


def langfuse_prompt(names: list[str]) -> Read:
    """A hit in Langfuse's cache of prompts."""
    from langfuse import Langfuse
    from langfuse.api import Prompt_Text
    from langfuse.model import TextPromptClient

    client = Langfuse(
        public_key="pk", secret_key="sk", base_url="http://127.0.0.1:9", tracing_enabled=False
    )
    cache = client._resources.prompt_cache
    for name in names:
        prompt = Prompt_Text(
            name=name, version=1, prompt="You trade.", config={}, labels=["production"], tags=[]
        )
        key = cache.generate_cache_key(name, version=None, label=None)
        cache.set(key, TextPromptClient(prompt=prompt), 3600)
    read: Read = client.get_prompt
    return read


def launchdarkly_variation(names: list[str]) -> Read:
    """`variation` of a JSON flag."""
    from ldclient import Context

    client, context = _launchdarkly(names), Context.create("desk")
    return lambda name: client.variation(name, context, None)


def launchdarkly_agent_config(names: list[str]) -> Read:
    """`agent_config` of LaunchDarkly's AI SDK."""
    from ldai import LDAIClient
    from ldclient import Context

    client, context = LDAIClient(_launchdarkly(names)), Context.create("desk")
    return lambda name: client.agent_config(name, context)


def unleash_is_enabled(names: list[str]) -> Read:
    """`is_enabled` of Unleash."""
    from UnleashClient import UnleashClient
    from UnleashClient.cache import FileCache

    cache = FileCache("bench")
    strategies: list[dict[str, Any]] = [{"name": "default", "parameters": {}}]
    features = [{"name": name, "enabled": True, "strategies": strategies} for name in names]
    cache.bootstrap_from_dict({"version": 2, "features": features})
    client = UnleashClient(
        url="http://127.0.0.1:9/api",
        app_name="bench",
        cache=cache,
        disable_metrics=True,
        disable_registration=True,
    )
    client.initialize_client(fetch_toggles=False)
    read: Read = client.is_enabled
    return read


def _launchdarkly(names: list[str]) -> Any:
    from ldclient.client import LDClient
    from ldclient.config import Config
    from ldclient.integrations.test_data import TestData

    logging.disable(logging.ERROR)
    data = TestData.data_source()
    agent = {
        "_ldMeta": {"enabled": True, "variationKey": "v1", "version": 1, "mode": "agent"},
        "model": {"name": "gpt-4.1", "parameters": {"temperature": 0.7}},
        "provider": {"name": "openai"},
        "instructions": "You trade.",
    }
    for name in names:
        data.update(data.flag(name).variations(agent).fallthrough_variation(0))
    return LDClient(Config("sdk", update_processor_class=data, send_events=False))


PEERS: dict[str, tuple[Callable[[list[str]], Read], float]] = {
    "Langfuse get_prompt": (langfuse_prompt, 7),
    "LaunchDarkly variation": (launchdarkly_variation, 40),
    "LaunchDarkly agent_config": (launchdarkly_agent_config, 80),
    "Unleash is_enabled": (unleash_is_enabled, 0),
}
"""Each with how many times faster a read of ours is to be; 0 = no figure is set."""
