"""Thin commands: `flask --help` lists them."""

import json
from typing import Any

import click
import flask_migrate
from flask import Flask, current_app
from marshmallow import Schema, ValidationError

from app.accounts import services as accounts
from app.accounts.models import Role, Scope
from app.accounts.schemas import TokenIn, UserIn
from app.agents import halt
from app.core import keys
from app.core.commands import AS_JSON, Command, Group
from app.core.errors import Invalid
from app.health.cli import providers_group
from app.providers import services as providers
from app.transfer.cli import config_group
from app.transfer.seed import seed, seed_missing_configs
from app.usage.cli import usage_group

agents_group = Group("agents", help="The red button.")
keys_group = Group("keys", help="The keys that encrypt the stored API keys.")
users_group = Group("users", help="People who sign in.")
tokens_group = Group("tokens", help="API tokens of programs.")


def init_app(app: Flask) -> None:
    """Register every command."""
    config = (agents_group, config_group, providers_group)
    for group in (*config, keys_group, users_group, tokens_group, usage_group):
        app.cli.add_command(group)
    app.cli.command("seed", cls=Command)(seed_command)
    app.cli.command("setup", cls=Command)(setup_command)


@click.option("--missing-configs", is_flag=True, help="Give agents without a chain one step.")
@click.option("--provider", help="Its provider, by type or name.")
@click.option("--model", help="Its model.")
@AS_JSON
def seed_command(
    missing_configs: bool, provider: str | None, model: str | None, as_json: bool
) -> None:
    """Make the default agent and its provider, and the development agent of the environment.

    Run it as often as you like: what exists is left alone.
    """
    if missing_configs and not (provider and model):
        raise click.UsageError("--missing-configs needs --provider and --model.")
    if (provider or model) and not missing_configs:
        raise click.UsageError("--provider and --model go with --missing-configs.")
    keys.check_for_command()
    made = seed()
    if missing_configs and provider and model:
        made += [f"chain of {agent_id}" for agent_id in seed_missing_configs(provider, model)]
    if as_json:
        click.echo(json.dumps({"made": made}))
    else:
        click.echo(f"Made: {', '.join(made)}." if made else "Nothing to do: it is all there.")


@AS_JSON
def setup_command(as_json: bool) -> None:
    """Migrate, seed, and make the first admin and the first client token where missing.

    What is made is printed this once; what exists is left alone.
    """
    flask_migrate.upgrade()
    crypto_state = keys.check_canary()
    made = seed()
    providers.note_environment_keys()
    config = current_app.config
    admin, password = accounts.ensure_admin(config["ADMIN_EMAIL"], config["ADMIN_PASSWORD"])
    if config["ADMIN_TOKEN"]:
        accounts.ensure_admin_token(config["ADMIN_TOKEN"])
    report = {
        "admin_email": admin.email,
        "admin_password": password,
        "client_token": accounts.ensure_client_token(),
        "made": made,
        "keys": crypto_state,
    }
    if as_json:
        click.echo(json.dumps(report))
        return
    for name, value in report.items():
        click.echo(f"{name}: {value}")


@agents_group.command("halt")
@click.argument("names", nargs=-1)
@click.option("--all", "everybody", is_flag=True, help="Every agent, also those still to come.")
@click.option("--reason", help="Shown to whoever calls a halted agent.")
@AS_JSON
def halt_agents(names: tuple[str, ...], everybody: bool, reason: str | None, as_json: bool) -> None:
    """Press the red button: clients refuse before any call."""
    _check_names(names, everybody)
    if everybody:
        halt.halt_all(reason)
    else:
        halt.halt_agents(list(names), reason)
    _say_halted("Halted", names, as_json)


@agents_group.command("resume")
@click.argument("names", nargs=-1)
@click.option("--all", "everybody", is_flag=True, help="All but those halted one by one.")
@AS_JSON
def resume_agents(names: tuple[str, ...], everybody: bool, as_json: bool) -> None:
    """Let go of the red button."""
    _check_names(names, everybody)
    if everybody:
        halt.resume_all()
    else:
        halt.resume_agents(list(names))
    _say_halted("Resumed", names, as_json)


def _check_names(names: tuple[str, ...], everybody: bool) -> None:
    if bool(names) == everybody:
        raise click.UsageError("Name agents, or say --all.")


def _say_halted(done: str, names: tuple[str, ...], as_json: bool) -> None:
    body = {done.lower(): list(names) or "all"}
    click.echo(json.dumps(body) if as_json else f"{done}: {', '.join(names) or 'all agents'}.")


@keys_group.command("status")
@AS_JSON
def keys_status(as_json: bool) -> None:
    """How many stored keys each encryption key holds, and which rows do not open."""
    report = keys.status()
    _print_keys(report, as_json)
    raise SystemExit(1 if report.unreadable else 0)


@keys_group.command("rotate")
@AS_JSON
def keys_rotate(as_json: bool) -> None:
    """Put every stored key under the first of ENCRYPTION_KEYS. Online; run again to resume."""
    report = keys.rotate(progress=None if as_json else click.progressbar)
    _print_keys(report, as_json)
    raise SystemExit(1 if report.unreadable else 0)


@keys_group.command("adopt")
@click.confirmation_option(
    "--yes", prompt="Whatever these ENCRYPTION_KEYS do not open has to be entered again. Go on?"
)
@AS_JSON
def keys_adopt(as_json: bool) -> None:
    """Take ENCRYPTION_KEYS for this database's: its own are lost for good.

    Nothing is wiped. Exit code 1: some stored keys do not open, and are named.
    """
    report = keys.adopt()
    _print_keys(report, as_json)
    raise SystemExit(1 if report.unreadable else 0)


def _print_keys(report: keys.KeyReport, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(report._asdict()))
        return
    click.echo(f"Under the first key: {report.current}. Under older ones: {report.outdated}.")
    for row in report.unreadable:
        click.echo(f"Does not open, enter it again: {row}", err=True)


@users_group.command("create")
@click.argument("email")
@click.option("--role", type=click.Choice([role.value for role in Role]), default="viewer")
@click.password_option(help="Asked for when it is not given.")
@AS_JSON
def create_user(email: str, role: str, password: str, as_json: bool) -> None:
    """Add somebody who may sign in."""
    user = accounts.create_user(
        **_checked(UserIn(), {"email": email, "password": password, "role": role})
    )
    body = {"id": user.id, "email": user.email, "role": user.role.value}
    click.echo(json.dumps(body) if as_json else f"Made {user.email} ({user.role.value}).")


@tokens_group.command("create")
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice([scope.value for scope in Scope]),
    default=[scope.value for scope in accounts.CLIENT_SCOPES],
    help="May be given several times. Default: what an agent needs.",
)
@click.option("--agent", "agents", multiple=True, help="Bind the token to this agent_id.")
@AS_JSON
def create_token(
    name: str, scopes: tuple[str, ...], agents: tuple[str, ...], as_json: bool
) -> None:
    """Make a token. It is printed this once."""
    given = {"name": name, "scopes": list(scopes), "agents": list(agents) or None}
    token, value = accounts.create_token(**_checked(TokenIn(), given))
    body = {"id": token.id, "name": token.name, "token": value}
    click.echo(json.dumps(body) if as_json else value)


@tokens_group.command("revoke")
@click.argument("token_id", type=int)
@AS_JSON
def revoke_token(token_id: int, as_json: bool) -> None:
    """End a token's life."""
    token = accounts.revoke_token(token_id)
    click.echo(json.dumps({"id": token.id}) if as_json else f"Revoked {token.name}.")


def _checked(schema: Schema, given: dict[str, Any]) -> dict[str, Any]:
    """What the API would take as well. Raises Invalid naming the fields."""
    try:
        loaded: dict[str, Any] = schema.load(given)
    except ValidationError as error:
        told = json.dumps(error.normalized_messages(), ensure_ascii=False)
        raise Invalid({}, f"This will not do: {told}") from None
    return loaded
