"""``cyme -a APP queues...`` and ``consumers...``: declarations, and who consumes from them."""

from __future__ import annotations

import click

from cyme_supd.cli import completion
from cyme_supd.cli.asking import Wanted
from cyme_supd.cli.base import command
from cyme_supd.cli.output import show, show_list

_queues = completion.names(lambda wanted: wanted.names(*wanted.queues))
_instances = completion.names(lambda wanted: wanted.names(*wanted.instances))
_queue = click.argument("name", shell_complete=_queues)
_instance = click.argument("instance", shell_complete=_instances)
_consumed = click.argument("queue", shell_complete=_queues)
_COLUMNS = ("name", "exchange", "exchange_type", "routing_key", "depth", "consumers")


@command("queues", example="cyme -a shop queues -F table")
def queues(wanted: Wanted) -> None:
    """List the queues of an app; as a table with what each is."""
    where = wanted.queues
    show_list(wanted, wanted.names(*where), lambda name: wanted.read(where, name), _COLUMNS)


@command("queues.add", example="""cyme -a shop queues.add orders '' '' '' '{"max_priority": 9}'""")
@_queue
@click.argument("exchange", required=False)
@click.argument("exchange_type", required=False, metavar="[TYPE]")
@click.argument("routing_key", required=False, metavar="[RKEY]")
@click.argument("options", required=False)
def add(wanted: Wanted, name: str, **given: str | None) -> None:
    """Declare a queue, or declare it anew. What is empty gets its default.

    OPTIONS is a JSON object: durable, max_priority, message_ttl, ...
    """
    show(wanted, wanted.change("PUT", wanted.queues, name, **given))


@command("queues.get", example="cyme -a shop queues.get orders")
@_queue
def get(wanted: Wanted, name: str) -> None:
    """Show a declaration, and how many messages wait."""
    show(wanted, wanted.read(wanted.queues, name))


@command("queues.delete", example="cyme -a shop queues.delete orders")
@_queue
@click.option("--purge", is_flag=True, help="Drop the messages that wait, too.")
def delete(wanted: Wanted, name: str, purge: bool) -> None:
    """Forget a declaration; no instance consumes from it any more."""
    show(wanted, wanted.change("DELETE", wanted.queues, name, purge=purge or None))


@command("queues.purge", example="cyme -a shop queues.purge orders --expect 120")
@_queue
@click.option("--expect", type=click.IntRange(0), help="Only where about so many wait.")
def purge(wanted: Wanted, name: str, expect: int | None) -> None:
    """Drop the messages that wait in a queue."""
    show(wanted, wanted.change("POST", wanted.queues, name, "purge", expect=expect))


@command("consumers", example="cyme -a shop consumers w1 -F table")
@_instance
def consumers(wanted: Wanted, instance: str) -> None:
    """List what an instance consumes from."""
    show(wanted, wanted.read(wanted.instances, instance, "queues"))


@command("consumers.add", example="cyme -a shop consumers.add w1 orders")
@_instance
@_consumed
def consume(wanted: Wanted, instance: str, queue: str) -> None:
    """Have an instance consume from a queue, too."""
    show(wanted, wanted.change("PUT", wanted.instances, instance, "queues", queue))


@command("consumers.delete", example="cyme -a shop consumers.delete w1 orders")
@_instance
@_consumed
def cancel(wanted: Wanted, instance: str, queue: str) -> None:
    """Have an instance consume from a queue no more."""
    show(wanted, wanted.change("DELETE", wanted.instances, instance, "queues", queue))


COMMANDS = (queues, add, get, delete, purge, consumers, consume, cancel)
