"""Thin commands: `flask config export`, `import` and `new-epoch`."""

import json
import sys
from functools import partial
from pathlib import Path
from typing import Any

import click

from app.changes.epoch import begin_epoch
from app.core.commands import AS_JSON, EXIT_CODE, Group
from app.core.db import reading
from app.core.errors import BadRequest
from app.core.keys import check_for_command
from app.transfer import document
from app.transfer.export import export_document
from app.transfer.importing import MAX_BYTES, Progress, Report, import_document

SIGNS = {"create": "+", "update": "~", "delete": "-"}
MAX_SHOWN = 100  # characters of a value; --json shows all

config_group = Group("config", help="The whole configuration as one file.")


@config_group.command("export")
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Not stdout.")
@AS_JSON
def export_command(output: Path | None, as_json: bool) -> None:
    """Write the configuration down, without secrets."""
    with reading():
        found = export_document()
    text = document.write_json(found) if as_json else document.write(found)
    if output is None:
        click.echo(text, nl=False)
    else:
        output.write_text(text, encoding="utf-8")


@config_group.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@click.option("--dry-run", is_flag=True, help="Only show what would change.")
@EXIT_CODE
@click.option("--prune", is_flag=True, help="Delete what the file's sections do not name.")
@click.option("--yes", is_flag=True, help="Do not ask, as without a terminal.")
@AS_JSON
def import_command(
    file: str, dry_run: bool, exit_code: bool, prune: bool, yes: bool, as_json: bool
) -> None:
    """Make the configuration what FILE (YAML or JSON, - for stdin) says, all of it or nothing.

    Exit code 0: applied, shown, or nothing to do; 1: the question was answered with no; 2: refused.
    """
    check_for_command()  # what it makes with a secret is sealed
    load = partial(import_document, _read(file), prune=prune, progress=_progress())
    at_once = not dry_run and (yes or not _somebody_is_there())
    report = load(dry_run=not at_once)
    if not as_json:
        _print(report)
    if report.diff and not dry_run:
        if not at_once:
            if not click.confirm("Apply?", err=True):
                raise SystemExit(1)
            # What was shown is what is applied: another difference by now is refused.
            report = load(expected=report.digest)
        click.echo("Applied.", err=True)
    if as_json:
        click.echo(json.dumps(report.to_dict()))
    raise SystemExit(1 if exit_code and report.dry_run and report.diff else 0)


@config_group.command("new-epoch")
@AS_JSON
def new_epoch_command(as_json: bool) -> None:
    """After a backup was put back: let every client fetch everything.

    Do it before anything is changed; the servers may run or not.
    """
    epoch = begin_epoch()
    text = f"New epoch {epoch}: every client fetches everything."
    click.echo(json.dumps({"epoch": epoch}) if as_json else text)


def _somebody_is_there() -> bool:
    """Whether a question would find somebody to answer it."""
    return sys.stdin.isatty()


def _progress() -> Progress | None:
    """A bar on stderr where somebody looks at it, nothing elsewhere."""
    return partial(click.progressbar, file=sys.stderr) if sys.stderr.isatty() else None


def _read(file: str) -> Any:
    with click.open_file(file, "rb") as stream:
        body: bytes = stream.read(MAX_BYTES + 1)
    if len(body) > MAX_BYTES:
        raise BadRequest(f"The file is larger than {MAX_BYTES // 2**20} MiB.")
    return document.read(body, is_json=file.endswith(".json"))


def _print(report: Report) -> None:
    for item in report.diff:
        click.echo(f"{SIGNS[item.operation]} {item.section} {item.name}")
        for path, (old, new) in item.fields.items():
            if item.operation == "update":
                click.echo(f"    {path}: {_shown(old)} -> {_shown(new)}")
            elif item.operation == "create":
                click.echo(f"    {path}: {_shown(new)}")
    for warning in report.warnings:
        click.echo(f"! {warning}")
    counts = report.counts()
    told = ", ".join(f"{number} {name}" for name, number in counts.items())
    click.echo(f"{told}." if report.diff else "Nothing to do.")


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 1] + "…"
