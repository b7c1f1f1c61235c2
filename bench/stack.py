"""F8: `make up` ready in at most 5 s when installed, the embedded stack in at most 400 MiB RSS."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import psutil

from tests.support.processes import ROOT, free_port, wait_until
from tests.support.servers import http_get, short_folder

SECONDS, MEBIBYTES = 5.0, 400.0
_REQUESTS = 300  # before memory is weighed: an idle process flatters itself


def main() -> int:
    with short_folder() as folder:
        env = {**os.environ, "DATA_DIR": str(folder / "data"), "PORT": str(free_port())}
        runs = [_run(env, what) for what in ("first start", "second start")]
    seconds = runs[-1][0]
    mebibytes = max(rss for _, rss in runs)
    print(f"F8 ready after {seconds:.1f} s (at most {SECONDS:g}: {seconds / SECONDS:.2f} of it)")
    print(f"F8 RSS {mebibytes:.0f} MiB (at most {MEBIBYTES:g}: {mebibytes / MEBIBYTES:.2f} of it)")
    return 0 if seconds <= SECONDS and mebibytes <= MEBIBYTES else 1


def _run(env: Mapping[str, str], what: str) -> tuple[float, float]:
    """Seconds to the first 200 of /readyz, and MiB of all processes under make together."""
    url = f"http://127.0.0.1:{env['PORT']}"
    log = Path(env["DATA_DIR"]).with_suffix(".log")
    started = time.monotonic()
    with log.open("wb") as output:
        make = subprocess.Popen(
            ["make", "up"], cwd=ROOT, env=env, stdout=output, stderr=output, start_new_session=True
        )
    try:
        wait_until(lambda: http_get(f"{url}/readyz").status == 200, "ready", 120, every=0.05)
        seconds = time.monotonic() - started
        for _ in range(_REQUESTS):
            http_get(f"{url}/login")
        print(f"{what}: ready after {seconds:.2f} s")
        return seconds, _weigh(make.pid)
    finally:
        os.killpg(make.pid, signal.SIGINT)
        make.wait(20)


def _weigh(pid: int) -> float:
    total = 0.0
    for process in psutil.Process(pid).children(recursive=True):
        rss = process.memory_info().rss / 2**20
        command = re.sub(r"\S*/", "", " ".join(process.cmdline()))
        print(f"  {rss:6.1f} MiB  {command[:70]}")
        total += rss
    return total


if __name__ == "__main__":
    sys.exit(main())
