"""`make up`: the whole stack in the foreground, from an empty folder to a served /readyz.

The order is the point: lock, leftovers, Redis, database, then web and worker together; on the
way out the other way round, so that nobody is left without what it needs.
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from honcho.environ import parse_procfile

from app.settings import SettingsError, embedded_redis_socket, load_settings
from scripts.stack.banner import Banner
from scripts.stack.checks import check_port, check_redis
from scripts.stack.child import Child
from scripts.stack.data_folder import (
    ADMIN_PASSWORD_FILE,
    CLIENT_TOKEN_FILE,
    AlreadyRunningError,
    DataFolderLock,
    StackRecord,
    acquire_or_explain,
    keep,
    kept,
    prepare_data_dir,
)
from scripts.stack.database import restored_on_failure, sqlite_file
from scripts.stack.embedded_redis import (
    answers_ping,
    find_redis_server,
    prepare_socket_folder,
    redis_arguments,
    redis_log,
)
from scripts.stack.errors import StartError, in_words
from scripts.stack.keys import ensure_secrets
from scripts.stack.leftovers import RUN_VARIABLE, end_leftovers
from scripts.stack.readiness import ReadinessProbe
from scripts.stack.supervisor import StopRequested, Supervisor

ROOT = Path(__file__).resolve().parents[1]
_READY_TIMEOUT = 180.0
_REDIS_TIMEOUT = 10.0
_KNOWN_TO_REDIS = ("PATH", "LD_LIBRARY_PATH", "TZ", RUN_VARIABLE)
# From its environment alone, and secrets.env may have them too.
_READ_BY_GUNICORN = ("HOST", "PORT", "WEB_WORKER_CLASS", "WEB_CONCURRENCY")


def main() -> int:
    started = time.monotonic()
    os.umask(0o077)  # whatever is written here holds keys, or what they protect
    try:
        settings = load_settings()
        with _locked_data_folder(settings) as record:
            _run(settings, record, started)
    except AlreadyRunningError as error:
        return _fail(str(error), 1)
    except (StartError, SettingsError) as error:
        return _fail(f"Switchyard cannot start. {error}", 2)
    except OSError as error:  # a full disk, no more processes, ...
        return _fail(f"Switchyard cannot run. {in_words(error)}", 2)
    return 0


@contextmanager
def _locked_data_folder(settings: Mapping[str, Any]) -> Iterator[StackRecord]:
    """The data folder, ours alone and clear of what a killed supervisor left on it."""
    data_dir = Path(settings["DATA_DIR"])
    prepare_data_dir(data_dir)
    lock = DataFolderLock(data_dir)
    acquire_or_explain(lock, data_dir)
    previous = lock.record()
    record = StackRecord.of_this_process(_url(settings))
    lock.write(record)
    try:
        if previous and (ended := end_leftovers(previous.run)):
            _write("switchyard", f"ended {ended} processes that a killed run had left behind")
        yield record
    finally:
        lock.write(None)
        lock.release()


def _run(settings: Mapping[str, Any], record: StackRecord, started: float) -> None:
    data_dir = Path(settings["DATA_DIR"])
    database = sqlite_file(settings["DATABASE_URL"])
    check_port(settings["HOST"], settings["PORT"])
    ensure_secrets(data_dir, database, os.environ)
    env = _children_env(settings, record)
    supervisor = Supervisor(_write)
    supervisor.listen_to_signals()
    try:
        _start_redis(supervisor, settings, env)
        with restored_on_failure(database, ROOT / "migrations" / "versions"):
            made = _set_up(supervisor, env)
            # Set-up says it once, and the start may end before it comes to the banner.
            keep(data_dir, ADMIN_PASSWORD_FILE, made["admin_password"])
            keep(data_dir, CLIENT_TOKEN_FILE, made["client_token"])
        supervisor.start(*_procfile_children(env))
        _wait_until_ready(supervisor, settings)
        _print(_banner(settings, made, time.monotonic() - started).text())
        (data_dir / ADMIN_PASSWORD_FILE).unlink(missing_ok=True)
        supervisor.run_until(lambda: False, restart=True)
    except StopRequested:
        _write("switchyard", "stopping")
    finally:
        supervisor.stop()


def _start_redis(
    supervisor: Supervisor, settings: Mapping[str, Any], env: Mapping[str, str]
) -> None:
    socket_path = embedded_redis_socket(settings["DATA_DIR"])
    if settings["REDIS_URL"] != f"unix://{socket_path}":
        check_redis(settings["REDIS_URL"])
        return
    prepare_socket_folder(socket_path)
    command = redis_arguments(find_redis_server(), socket_path)
    # The keys in the environment are none of its business.
    known = {name: env[name] for name in _KNOWN_TO_REDIS if name in env}
    supervisor.start(Child("redis", command, known, ROOT))
    if not supervisor.run_until(lambda: answers_ping(socket_path), _REDIS_TIMEOUT):
        raise StartError(f"The embedded Redis does not answer: see {redis_log(socket_path)}")


def _set_up(supervisor: Supervisor, env: Mapping[str, str]) -> dict[str, str | None]:
    """Migrate, seed and make the first accounts, all in one process; answers what it made."""
    with tempfile.TemporaryFile() as result:
        command = [sys.executable, "-m", "flask", "setup", "--json"]
        code = supervisor.run_once(Child("setup", command, env, ROOT, result))
        if code != 0:
            raise StartError(f"Setting up the database failed (exit code {code}).")
        result.seek(0)
        made: dict[str, str | None] = json.load(result)
        return made


def _procfile_children(env: Mapping[str, str]) -> list[Child]:
    """The processes of the Procfile, which foreman, honcho or a platform can run just as well."""
    processes = parse_procfile((ROOT / "Procfile").read_text()).processes
    return [
        Child(name, ["sh", "-c", f"exec {command}"], env, ROOT)
        for name, command in processes.items()
    ]


def _wait_until_ready(supervisor: Supervisor, settings: Mapping[str, Any]) -> None:
    probe = ReadinessProbe(_reachable(settings["HOST"]), settings["PORT"])
    if not supervisor.run_until(probe, _READY_TIMEOUT):
        raise StartError(f"Not ready after {_READY_TIMEOUT:g} s: {probe.last_answer}")


def _children_env(settings: Mapping[str, Any], record: StackRecord) -> dict[str, str]:
    return {
        **os.environ,
        # The Procfile says `python`: that of this environment.
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "PYTHONUNBUFFERED": "1",
        **{name: str(settings[name]) for name in _READ_BY_GUNICORN},
        "DATA_DIR": settings["DATA_DIR"],
        RUN_VARIABLE: record.run,
    }


def _banner(settings: Mapping[str, Any], made: Mapping[str, str | None], seconds: float) -> Banner:
    data_dir = Path(settings["DATA_DIR"])
    return Banner(
        url=_url(settings),
        data_dir=settings["DATA_DIR"],
        admin_email=made["admin_email"] or settings["ADMIN_EMAIL"],
        admin_password=kept(data_dir, ADMIN_PASSWORD_FILE),
        client_token=kept(data_dir, CLIENT_TOKEN_FILE),
        seconds=seconds,
    )


def _url(settings: Mapping[str, Any]) -> str:
    host = _reachable(settings["HOST"])
    return f"http://{f'[{host}]' if ':' in host else host}:{settings['PORT']}"


def _reachable(host: str) -> str:
    """An address to call for one to listen on: the wildcard is not one."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound


def _write(name: str, line: str) -> None:
    _print(f"{name:<10} | {line}")


def _print(text: str) -> None:
    try:
        print(text, flush=True)
    except OSError:  # the terminal or the pipe is gone; the stack serves on
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fail(message: str, code: int) -> int:
    print(message, file=sys.stderr, flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
