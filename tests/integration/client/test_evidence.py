"""The promises under whatever happens: a server that fails in every way, crowds, forks, an end."""

import json
import logging
import os
import pickle
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import requests
from switchyard_client import AllAttemptsFailed, Attempt

from tests.integration.client.conftest import FAST, HASTY, ClientFactory, Heard
from tests.support.fault_server import Answer, FaultServer, agent, wait_until

NOWHERE = "http://127.0.0.1:9"
STREAM_FAULTS = ["400", "404", "429", "500", "502", "503", "eof"]


@pytest.mark.parametrize("fault", STREAM_FAULTS)
def test_a_stream_that_cannot_be_opened_or_opened_again(
    server: FaultServer, make_client: ClientFactory, fault: str
) -> None:
    server.stream = fault
    server.put(agent("trader", "m1"))
    client = make_client(timings=HASTY)
    wait_until(lambda: client.status == "POLLING")
    assert client.get_agent_config("trader").model == "m1"
    server.stream = "normal"
    stream = server.wait_for_stream()
    wait_until(lambda: client.status == "LIVE")

    server.stream = fault
    stream.close(1001, "restart")
    server.put(agent("trader", "m2"), push=False)
    wait_until(lambda: client.get_agent_config("trader").model == "m2")
    server.stream = "normal"
    wait_until(lambda: client.status == "LIVE")


@pytest.mark.parametrize("status", [400, 404, 410, 422, 429, 500, 502, 503])
def test_a_sync_that_is_refused_at_the_start_and_later(
    server: FaultServer, make_client: ClientFactory, status: int
) -> None:
    server.put(agent("trader", "m1"))
    server.answers.append(Answer("/api/sync", status, times=2))
    client = make_client(streaming=False)
    assert client.wait_ready(20)
    server.answers.append(Answer("/api/sync", status))
    wait_until(lambda: client.status == "STALE")
    assert client.get_agent_config("trader").model == "m1"
    server.put(agent("trader", "m2"))
    server.answers.clear()
    wait_until(lambda: client.get_agent_config("trader").model == "m2")


def test_changes_that_the_server_has_forgotten_are_made_up_for(
    server: FaultServer, make_client: ClientFactory
) -> None:
    server.put(agent("trader", "m1"), agent("gone", "m1"))
    client = make_client()
    stream = server.wait_for_stream()
    wait_until(lambda: client.applied_rev == server.rev)
    server.put(agent("trader", "m2"), push=False)
    server.delete("gone", push=False)
    server.floor = server.rev
    stream.close(1001, "restart")
    wait_until(lambda: client.get_agent_config("trader").model == "m2")
    assert client.get_agent_config("gone").source == "built_in"


def test_a_crowd_on_an_expired_key_is_served_at_once_and_asks_once_a_while(
    server: FaultServer, make_client: ClientFactory
) -> None:
    server.put(agent("trader"))
    gap = 0.2
    timings = replace(FAST, poll=600, refresh_gap=gap)
    client = make_client(streaming=False, ttl=0.01, timings=timings)
    assert client.wait_ready(20)
    asked, began = server.asked("/api/sync"), time.monotonic()

    def read(_: int) -> set[str]:
        return {client.get_agent_config("trader").source for _ in range(100)}

    def crowd() -> bool:
        assert set().union(*pool.map(read, range(32))) == {"agent"}
        return server.asked("/api/sync") > asked

    with ThreadPoolExecutor(32) as pool:
        wait_until(crowd)
    assert server.asked("/api/sync") - asked <= 1 + (time.monotonic() - began) / gap
    assert server.asked("/api/agents") == 0


def test_forks_at_any_moment(server: FaultServer, make_client: ClientFactory) -> None:
    """Threads read and changes stream in, so that locks are held when the children are born."""
    server.put(agent("trader", "m0"))
    client = make_client()
    stream = server.wait_for_stream()
    Heard(client)
    over = threading.Event()

    def read() -> None:
        while not over.wait(0.0005):
            client.get_agent_config("trader")
            client.report_usage("trader", input_tokens=1)

    def change() -> None:
        number = 0
        while not over.wait(0.005):
            number += 1
            server.put(agent("trader", f"m{number}"))

    threads = [threading.Thread(target=work) for work in (read, read, change)]
    for thread in threads:
        thread.start()
    try:
        answers = [_child_reads(client) for _ in range(8)]
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert [(source, status) for _, source, status in answers] == [("agent", "LIVE")] * 8
    assert not stream.ended.is_set()
    wait_until(
        lambda: client.get_agent_config("trader").model == server.agents["trader"]["llm_model"]
    )


def test_nothing_is_left_open(
    server: FaultServer, make_client: ClientFactory, tmp_path: Path
) -> None:
    server.put(agent("trader"))
    before = _open_files()
    client = make_client(snapshot_path=tmp_path / "snapshot")
    Heard(client)
    client.report_usage("trader", input_tokens=1)
    server.wait_for_stream()
    assert client.agent("trader").config.model == "gpt-4.1"
    assert client.flush_usage(20)
    client.close()
    wait_until(lambda: _open_files() <= before)
    assert not [t for t in threading.enumerate() if t.name.startswith("switchyard-")]


def test_no_secret_is_told_whatever_goes_wrong(
    server: FaultServer,
    make_client: ClientFactory,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Logs of all libraries at DEBUG, reprs, pickles, exceptions, and what is on disk."""
    caplog.set_level(logging.DEBUG)
    server.put(agent("trader", llm_endpoint=NOWHERE, llm_timeout=1))
    client = make_client(snapshot_path=tmp_path / "snapshot", timings=HASTY)
    stream = server.wait_for_stream()
    config = client.get_agent_config("trader")
    told = [repr(client), repr(config), str(config.to_dict()), str(pickle.dumps(config))]
    with pytest.raises(AllAttemptsFailed) as failed:
        client.call("trader", _ask)
    told += traceback.format_exception(failed.value)
    stream.send_raw("{")
    server.answers.append(Answer("/api/", 401))
    server.stream = "401"
    wait_until(lambda: client.status == "UNAUTHORIZED")
    client.close()
    told += [str(path.read_bytes()) for path in tmp_path.iterdir()]
    everything = "\n".join([*told, caplog.text])
    assert "trader" in everything
    assert not [secret for secret in ("sk-one", "token-1") if secret in everything]


def _ask(attempt: Attempt) -> requests.Response:
    key = attempt.openai()["api_key"]
    return requests.get(NOWHERE, headers={"Authorization": f"Bearer {key}"}, timeout=1)


def _child_reads(client: object) -> list[str]:
    """What a forked child reads, and how it stands towards the server soon."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            config = client.get_agent_config("trader")  # type: ignore[attr-defined]
            wait_until(lambda: client.status == "LIVE")  # type: ignore[attr-defined]
            answer = [config.model, config.source, client.status]  # type: ignore[attr-defined]
            os.write(writer, json.dumps(answer).encode())
        except BaseException as error:
            os.write(writer, json.dumps([repr(error), "", ""]).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as told:
        answered: list[str] = json.loads(told.read())
    os.waitpid(child, 0)
    return answered


def _open_files() -> set[str]:
    found = set()
    for link in Path("/proc/self/fd").iterdir():
        try:
            found.add(str(link.readlink()))
        except FileNotFoundError:
            continue  # the folder's own descriptor
    return found
