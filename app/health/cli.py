"""Thin command: `flask providers check`, for people and for cron."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

from app.core.commands import AS_JSON, Group
from app.core.keys import check_for_command
from app.health import cron
from app.health.cron import Outcome
from app.providers.models import ValidationStatus

providers_group = Group("providers", help="Endpoints with their credentials.")


@providers_group.command("check")
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option("--all", "everybody", is_flag=True, help="Every active provider, as without a word.")
@click.option("--due", is_flag=True, help="Those whose time has come.")
@click.option("--wait", is_flag=True, help="Until all results are there.")
@click.option(
    "--timeout",
    type=click.FloatRange(1, 3600),
    default=60,
    show_default=True,
    help="With --wait: give up after so many seconds without a result.",
)
@AS_JSON
def check_command(
    names: tuple[str, ...], everybody: bool, due: bool, wait: bool, timeout: float, as_json: bool
) -> None:
    """Check providers: those named, those that are due, or all.

    A worker does it; where none runs, this command does it itself, and then waits in any case.

    Exit code 0: none is in error; 1: some are; 2: it could not run, or not all have ended in time.
    What lacks its API key is not checked, and says so; it is no error.
    """
    if [bool(names), everybody, due].count(True) > 1:
        raise click.UsageError("Name providers, or say --all, or --due.")
    check_for_command()  # with another database's keys every provider would be in error
    chosen = cron.list_named(names) if names else cron.list_due() if due else cron.list_active()
    if not due:
        cron.request_checks(chosen)
    left: set[int] = set()
    if not cron.leave_to_worker(chosen) or wait:
        with _progress(len(chosen)) as advance:
            left = cron.wait_for_checks(chosen, timeout, advance)
    outcomes = cron.list_outcomes(chosen)
    _print_json(outcomes, len(left)) if as_json else _print(outcomes)
    if left:
        click.echo(f"Error: {len(left)} checks have not ended in time.", err=True)
        raise SystemExit(2)
    failed = any(each.settled_status is ValidationStatus.ERROR for each in outcomes)
    raise SystemExit(1 if failed else 0)


@contextmanager
def _progress(length: int) -> Iterator[Callable[[int], None]]:
    """A bar on stderr where somebody looks at it, nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda _steps: None
        return
    with click.progressbar(length=length, label="Checking", file=sys.stderr) as bar:
        yield bar.update


def _print_json(outcomes: list[Outcome], unfinished: int) -> None:
    rows = [
        {
            "name": each.name,
            "type": each.type,
            "status": each.status.value,
            "latency_ms": each.latency_ms,
            "last_checked_at": each.last_checked_at and each.last_checked_at.isoformat(),
            "error": each.last_error,
        }
        for each in outcomes
    ]
    click.echo(json.dumps({"providers": rows, **_counts(outcomes), "unfinished": unfinished}))


def _print(outcomes: list[Outcome]) -> None:
    width = max((len(each.name) for each in outcomes), default=0)
    for each in outcomes:
        good = each.status is ValidationStatus.CONNECTED
        said = f"{each.latency_ms} ms" if good else each.last_error or ""
        click.echo(f"{each.name:{width}}  {each.status.value:10}  {said}".rstrip())
    counts = (f"{count} {status}" for status, count in _counts(outcomes).items() if count)
    click.echo(", ".join(counts) + "." if outcomes else "There is nothing to check.")


def _counts(outcomes: list[Outcome]) -> dict[str, int]:
    return {
        status.value: sum(each.status is status for each in outcomes) for status in ValidationStatus
    }
