"""What F4 is measured against: a Flask app with one JSON route and nothing else.

It is gunicorn's configuration as well (`-c bench/_bare.py bench._bare:app`): the project's own,
without the hooks that need the project's app.
"""

import runpy

from flask import Flask

HOOKS = {"post_worker_init", "worker_int"}
_project = runpy.run_path("gunicorn.conf.py")
globals().update(
    {name: it for name, it in _project.items() if name not in HOOKS and not name.startswith("_")}
)

app = Flask("bare")


@app.get("/healthz")
def healthz() -> dict[str, str]:
    return {"status": "ok"}


@app.get("/agents/<agent_id>")
def one(agent_id: str) -> dict[str, str]:
    return {"agent_id": agent_id, "status": "ok"}
