"""``cyme -a APP instances...``: workers."""

from __future__ import annotations

import click

from cyme_supd.cli import completion
from cyme_supd.cli.asking import Wanted
from cyme_supd.cli.base import command
from cyme_supd.cli.output import show, show_list, show_text

_complete = completion.names(lambda wanted: wanted.names(*wanted.instances))
_instance = click.argument("name", shell_complete=_complete)
_COLUMNS = ("name", "branch", "state", "ready", "pid", "pool", "queues", "max_concurrency")


@command("instances", example="cyme -a shop instances -F table")
def instances(wanted: Wanted) -> None:
    """List the instances of an app; as a table with how each is."""
    where = wanted.instances
    show_list(wanted, wanted.names(*where), lambda name: wanted.read(where, name), _COLUMNS)


@command("instances.add", example="cyme -a shop instances.add w1 -q orders --max 4")
@click.argument("name", required=False)
@click.argument("broker", required=False)
@click.argument("arguments", required=False)
@click.argument("extra_config", required=False)
@click.option("-q", "--queues", help="What it consumes from, with commas.")
@click.option("--max", "max_concurrency", type=int, help="How many tasks at once, at the most.")
@click.option("--min", "min_concurrency", type=int, help="At the least.")
@click.option("--pool", help="prefork, gevent, eventlet, threads or solo.")
@click.option("--branch", help="Where it is to run; else the fleet decides.")
@click.option("--placement", help="How it decides: random, spread or pack.")
def add(wanted: Wanted, name: str | None, broker: str | None, **given: str | int | None) -> None:
    """Make an instance and have it run, or edit the one of this NAME.

    Without a NAME it gets one of its own.
    """
    rest, method = ((), "POST") if name is None else ((name,), "PUT")
    broker = wanted.broker if broker is None else broker
    show(wanted, wanted.change(method, wanted.instances, *rest, broker=broker, **given))


@command("instances.get", example="cyme -a shop instances.get w1")
@_instance
def get(wanted: Wanted, name: str) -> None:
    """Show how an instance should be, and how it is."""
    show(wanted, wanted.read(wanted.instances, name))


@command("instances.delete", example="cyme -a shop instances.delete w1")
@_instance
@click.option("--force", is_flag=True, help="Kill it: do not wait for its tasks.")
def delete(wanted: Wanted, name: str, force: bool) -> None:
    """Stop an instance when it has finished its tasks, and forget it."""
    show(wanted, wanted.change("DELETE", wanted.instances, name, force=force or None))


@command("instances.stats", example="cyme -a shop instances.stats w1")
@_instance
def stats(wanted: Wanted, name: str) -> None:
    """Show what the worker says of itself."""
    show(wanted, wanted.read(wanted.instances, name, "stats"))


@command("instances.enable", example="cyme -a shop instances.enable w1")
@_instance
def enable(wanted: Wanted, name: str) -> None:
    """Have an instance run."""
    show(wanted, wanted.change("POST", wanted.instances, name, "enable"))


@command("instances.disable", example="cyme -a shop instances.disable w1")
@_instance
def disable(wanted: Wanted, name: str) -> None:
    """Have an instance stopped, and stay so."""
    show(wanted, wanted.change("POST", wanted.instances, name, "disable"))


@command("instances.restart", example="cyme -a shop instances.restart w1")
@_instance
def restart(wanted: Wanted, name: str) -> None:
    """Give an instance a new process, when the old one has finished its tasks."""
    show(wanted, wanted.change("POST", wanted.instances, name, "restart"))


@command("instances.pause", example="cyme -a shop instances.pause w1 --until 600")
@_instance
@click.option("--reason", help="Why, for whoever wonders.")
@click.option("--until", help="Seconds from now, or a time such as 2030-01-01T08:00Z.")
def pause(wanted: Wanted, name: str, reason: str | None, until: str | None) -> None:
    """Have an instance stay up and take no new work."""
    given = {"reason": reason, "until": until}
    show(wanted, wanted.change("POST", wanted.instances, name, "pause", **given))


@command("instances.resume", example="cyme -a shop instances.resume w1")
@_instance
def resume(wanted: Wanted, name: str) -> None:
    """Have an instance take new work again."""
    show(wanted, wanted.change("POST", wanted.instances, name, "resume"))


@command("instances.log", example="cyme -a shop instances.log w1 --bytes 65536")
@_instance
@click.option("--bytes", type=click.IntRange(1, 1024 * 1024), help="How much of it; else 16 KiB.")
def log(wanted: Wanted, name: str, bytes: int | None) -> None:
    """Show the end of an instance's log: text also in a pipe, unless -F json."""
    app = wanted.client.get(wanted.its_app)
    show_text(wanted, app.instances.get(name).log(bytes))


@command("instances.autoscale", example="cyme -a shop instances.autoscale w1 8 2")
@_instance
@click.argument("max", type=int, required=False)
@click.argument("min", type=int, required=False)
def autoscale(wanted: Wanted, name: str, max: int | None, min: int | None) -> None:
    """Show how many tasks it runs at once, or change that."""
    if max is None:
        return show(wanted, wanted.read(wanted.instances, name, "autoscale"))
    answer = wanted.change("POST", wanted.instances, name, "autoscale", max=max, min=min)
    return show(wanted, answer)


COMMANDS = (
    instances,
    add,
    get,
    delete,
    stats,
    enable,
    disable,
    restart,
    pause,
    resume,
    log,
    autoscale,
)
