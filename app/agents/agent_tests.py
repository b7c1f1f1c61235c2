"""Tests of an agent: every step of its chain called once, for real, by a worker.

What is tested is what the agent's clients get: the resolved chain, each step with its effective key
and its parameters. As with health checks the row is the job, the nudge only a hint: a lease says
who runs it, the sweep finds what was lost, and no transaction is open while a provider is called.
"""

import logging
import time
import uuid
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from flask import current_app

from app.agents.agent_test_models import AgentTest, AgentTestStatus, StepStatus
from app.agents.chain import get_agent
from app.agents.effective import resolve_agent
from app.agents.models import Agent, LLMConfig
from app.agents.resolution import Resolved, effective_endpoint, effective_key
from app.core.actor import current_actor
from app.core.clock import utcnow
from app.core.crypto import KeyUnreadable, Secret
from app.core.db import commit, db, flush
from app.core.errors import NotFound
from app.core.http import outbound
from app.core.jobs import nudge_after_commit
from app.providers.adapters import Adapter, CallResult, Target, get_adapter
from app.providers.keys import KEY_UNREADABLE, environment_key

TEST_JOB = "agents.test"
CLAIM_MARGIN = timedelta(seconds=20)
"""How much longer than its calls may take a test may run before its worker counts as dead."""
QUEUE_LEASE = timedelta(seconds=15)
"""How long the sweep waits for a worker to take what it has put into the queue."""
MAX_ATTEMPTS = 2
"""A test that takes its worker down with it is not tried for ever, and calls cost money."""
MAX_RUNNING = 4
"""Tests at a time, of all agents: endpoints that hang must not take every worker thread."""
SWEEP_LIMIT = 100
KEEP_TESTS = 50
KEEP_FOR = timedelta(days=30)

DISABLED = "The step is disabled."
PROVIDER_INACTIVE = "Its provider is inactive."
NO_KEY = "It needs an API key and has none, so it was not called."
NO_TIME = "It was not called: the time for the whole test was up."
NOTHING_LEFT = "It was not called: nothing is configured any more."
WORKER_DIED = "It has no result: the worker died, twice."

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Call:
    """One step's call, with all that it takes."""

    index: int
    adapter: Adapter
    target: Target
    model: str
    parameters: dict[str, Any]
    timeout: int
    hindrance: str | None = None
    """Why there is nothing to call."""


@dataclass(frozen=True)
class Claim:
    """One worker's right to run one test."""

    test_id: int
    claim_id: str
    calls: list[Call]


def request_test(agent: Agent) -> AgentTest:
    """Ask for a test of what the agent gets; the one under way, where there is one.

    Raises NotFound where nothing is configured and no default answers.
    """
    get_agent(agent.agent_id, for_update=True)  # two that ask at once get the same test
    test = db.session.scalar(tests_query(agent).where(AgentTest.finished_at.is_(None)))
    if test is None:
        resolved = resolve_agent(agent.agent_id)
        test = AgentTest(
            agent_pk=agent.id,
            requested_by=current_actor(),
            created_at=utcnow(),
            source=resolved.source.value,
            steps=_plan(resolved),
        )
        db.session.add(test)
        flush()
        nudge_after_commit(db.session(), TEST_JOB, test.id)
    commit()
    return test


def get_test(test_id: int) -> AgentTest:
    """The test with this id. Raises NotFound."""
    test = db.session.get(AgentTest, test_id)
    if test is None:
        raise NotFound("There is no such test.")
    return test


def tests_query(agent: Agent) -> sa.Select[Any]:
    """The agent's tests, newest first."""
    query = sa.select(AgentTest).where(AgentTest.agent_pk == agent.id)
    return query.order_by(AgentTest.id.desc())


def run_test(test_id: int) -> bool:
    """Run the test if nobody else does; whether it was run to its end."""
    claim = claim_test(test_id, utcnow())
    if claim is None:
        return False
    db.session.remove()  # no connection is held while a provider takes its time
    end = time.monotonic() + current_app.config["AGENT_TEST_DEADLINE"]
    for call in claim.calls:
        result = _make(call, end - time.monotonic())
        if not record_result(claim, call, result):
            log.info("agent test %s: somebody else has it, or it is gone", test_id)
            return False
    return True


def claim_test(test_id: int, now: datetime) -> Claim | None:
    """Take a test, or None: it is finished, gone, another worker has it, or too many run."""
    if _count_running(now) >= MAX_RUNNING:
        db.session.rollback()
        return None  # whoever finishes first nudges the next
    free = sa.or_(AgentTest.claim_id.is_(None), AgentTest.lease_until <= now)
    query = sa.select(AgentTest).where(AgentTest.id == test_id, AgentTest.finished_at.is_(None))
    test = db.session.scalar(_locked(query.where(free)))
    if test is None:
        db.session.rollback()
        return None
    hindrance = WORKER_DIED if test.attempts >= MAX_ATTEMPTS else None
    resolved = _resolve_anew(test)
    if resolved is None or hindrance:
        _finish(test, hindrance or NOTHING_LEFT)
        commit()
        return None
    test.attempts += 1
    test.status = AgentTestStatus.RUNNING
    test.started_at = now
    test.claim_id = uuid.uuid4().hex
    deadline = timedelta(seconds=current_app.config["AGENT_TEST_DEADLINE"])
    test.lease_until = now + deadline + CLAIM_MARGIN
    claim = Claim(test.id, test.claim_id, _calls_of(resolved))
    commit()
    return claim


def record_result(claim: Claim, call: Call, result: CallResult) -> bool:
    """Store what a step's call brought; False where the claim does not hold any more."""
    query = sa.select(AgentTest).where(AgentTest.id == claim.test_id).with_for_update()
    test = db.session.scalar(query.execution_options(populate_existing=True))
    if test is None or test.claim_id != claim.claim_id:
        db.session.rollback()
        return False
    steps = [dict(step) for step in test.steps]
    steps[call.index] |= _outcome(result)
    test.steps = steps
    if call is claim.calls[-1]:
        _finish(test)
    commit()
    return True


def sweep() -> int:
    """Queue every test that is not finished and has nobody; how many there were.

    It finds requests whose nudge was lost, and tests whose worker died.
    """
    now = utcnow()
    left_alone = sa.or_(AgentTest.lease_until.is_(None), AgentTest.lease_until <= now)
    query = sa.select(AgentTest).where(AgentTest.finished_at.is_(None), left_alone)
    tests = list(db.session.scalars(_locked(query.order_by(AgentTest.id).limit(SWEEP_LIMIT))))
    for test in tests:
        test.claim_id = None  # of a worker that died: should it live, it comes too late
        test.lease_until = now + QUEUE_LEASE
        nudge_after_commit(db.session(), TEST_JOB, test.id)
    commit()
    return len(tests)


def _plan(resolved: Resolved) -> list[dict[str, Any]]:
    """The whole chain as steps of a test: those that clients never get are skipped."""
    return [_describe(step, step in resolved.steps) for step in resolved.agent.llm_configs]


def _describe(step: LLMConfig, is_usable: bool) -> dict[str, Any]:
    reason = DISABLED if not step.enabled else PROVIDER_INACTIVE
    return {
        "position": step.position,
        "provider": step.provider.type,
        "provider_name": step.provider.name,
        "model": step.model_name,
        "endpoint": effective_endpoint(step),
        "status": StepStatus.PENDING if is_usable else StepStatus.SKIPPED,
        "error": None if is_usable else reason,
    }


def _resolve_anew(test: AgentTest) -> Resolved | None:
    """Plan the test for the chain as it is now: it may have changed since it was asked for."""
    try:
        resolved = resolve_agent(test.agent.agent_id)
    except NotFound:
        return None
    test.source, test.steps = resolved.source.value, _plan(resolved)
    return resolved


def _calls_of(resolved: Resolved) -> list[Call]:
    chain = resolved.agent.llm_configs
    return [_call_of(step, chain.index(step)) for step in resolved.steps]


def _call_of(step: LLMConfig, index: int) -> Call:
    adapter = get_adapter(step.provider.type)
    key, hindrance = _find_key(step, adapter)
    parameters = {
        "temperature": step.temperature,
        "top_p": step.top_p,
        "max_tokens": step.max_tokens,
        "completions_path": step.metadata_.get("completions_path"),
    }
    target = Target(effective_endpoint(step), key, dict(step.provider.options))
    return Call(index, adapter, target, step.model_name, parameters, step.timeout, hindrance)


def _find_key(step: LLMConfig, adapter: Adapter) -> tuple[Secret | None, str | None]:
    """The key that the agent's own call would carry, and what is wrong with it."""
    found = effective_key(step, environment_key)
    try:
        key = found.open() if found else None
    except KeyUnreadable:
        return None, KEY_UNREADABLE
    return key, NO_KEY if key is None and adapter.needs_key else None


def _make(call: Call, seconds_left: float) -> CallResult:
    if call.hindrance or seconds_left <= 0:
        return CallResult(False, error=call.hindrance or NO_TIME)
    http = outbound().within(min(call.timeout, seconds_left))
    try:
        return call.adapter.call(call.target, call.model, call.parameters, http)
    except Exception as error:
        # An adapter's bug must not leave the test running for ever. Its text may hold a key.
        log.error("agent test: adapter %s raised %s", call.adapter.type, type(error).__name__)
        return CallResult(False, error=f"The test itself failed ({type(error).__name__}).")


def _outcome(result: CallResult) -> dict[str, Any]:
    told = asdict(result)
    usage = told.pop("usage")
    status = StepStatus.OK if told.pop("ok") else StepStatus.ERROR
    return {"status": status, **told, **usage}


def _finish(test: AgentTest, reason: str | None = None) -> None:
    """End the test; steps without a result get the ``reason`` for that."""
    test.steps = [
        step | {"status": StepStatus.ERROR, "error": reason}
        if step["status"] == StepStatus.PENDING
        else step
        for step in test.steps
    ]
    test.status = AgentTestStatus.DONE
    test.finished_at = utcnow()
    test.claim_id = test.lease_until = None
    _prune(test)
    _nudge_next(test)


def _count_running(now: datetime) -> int:
    running = sa.and_(AgentTest.claim_id.is_not(None), AgentTest.lease_until > now)
    query = sa.select(sa.func.count(AgentTest.id)).where(AgentTest.finished_at.is_(None), running)
    return db.session.scalar(query) or 0


def _nudge_next(finished: AgentTest) -> None:
    """Let the one that has waited longest take the place of this one."""
    waiting = sa.and_(AgentTest.finished_at.is_(None), AgentTest.claim_id.is_(None))
    query = sa.select(AgentTest.id).where(waiting, AgentTest.id != finished.id)
    next_id = db.session.scalar(query.order_by(AgentTest.id).limit(1))
    if next_id is not None:
        nudge_after_commit(db.session(), TEST_JOB, next_id)


def _prune(test: AgentTest) -> None:
    """Bound the agent's tests by number and by age."""
    mine = AgentTest.agent_pk == test.agent_pk
    newest = sa.select(AgentTest.id).where(mine).order_by(AgentTest.id.desc())
    surplus = db.session.scalar(newest.offset(KEEP_TESTS).limit(1)) or 0
    old = sa.or_(AgentTest.id <= surplus, AgentTest.created_at <= utcnow() - KEEP_FOR)
    db.session.execute(sa.delete(AgentTest).where(mine, old, AgentTest.id != test.id))


def _locked(query: sa.Select[Any]) -> sa.Select[Any]:
    # A row that somebody else holds is being claimed or recorded: there is nothing to wait for.
    return query.with_for_update(skip_locked=True).execution_options(populate_existing=True)
