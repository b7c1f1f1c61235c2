"""The promises under whatever happens: a server that fails in every way, crowds, forks, an end."""

import logging
import os
import pickle
import random
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import requests
from switchyard_client import AllAttemptsFailed, Attempt, SwitchyardClient

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
    assert client.wait_ready(60)
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
    assert client.wait_ready(60)
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


@pytest.mark.parametrize("seed", range(4))
def test_whatever_is_pulled_away_reads_go_on_and_the_end_is_right(
    server: FaultServer, make_client: ClientFactory, tmp_path: Path, seed: int
) -> None:
    dice = random.Random(seed)
    server.put(agent("trader", "m0"), agent("default", "small", is_default=True))
    timings = replace(HASTY, unauthorized_min=0.02, unauthorized_max=0.1)
    client = make_client(timings=timings, snapshot_path=tmp_path / "snapshot")
    over, raised = threading.Event(), []

    def read() -> None:
        while not over.wait(0.001):
            try:
                for agent_id in ("trader", "default", "nobody"):
                    client.get_agent_config(agent_id)
            except BaseException as error:
                raised.append(error)

    readers = [threading.Thread(target=read, daemon=True) for _ in range(4)]
    for reader in readers:
        reader.start()
    for number in range(25):
        dice.choice(FAULTS)(server, dice, number)
        time.sleep(dice.choice((0, 0.005, 0.03)))  # faults meet each other in many ways
    _mend(server)
    server.put(agent("trader", "at-last"))
    wait_until(lambda: client.get_agent_config("trader").model == "at-last")
    wait_until(lambda: client.status == "LIVE")
    over.set()
    assert raised == []
    assert client.applied_rev == server.rev


def _mend(server: FaultServer, *_: object) -> None:
    server.stream = "normal"
    server.answers.clear()
    server.start()


def _stop(server: FaultServer, *_: object) -> None:
    server.stop()


def _fail_streams(server: FaultServer, dice: random.Random, _: int) -> None:
    server.stream = dice.choice([*STREAM_FAULTS, "silent", "welcome-eof", "401"])


def _fail_answers(server: FaultServer, dice: random.Random, _: int) -> None:
    status, body = dice.choice([200, 401, 404, 429, 500]), dice.choice([b"", b"{", b"<html>"])
    server.answers.append(Answer("/api/", status, body=body))


def _change(server: FaultServer, dice: random.Random, number: int) -> None:
    server.put(agent("trader", f"m{number}"), push=dice.choice([True, False]))


def _garble(server: FaultServer, *_: object) -> None:
    for stream in server.live_sockets():
        stream.send_raw('{"type": "agent_config_changed", "rev": ')


def _cut(server: FaultServer, *_: object) -> None:
    for stream in server.live_sockets():
        stream.close(1001, "restart")


FAULTS = [_mend, _stop, _fail_streams, _fail_answers, _change, _change, _garble, _cut]


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

    threads = [threading.Thread(target=work, daemon=True) for work in (read, read, change)]
    for thread in threads:
        thread.start()
    try:
        answers = [_child_reads(client) for _ in range(8)]
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert answers == ["agent"] * 8
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
    assert client.flush_usage(60)
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


def _child_reads(client: SwitchyardClient) -> str:
    """Where a forked child's value comes from, once the child has a stream of its own."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            config = client.get_agent_config("trader")
            wait_until(lambda: client.status == "LIVE")
            os.write(writer, config.source.encode())
        except BaseException as error:
            os.write(writer, repr(error).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as told:
        answered = told.read()
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
