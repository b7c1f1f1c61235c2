"""Which step is next, with time in the test's hands."""

import os
from dataclasses import replace

import pytest
from switchyard_client import LLMStep
from switchyard_client._failover import Cooldowns, Pick

A = LLMStep(provider="openai", model="a", api_key_id="k1", timeout=10)
B = LLMStep(provider="anthropic", model="b")
C = LLMStep(provider="ollama", model="c")
CHAIN = (A, B, C)


@pytest.fixture
def cooldowns() -> Cooldowns:
    return Cooldowns(30, 100)


def fail(cooldowns: Cooldowns, step: LLMStep, now: float, patience: float = 0) -> None:
    cooldowns.failed(step, now, now, patience)


def test_steps_are_tried_in_their_order(cooldowns: Cooldowns) -> None:
    assert cooldowns.pick(CHAIN, set(), 0) == Pick(0)
    assert cooldowns.pick(CHAIN, {0}, 0) == Pick(1)
    assert cooldowns.pick(CHAIN, {0, 1}, 0) == Pick(2)
    assert cooldowns.pick(CHAIN, {0, 1, 2}, 0) is None


def test_a_failed_step_is_passed_over_for_thirty_seconds(cooldowns: Cooldowns) -> None:
    fail(cooldowns, A, 0)
    assert cooldowns.pick(CHAIN, set(), 29.9) == Pick(1)
    assert cooldowns.pick(CHAIN, set(), 30) == Pick(0)


def test_each_further_failure_doubles_it_up_to_the_cap(cooldowns: Cooldowns) -> None:
    now = 0.0
    for wait in (30, 60, 100, 100):
        fail(cooldowns, A, now)
        assert cooldowns.pick(CHAIN, set(), now + wait - 0.1) == Pick(1)
        now += wait
        assert cooldowns.pick(CHAIN, set(), now) == Pick(0)


def test_a_success_clears_it(cooldowns: Cooldowns) -> None:
    fail(cooldowns, A, 0)
    fail(cooldowns, A, 30)
    cooldowns.succeeded(A)
    assert cooldowns.pick(CHAIN, set(), 31) == Pick(0)
    fail(cooldowns, A, 40)
    assert cooldowns.pick(CHAIN, set(), 70) == Pick(0)  # 30 s again, not 120


def test_many_threads_that_meet_one_fault_count_once(cooldowns: Cooldowns) -> None:
    for _ in range(32):
        cooldowns.failed(A, began=0, now=5)
    assert cooldowns.pick(CHAIN, set(), 35) == Pick(0)


def test_one_call_probes_and_the_others_go_on_without(cooldowns: Cooldowns) -> None:
    fail(cooldowns, A, 0)
    assert cooldowns.pick(CHAIN, set(), 30) == Pick(0)
    assert cooldowns.pick(CHAIN, set(), 30) == Pick(1)
    assert cooldowns.pick(CHAIN, set(), 39.9) == Pick(1)
    assert cooldowns.pick(CHAIN, set(), 40) == Pick(0)  # the probe never came back


def test_a_probe_that_says_nothing_leaves_it_to_the_next(cooldowns: Cooldowns) -> None:
    fail(cooldowns, A, 0)
    assert cooldowns.pick(CHAIN, set(), 30) == Pick(0)
    cooldowns.released(A, began=30, now=31)
    assert cooldowns.pick(CHAIN, set(), 31) == Pick(0)
    cooldowns.released(B, began=30, now=31)  # in good standing: nothing to release


def test_a_call_older_than_the_fault_does_not_end_it(cooldowns: Cooldowns) -> None:
    cooldowns.failed(A, began=0, now=5)
    cooldowns.released(A, began=1, now=6)
    assert cooldowns.pick(CHAIN, set(), 7) == Pick(1)


def test_the_provider_may_ask_for_longer(cooldowns: Cooldowns) -> None:
    fail(cooldowns, A, 0, patience=50)
    assert cooldowns.pick(CHAIN, set(), 49) == Pick(1)
    fail(cooldowns, B, 0, patience=1_000_000)
    assert cooldowns.pick((B,), set(), 100) == Pick(0)


def test_if_all_cool_down_the_first_to_be_over_is_tried(cooldowns: Cooldowns) -> None:
    fail(cooldowns, B, 0)
    fail(cooldowns, A, 1)
    fail(cooldowns, C, 2)
    assert cooldowns.pick(CHAIN, set(), 3) == Pick(1, last_resort=True)


def test_another_key_model_or_endpoint_starts_clean(cooldowns: Cooldowns) -> None:
    fail(cooldowns, A, 0)
    for other in (
        replace(A, api_key_id="k2"),
        replace(A, model="other"),
        replace(A, endpoint="https://other"),
        replace(A, provider="groq"),
    ):
        assert cooldowns.pick((other, B), set(), 1) == Pick(0)
    assert cooldowns.pick((replace(A, temperature=0.1), B), set(), 1) == Pick(1)


def test_the_servers_health_check_starts_it_too(cooldowns: Cooldowns) -> None:
    ill = (replace(A, provider_status="error"), B)
    assert cooldowns.pick(ill, set(), 0) == Pick(1)
    assert cooldowns.pick(ill, set(), 30) == Pick(0)
    cooldowns.succeeded(A)  # a call knows better
    assert cooldowns.pick(ill, set(), 31) == Pick(0)


def test_what_only_the_server_found_ill_is_called_before_the_chain_gives_up(
    cooldowns: Cooldowns,
) -> None:
    """Its network is not the agent's: with every provider reported ill, the chain is still run."""
    ill = tuple(replace(step, provider_status="error") for step in CHAIN)
    for position, step in enumerate(ill):
        assert cooldowns.pick(ill, set(range(position)), position) == Pick(position)
        fail(cooldowns, step, position)
    assert cooldowns.pick(ill, set(), 3) == Pick(0, last_resort=True)


def test_the_servers_all_clear_ends_what_it_started(cooldowns: Cooldowns) -> None:
    ill, well = replace(A, provider_status="error"), replace(A, provider_status="connected")
    assert cooldowns.pick((ill, B), set(), 0) == Pick(1)
    assert cooldowns.pick((well, B), set(), 1) == Pick(0)
    assert cooldowns.pick((ill, B), set(), 2) == Pick(1)
    fail(cooldowns, A, 40)
    assert cooldowns.pick((well, B), set(), 41) == Pick(1)  # but not what a call has met


def test_a_child_does_not_inherit_a_held_lock(cooldowns: Cooldowns) -> None:
    fail(cooldowns, A, 0)
    with cooldowns._lock:
        child = os.fork()
        if child == 0:
            cooldowns.after_fork()
            os._exit(0 if cooldowns.pick(CHAIN, set(), 1) == Pick(1) else 1)
        assert os.waitpid(child, 0)[1] == 0
