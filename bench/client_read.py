"""Figure F1: what a read of a known agent costs, beside other clients' reads in the same run.

    PYTHONPATH=. python bench/client_read.py [configs]

Prints nanoseconds a read (the best round over all agents in random order), ratios, bytes a config,
and reads a second of 8 threads while updates stream in. The other clients get an environment of
their own (bench/peers.txt), made at the first run; all are measured in one process there.
"""

import os
import random
import sys
import threading
import time
import tracemalloc
from pathlib import Path
from timeit import Timer

from switchyard_client import SwitchyardClient
from switchyard_client._messages import Batch, Item, parse_json
from switchyard_client._wire import decode_config

from bench._peers import PEERS
from tests.frameworks.environments import HOME, python_of

ROUNDS = 20
THREADS = 8
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


def config(number: int, rev: int = 1) -> Item:
    """As it comes from the server: every string a new object, every key another one."""
    data = parse_json(CONFIG % {"n": number, "fallback": FALLBACK % {"n": number}})
    agent_id = f"agent-{number}"
    return Item(agent_id, decode_config(data, requested=agent_id, rev=rev))


def best(read: object, keys: list[str]) -> float:
    """Nanoseconds a read in the quickest round; an empty loop is taken off."""
    names = {"read": read, "keys": keys}
    loops = [f"for key in keys: {body}" for body in ("read(key)", "pass")]
    rounds = [[Timer(loop, globals=names).timeit(1) for loop in loops] for _ in range(ROUNDS)]
    busy, empty = (min(times) for times in zip(*rounds, strict=True))
    return (busy - empty) / len(keys) * 1e9


def filled(configs: int) -> tuple[SwitchyardClient, float]:
    """A client that knows so many agents, and the bytes each takes."""
    tracemalloc.start()
    items = tuple(config(number) for number in range(configs))
    size = tracemalloc.get_traced_memory()[0] / configs
    tracemalloc.stop()
    client = SwitchyardClient("http://127.0.0.1:9", token="bench", autoconnect=False)
    client._cache.apply(Batch("e", 1, items, full=True, has_keys=True))
    client._cache.confirm()
    return client, size


def reads_a_second(client: SwitchyardClient, keys: list[str], updates: bool) -> tuple[float, int]:
    """Of 8 threads; and how many updates a second were applied meanwhile: as many as went."""
    over, counts = threading.Event(), [0] * THREADS

    def reader(number: int) -> None:
        read = client.get_agent_config
        while not over.is_set():
            for key in keys[:1000]:
                read(key)
            counts[number] += 1000

    threads = [threading.Thread(target=reader, args=(n,), daemon=True) for n in range(THREADS)]
    for thread in threads:
        thread.start()
    started, applied = time.perf_counter(), 0
    while time.perf_counter() - started < 2:
        if updates:
            rev = client._cache.snapshot.rev + 1
            item = config(rev % len(keys), rev)
            client._cache.apply(Batch("e", rev, (item,), has_keys=True))
            client._cache.confirm()
            applied += 1
        else:
            time.sleep(0.1)
    over.set()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - started
    return sum(counts) / seconds, round(applied / seconds)


def main(configs: int) -> None:
    client, size = filled(configs)
    plain = {f"agent-{number}": object() for number in range(configs)}
    # Callers bring their own strings: equal to the keys, not the same objects.
    keys = [f"agent-{number}" for number in random.sample(range(configs), configs)]
    base, hit = best(plain.get, keys), best(client.get_agent_config, keys)
    print(f"{configs:,} configs")
    print(f"{'dict.get':28} {base:10.1f} ns")
    print(f"{'get_agent_config':28} {hit:10.1f} ns   {hit / base:6.1f} x dict.get (<= 150 ns)")
    for name, (fill, goal) in PEERS.items():
        peer = best(fill(keys), keys)
        wanted = f" (>= {goal} x)" if goal else ""
        print(f"{name:28} {peer:10.1f} ns   {peer / hit:6.1f} x ours{wanted}")
    print(f"{'memory':28} {size:10.0f} bytes a config with one fallback (<= 1,500)")
    for updates in (False, True):
        reads, applied = reads_a_second(client, keys, updates)
        print(f"{f'{THREADS} threads':28} {reads:10,.0f} reads/s, {applied} updates/s meanwhile")


if __name__ == "__main__":
    if HOME not in Path(sys.executable).parents:
        bench = Path(__file__).resolve().parent
        os.environ["PYTHONPATH"] = f"{bench.parent}{os.pathsep}{bench.parent / 'client'}"
        python = python_of("peers", bench)
        os.execv(python, [str(python), *sys.argv])
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
    os._exit(0)  # not all of the others' threads are to be persuaded
