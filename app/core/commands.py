"""What every command shares: who acts, how a refusal is printed, JSON on request."""

from typing import Any

import click
from flask.cli import AppGroup
from sqlalchemy.exc import DatabaseError

from app.core.actor import set_actor
from app.core.errors import SwitchyardError
from app.core.trouble import reason_of
from app.settings import SettingsError

AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
EXIT_CODE = click.option(
    "--exit-code", is_flag=True, help="With --dry-run: exit code 1 if something would change."
)


class Polite:
    """Names the actor, and prints a refusal as one line with exit code 2."""

    def invoke(self, ctx: click.Context) -> Any:
        set_actor(f"cli:{ctx.info_name}")
        try:
            return super().invoke(ctx)  # type: ignore[misc]
        except (SwitchyardError, SettingsError) as error:
            _refuse(ctx, str(error))
        except DatabaseError as error:
            # No server, no file, no tables, or a file of something else: what a command can meet on
            # a first day.
            why = reason_of(error)
            _refuse(ctx, f"The database is away or not set up ({why}): see `flask setup`.")


def _refuse(ctx: click.Context, message: str) -> None:
    click.echo(f"Error: {message}", err=True)
    ctx.exit(2)


class Command(Polite, click.Command):
    """A polite command."""


class Group(Polite, AppGroup):
    """A group of polite commands."""
