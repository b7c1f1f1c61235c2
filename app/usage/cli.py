"""Thin commands: `flask usage ...`."""

import json
from dataclasses import asdict
from typing import Any
from zoneinfo import ZoneInfo

import click

from app.core.commands import AS_JSON, EXIT_CODE, Group
from app.core.db import reading
from app.usage import retention
from app.usage.listing import Selection, count_events
from app.usage.measures import show_money
from app.usage.periods import Period, read_period
from app.usage.rebuild import rebuild
from app.usage.reprice import Repricing
from app.usage.rollups import close_days

usage_group = Group("usage", help="What agents spent: events and their sums.")

FROM = click.option("--from", "first", metavar="DATE", help="A date or a time, in UTC.")
TO = click.option("--to", "last", metavar="DATE", help="A date, included, or a time, excluded.")


@usage_group.command("rebuild")
@FROM
@TO
@AS_JSON
def rebuild_command(first: str | None, last: str | None, as_json: bool) -> None:
    """Make the sums anew from the events, all or those of some days, while events come in.

    Days whose events are no longer kept stay as they are.
    """
    report = rebuild(_period(first, last), progress=None if as_json else click.progressbar)
    _say(
        report._asdict(),
        f"{report.days} days, {report.calls} calls, {report.differences} sums were otherwise.",
        as_json,
    )


@usage_group.command("reprice")
@FROM
@TO
@click.option("--agent", "agent_id", help="Only calls of this agent_id.")
@click.option("--provider", help="Only calls of this provider, as it was reported.")
@click.option("--model", help="Only calls of this model.")
@click.option("--dry-run", is_flag=True, help="Only show what would change.")
@EXIT_CODE
@AS_JSON
def reprice_command(
    first: str | None,
    last: str | None,
    dry_run: bool,
    exit_code: bool,
    as_json: bool,
    **filters: str | None,
) -> None:
    """Price calls anew, by today's prices for the time of each. Needs --from, but for a dry run.

    Each old cost is kept beside the new one in the table usage_repricings.
    """
    if first is None and not dry_run:
        raise click.UsageError("Say --from when on.")
    given = {name: value for name, value in filters.items() if value is not None}
    selection = Selection(_period(first, last), given)
    with reading():
        number = count_events(selection)
    with click.progressbar(length=number, label="Pricing", hidden=as_json) as bar:
        report = Repricing(selection, dry_run).run(tell=bar.update)
    amounts = {name: show_money(getattr(report, name)) for name in ("old_cost", "new_cost")}
    verb = "would change" if dry_run else "changed"
    _say(
        asdict(report) | amounts | {"dry_run": dry_run},
        f"{report.events} events, {report.changed} {verb}: {amounts['old_cost']} ->"
        f" {amounts['new_cost']} USD, unpriced {report.old_unpriced} -> {report.new_unpriced}.",
        as_json,
    )
    raise SystemExit(1 if exit_code and dry_run and report.changed else 0)


@usage_group.command("prune")
@AS_JSON
def prune_command(as_json: bool) -> None:
    """Let go of events older than USAGE_RETENTION_DAYS, by whole months; their sums stay."""
    report = retention.prune()
    before = report.before.date().isoformat() if report.before else None
    gone = f"{report.events} events deleted, months dropped: {', '.join(report.months) or 'none'}."
    _say(
        report._asdict() | {"before": before},
        f"Before {before}: {gone}" if before else "Events are kept for good.",
        as_json,
    )


@usage_group.command("close")
@AS_JSON
def close_command(as_json: bool) -> None:
    """Make the sums of the days that are over, and PostgreSQL's months for what is to come.

    The worker does it every ten minutes; summaries are right without it, and slower.
    """
    days, months = close_days(), retention.make_months()
    _say({"days": days, "months": months}, f"{days} days, {len(months)} months.", as_json)


def _period(first: str | None, last: str | None) -> Period:
    return read_period(first, last, ZoneInfo("UTC"))


def _say(body: dict[str, Any], text: str, as_json: bool) -> None:
    click.echo(json.dumps(body) if as_json else text)
