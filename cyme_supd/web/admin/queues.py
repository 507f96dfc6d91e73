"""Queues, and how much waits in them."""

from __future__ import annotations

from cyme_supd.web.admin.inner import ask, of_something
from cyme_supd.web.admin.rendering import ROWS, render, segment
from cyme_supd.web.paths import queue_name


def queues() -> str:
    found, seen = ask("/api/queues/"), ask("/api/overview/")
    # What the brokers do not tell, some branch may have seen.
    ages = {(each["app"], each["name"]): each["oldest_s"] for each in seen.data("queues")}
    listed = found.data("queues")
    for each in listed:
        if each["oldest_s"] is None:
            each["oldest_s"] = ages.get((each["app"], each["name"]))
    return render(
        "queues",
        answers=(found,),
        rows=listed[:ROWS],
        count=len(listed),
        apps=[each["name"] for each in seen.data("apps")],
    )


def queue(app: str, queue: str) -> str:
    name = queue_name(queue)
    place = f"/{segment(app)}/queues/{segment(name)}/"
    found, seen = of_something(ask(place)), ask("/api/overview/")
    takers = [
        each for each in seen.data("instances") if each["app"] == app and name in each["queues"]
    ]
    return render(
        "queue",
        answers=(found, seen),
        app=app,
        name=name,
        place=place,
        urls=f"/{segment(app)}/queue/{segment(name)}/",
        found=found.value,
        takers=takers[:ROWS],
        count=len(takers),
    )
