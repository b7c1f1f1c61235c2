"""Figure F1: what a read of a known agent costs, beside a bare dict lookup in the same run.

    PYTHONPATH=client python bench/client_read.py [configs]

Prints nanoseconds a read (the best round over all agents in random order), the ratio to
`dict.get`, and bytes a config.
"""

import random
import sys
import tracemalloc
from timeit import Timer

from switchyard_client import SwitchyardClient
from switchyard_client._messages import Batch, Item, parse_json
from switchyard_client._wire import decode_config

ROUNDS = 20
FALLBACK = """{"llm_provider": "anthropic", "llm_provider_name": "claude", "llm_model": "opus",
    "llm_endpoint": "https://api.anthropic.com/v1", "llm_timeout": 30, "llm_temperature": 0.7,
    "llm_api_key": "sk-ant-%(n)s-0123456789012345678901234567890123456789",
    "llm_api_key_id": "%(n)032x", "provider_status": "connected", "metadata": {}}"""
CONFIG = """{"agent_id": "agent-%(n)d", "source": "agent", "version": 3, "llm_provider": "openai",
    "llm_provider_name": "openai-eu", "llm_endpoint": "https://api.openai.com/v1",
    "llm_model": "gpt-4.1", "llm_timeout": 30, "llm_temperature": 0.7,
    "llm_api_key": "sk-%(n)s-01234567890123456789012345678901234567890123456789",
    "llm_api_key_id": "%(n)032x", "provider_status": "connected",
    "prices": {"currency": "USD", "cost_per_1k_input_tokens": "0.002"},
    "metadata": {}, "fallbacks": [%(fallback)s]}"""


def config(number: int) -> Item:
    """As it comes from the server: every string a new object, every key another one."""
    data = parse_json(CONFIG % {"n": number, "fallback": FALLBACK % {"n": number}})
    agent_id = f"agent-{number}"
    return Item(agent_id, decode_config(data, requested=agent_id, rev=1))


def best(statement: str, names: dict[str, object], reads: int) -> float:
    """Nanoseconds a read in the quickest round; an empty loop is taken off."""
    loops = [f"for key in keys: {body}" for body in (statement, "pass")]
    busy, empty = (min(Timer(loop, globals=names).repeat(ROUNDS, 10)) for loop in loops)
    return (busy - empty) / (10 * reads) * 1e9


def main(configs: int) -> None:
    tracemalloc.start()
    items = tuple(config(number) for number in range(configs))
    size = tracemalloc.get_traced_memory()[0] / configs
    tracemalloc.stop()

    client = SwitchyardClient("http://127.0.0.1:9", token="bench", autoconnect=False)
    client._cache.apply(Batch("e", 1, items, full=True, has_keys=True))
    client._cache.confirm()
    plain = {item.agent_id: item.config for item in items}
    # Callers bring their own strings: equal to the keys, not the same objects.
    keys = [f"agent-{number}" for number in random.sample(range(configs), configs)]
    names = {"read": client.get_agent_config, "get": plain.get, "keys": keys}

    base, hit = (best(f"{name}(key)", names, configs) for name in ("get", "read"))
    print(f"configs            {configs:,}")
    print(f"dict.get           {base:6.1f} ns")
    print(f"get_agent_config   {hit:6.1f} ns   {hit / base:.1f} x dict.get   (goal: <= 150 ns)")
    print(f"memory             {size:6.0f} bytes a config with one fallback   (goal: <= 1,500)")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
