"""The house rules of docs/architecture.md, read from the imports themselves."""

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.support.servers import server_env

ROOT = Path(__file__).resolve().parents[1]

# Whom a domain may look at.
BELOW = {
    "core": set(),
    "changes": {"core"},
    "accounts": {"core", "changes"},
    "webhooks": {"core", "changes", "accounts"},
    "providers": {"core", "changes", "accounts"},
    "health": {"core", "changes", "accounts", "webhooks", "providers"},
    "prices": {"core", "changes", "accounts", "providers"},
    "agents": {"core", "changes", "accounts", "webhooks", "providers", "prices"},
    "tasks": {"core", "changes", "accounts", "providers", "prices", "agents"},
    "usage": {"core", "changes", "accounts", "webhooks", "providers", "prices", "agents"},
}
ABOVE_ALL = {"push", "pages", "transfer"}
FURNITURE = {"settings", "extensions"}
# Who may look at what is above all the domains.
ENTRANCES = {"app", "app.api", "app.cli", "app.console", "app.metrics", "app.models"}
DOORS = {"api", "admin", "cli"}

# What a module says of itself, it is held to; these few leave it unsaid.
SAYS_PURE = re.compile(r"\b[Pp]ure\b(?! but)|\b[Nn]o I/O\b|without any I/O")
PURE_UNSAID = {
    "app/agents/spelling.py",
    "app/core/actor.py",
    "app/core/clock.py",
    "app/core/errors.py",
    "app/core/strict_json.py",
    "app/providers/adapters/calls.py",
}
IO = (
    "app.core.db",
    "app.core.http",
    "app.core.jobs",
    "app.core.redis",
    "celery",
    "flask",
    "http.client",
    "psycopg",
    "redis",
    "requests",
    "socket",
    "sqlalchemy",
    "sqlite3",
    "subprocess",
    "threading",
    "urllib.request",
    "websocket",
)


def test_domains_look_one_way_only() -> None:
    wrong = [
        f"{importer} -> {imported}"
        for importer, imported in app_imports()
        if (domain := domain_of(importer)) in BELOW
        and not _is_door(importer)
        and domain_of(imported) not in BELOW[domain] | {domain} | FURNITURE
    ]
    assert wrong == []


def test_doors_look_no_further_than_their_services_do() -> None:
    wrong = [
        f"{importer} -> {imported}"
        for importer, imported in app_imports()
        if (domain := domain_of(importer)) in BELOW
        and _is_door(importer)
        and domain_of(imported) not in BELOW[domain] | {domain, "admin"} | FURNITURE
    ]
    assert wrong == []


def test_only_doors_and_entrances_know_the_admin_furniture() -> None:
    wrong = [
        f"{importer} -> {imported}"
        for importer, imported in app_imports()
        if domain_of(imported) == "admin"
        and domain_of(importer) not in {"admin", "pages"}
        and not _is_door(importer)
        and importer not in ENTRANCES
    ]
    assert wrong == []


def test_nobody_imports_what_is_above_all_domains_but_pages_and_the_entrances() -> None:
    wrong = [
        f"{importer} -> {imported}"
        for importer, imported in app_imports()
        if domain_of(imported) in ABOVE_ALL
        and domain_of(importer) not in {domain_of(imported), "pages"}  # pages look at everything
        and importer not in ENTRANCES
    ]
    assert wrong == []


def test_services_do_not_know_their_doors() -> None:
    wrong = [
        f"{importer} -> {imported}"
        for importer, imported in app_imports()
        if _is_door(imported)
        and not _is_door(importer)
        and domain_of(importer) != "admin"
        and importer not in ENTRANCES
    ]
    assert wrong == []


def test_app_worker_and_client_keep_apart() -> None:
    for folder, strangers in (
        ("app", {"worker", "switchyard_client", "scripts", "tests"}),
        ("worker", {"switchyard_client", "scripts", "tests"}),
        ("client/switchyard_client", {"app", "worker", "scripts", "tests"}),
    ):
        tops = {
            name.partition(".")[0]
            for file in python_files(folder)
            for name in imports_of(file, module_name(file))
        }
        assert tops & strangers == set(), folder


def test_no_cycle_among_the_modules() -> None:
    graph: dict[str, set[str]] = {}
    for importer, imported in app_imports(at_import_time=True):
        graph.setdefault(importer, set()).add(imported)
    done: set[str] = set()

    def walk(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " -> ".join((*path[path.index(module) :], module))
        if module in done:
            return
        for other in sorted(graph.get(module, ())):
            walk(other, (*path, module))
        done.add(module)

    for module in sorted(graph):
        walk(module, ())


def test_pure_modules_reach_for_nothing_outside() -> None:
    said = {
        file
        for folder in ("app", "client/switchyard_client")
        for file in python_files(folder)
        if SAYS_PURE.search((ast.get_docstring(tree_of(file)) or "").partition("\n\n")[0])
    }
    assert len(said) > 30
    reached = [
        f"{module_name(file)} -> {name}"
        for file in sorted(said | {ROOT / path for path in PURE_UNSAID})
        for name in imports_of(file, module_name(file))
        if any(name == io or name.startswith(f"{io}.") for io in IO)
    ]
    assert reached == []


def test_doors_speak_no_sql() -> None:
    doors = [file for file in python_files("app") if _is_door(module_name(file))]
    assert len(doors) > 30
    for file in doors:
        names = imports_of(file, module_name(file))
        assert not [n for n in names if n.partition(".")[0] == "sqlalchemy"], file
        assert "app.core.db.db" not in names, file


def test_there_is_one_committer() -> None:
    committers = {
        module_name(file)
        for folder in ("app", "worker")
        for file in python_files(folder)
        for node in ast.walk(tree_of(file))
        if isinstance(node, ast.Attribute)
        and node.attr == "commit"
        and "session" in ast.unparse(node.value)
    }
    assert committers == {"app.core.db"}


def test_no_module_holds_a_connection_or_connects_when_imported(tmp_path: Path) -> None:
    """Importing every module and building the app touches no socket, database or process."""
    program = """
import json, pkgutil, sys
touched = []
WATCHED = {"socket.connect", "socket.getaddrinfo", "sqlite3.connect",
           "subprocess.Popen", "os.fork", "_thread.start_new_thread"}
sys.addaudithook(lambda event, args: touched.append(event) if event in WATCHED else None)
import app, worker
for package in (app, worker):
    for found in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        __import__(found.name)
app.create_app()
print(json.dumps(touched))
"""
    result = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=server_env(tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout.splitlines()[-1]) == []
    assert list(tmp_path.iterdir()) == []


def app_imports(*, at_import_time: bool = False) -> Iterator[tuple[str, str]]:
    """Every (importing module, imported module) of ``app``, those inside functions included."""
    modules = {module_name(file) for file in python_files("app")}
    for file in python_files("app"):
        importer = module_name(file)
        for name in imports_of(file, importer, at_import_time=at_import_time):
            # `from app.core import db` names a module, `from app.core.db import db` an attribute.
            imported = name if name in modules else name.rpartition(".")[0]
            if imported in modules and imported != importer:
                yield importer, imported


def imports_of(file: Path, module: str, *, at_import_time: bool = False) -> list[str]:
    nodes = tree_of(file).body if at_import_time else list(ast.walk(tree_of(file)))
    names: list[str] = []
    package = module if file.name == "__init__.py" else module.rpartition(".")[0]
    for node in nodes:
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1]
            base = ".".join([*parents, node.module or ""]) if node.level else node.module
            names += [f"{base}.{alias.name}" for alias in node.names]
    return names


@cache
def tree_of(file: Path) -> ast.Module:
    return ast.parse(file.read_text())


def python_files(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def module_name(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    parts = parts[1:] if parts[0] == "client" else parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def domain_of(module: str) -> str:
    """``agents`` for app.agents.services; "" for app itself."""
    return module.split(".")[1] if "." in module else ""


def _is_door(module: str) -> bool:
    parts = module.split(".")
    return len(parts) == 3 and parts[-1].rpartition("_")[2] in DOORS
