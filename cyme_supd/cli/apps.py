"""``cyme apps...``: applications."""

from __future__ import annotations

import click

from cyme_supd.cli import completion, progress
from cyme_supd.cli.asking import APPS, Wanted
from cyme_supd.cli.base import command
from cyme_supd.cli.output import show, show_list

_app = click.argument("name", shell_complete=completion.names(lambda wanted: wanted.names()))
_COLUMNS = ("name", "broker", "celery_app", "pool", "instances")


@command("apps", example="cyme apps -F table")
def apps(wanted: Wanted) -> None:
    """List the applications; as a table with what each is."""
    show_list(wanted, wanted.names(), lambda name: wanted.read(APPS, name), _COLUMNS)


@command("apps.add", example="cyme apps.add shop redis://127.0.0.1/0 -- '-O fair' task_acks_late=1")
@_app
@click.argument("broker", required=False)
@click.argument("arguments", required=False)
@click.argument("extra_config", required=False)
@click.option("--celery-app", help="Your own Celery application, such as proj.celery:app.")
@click.option("--directory", help="Where its code is.")
@click.option("--command", help="The celery of another virtual environment.")
@click.option("--user", help="Whom its workers run as, where the branch runs as root.")
@click.option("--result-backend", help="URL of where it keeps results.")
@click.option("--pool", help="prefork, gevent, eventlet, threads or solo.")
@click.option("--tracked/--untracked", default=None, help="Record its tasks, or do so no more.")
def add(
    wanted: Wanted,
    name: str,
    broker: str | None,
    arguments: str | None,
    extra_config: str | None,
    **more: str | bool | None,
) -> None:
    """Make an application, or edit the one there is. What is empty gets its default."""
    given = {"arguments": arguments, "extra_config": extra_config, **more}
    broker = wanted.broker if broker is None else broker
    show(wanted, wanted.change("PUT", APPS, name, broker=broker, **given))


@command("apps.get", example="cyme apps.get shop")
@_app
def get(wanted: Wanted, name: str) -> None:
    """Show an application, and the names of its instances."""
    show(wanted, wanted.read(APPS, name))


@command("apps.delete", example="cyme apps.delete shop")
@_app
@click.option("--force", is_flag=True, help="Stop and delete its instances, too.")
def delete(wanted: Wanted, name: str, force: bool) -> None:
    """Forget an application."""
    show(wanted, wanted.change("DELETE", APPS, name, force=force or None))


@command("apps.restart", example="cyme apps.restart shop --max-unavailable 2")
@_app
@click.option("--max-unavailable", type=click.IntRange(1, 1000), help="How many at once; else one.")
@click.option("--resume", "how", flag_value="resume", help="Go on with one that stopped.")
@click.option("--abort", "how", flag_value="abort", help="Restart no more of them.")
def restart(wanted: Wanted, name: str, max_unavailable: int | None, how: str | None) -> None:
    """Restart its workers one after another, and show how far that is."""
    rest = (name, "restart", *([how] if how else []))
    begun = wanted.change("POST", APPS, *rest, max_unavailable=max_unavailable)
    if how == "abort" or wanted.nowait or wanted.local:
        show(wanted, begun)
    else:
        progress.conclude(wanted, [progress.rolling(wanted, name)])


@command("apps.pause", example="cyme apps.pause shop --reason 'moving house' --until 600")
@_app
@click.option("--reason", help="Why, for whoever wonders.")
@click.option("--until", help="Seconds from now, or a time such as 2030-01-01T08:00Z.")
def pause(wanted: Wanted, name: str, reason: str | None, until: str | None) -> None:
    """Have its workers stay up and take no new work."""
    show(wanted, wanted.change("POST", APPS, name, "pause", reason=reason, until=until))


@command("apps.resume", example="cyme apps.resume shop")
@_app
def resume(wanted: Wanted, name: str) -> None:
    """Have its workers take new work again."""
    show(wanted, wanted.change("POST", APPS, name, "resume"))


@command("apps.plan", example="cyme apps.plan shop")
@_app
def plan(wanted: Wanted, name: str) -> None:
    """Show what would be done about its workers now, and why."""
    show(wanted, wanted.read(APPS, name, "plan"))


COMMANDS = (apps, add, get, delete, restart, pause, resume, plan)
