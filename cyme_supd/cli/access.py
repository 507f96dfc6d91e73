"""``cyme users...`` and ``cyme token...``: who may ask, and with what."""

from __future__ import annotations

import sys

import click

from cyme_supd.cli import completion
from cyme_supd.cli.asking import TOKENS, USERS, Wanted
from cyme_supd.cli.base import command
from cyme_supd.cli.output import show, show_list
from cyme_supd.domain.access import MAX_PASSWORD, Role, check_password

_users = completion.names(lambda wanted: wanted.names(*USERS))
_user = click.argument("name", shell_complete=_users)
_token = click.argument("id", shell_complete=completion.names(lambda wanted: wanted.names(*TOKENS)))
_role = click.option(
    "--role", type=click.Choice([str(role) for role in Role]), help="What they may do; else viewer."
)
_USER_COLUMNS = ("name", "role", "created_at")
_TOKEN_COLUMNS = ("id", "label", "user", "role", "app", "expires_at", "last_used_at")


@command("users", example="cyme users -F table")
def users(wanted: Wanted) -> None:
    """List the users; as a table with what each may do."""
    names = wanted.names(*USERS)
    show_list(wanted, names, lambda name: wanted.read(USERS, name), _USER_COLUMNS)


@command("users.delete", example="cyme users.delete alice")
@_user
def delete(wanted: Wanted, name: str) -> None:
    """Forget a user, and their tokens."""
    show(wanted, wanted.change("DELETE", USERS, name))


@command("createuser", example="cyme createuser alice --role operator")
@_user
@_role
def create_user(wanted: Wanted, name: str, role: str | None) -> None:
    """Make a user, or give one another password.

    The password is asked for twice on a terminal, and one line in a pipe.
    """
    show(wanted, wanted.change("PUT", USERS, name, password=_password(), role=role))


@command("createsuperuser", example="cyme -L createsuperuser root")
@_user
def create_admin(wanted: Wanted, name: str) -> None:
    """The same, for one who may do everything."""
    role = str(Role.ADMIN)
    show(wanted, wanted.change("PUT", USERS, name, password=_password(), role=role))


@command("tokens", example="cyme tokens -F table")
def tokens(wanted: Wanted) -> None:
    """List the ids of the tokens; as a table with what each is for."""
    names = wanted.names(*TOKENS)
    show_list(wanted, names, lambda id: wanted.read(TOKENS, id), _TOKEN_COLUMNS)


@command("token.add", example="cyme token.add deployment --role operator --app shop")
@click.argument("label")
@_role
@click.option("--user", help="Whose it is; it may do no more than they.", shell_complete=_users)
@click.option("--app", "only_app", help="The app whose routes alone it is good for.")
@click.option("--expires", help="Seconds from now, or a time such as 2030-01-01T08:00Z.")
def add_token(
    wanted: Wanted,
    label: str,
    role: str | None,
    user: str | None,
    only_app: str | None,
    expires: str | None,
) -> None:
    """Make a token, and show it: this once."""
    until = _moment(expires)
    given = {"label": label, "role": role, "user": user, "app": only_app, "expires": until}
    show(wanted, wanted.change("POST", TOKENS, **given))


@command("token.revoke", example="cyme token.revoke 3f8a0c5512de")
@_token
def revoke_token(wanted: Wanted, id: str) -> None:
    """Have a token be worth nothing, at once."""
    show(wanted, wanted.change("DELETE", TOKENS, id))


def _password() -> str:
    if sys.stdin.isatty():
        return check_password(
            click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
        )
    # One line, of which what is too long is refused, not cut.
    line = sys.stdin.readline(MAX_PASSWORD + 2)
    return check_password(line.removesuffix("\n").removesuffix("\r"))


def _moment(said: str | None) -> str | float | None:
    """A number is seconds, in the body's JSON too."""
    try:
        return None if said is None else float(said)
    except ValueError:
        return said


COMMANDS = (
    users,
    delete,
    create_user,
    create_admin,
    tokens,
    add_token,
    revoke_token,
)
