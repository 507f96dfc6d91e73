"""What the code does not say of the interface: a line for each parameter."""

from __future__ import annotations

PARAMETERS = {
    "actor": "Only what that user did.",
    "app": "Only what is of that application; of a token: whose routes alone it is good for.",
    "before": "Only what was before that time: ISO 8601, in UTC unless it says otherwise.",
    "after": "Only names that come after this one; of tasks, what the page before it said.",
    "error": "Only tasks that failed with an exception of that name.",
    "worker": "Only tasks of the worker of that name, such as ``w1@b1``.",
    "arguments": (
        "For ``celery worker``, the application's before the instance's. What Cyme itself sets "
        "(``-A -b -n -Q -X -c -P --autoscale -f`` and others) is refused."
    ),
    "branch": "The id of the branch it should be on.",
    "broker": "A URL: ``amqp://user:password@host:5672/vhost``, ``redis://...``.",
    "begin": "From which byte on; else the end.",
    "bytes": "How much of it (16384).",
    "category": "The same name as in the path.",
    "category_id": "Only the jobs of that category.",
    "category_name": "Only the jobs, or the runs, of that category.",
    "celery_app": "``package.module:attribute``; without it the bundled application runs.",
    "command": "The ``celery`` to run: another virtual environment's, for one.",
    "directory": "Where the worker runs and its application is found.",
    "dry_run": (
        "``1``: make no change, answer what would come of it, as ``/<app>/plan/`` does; ``0``: "
        "make it."
    ),
    "environment": "Variables for the worker; their values read ``********``.",
    "exchange": "Its exchange (the queue's name).",
    "exchange_type": "``direct`` (unless said), ``topic`` or ``fanout``.",
    "expect": (
        "How many messages there should be: ``409`` where the count has moved by more than a tenth."
    ),
    "expires": "When it does: ISO 8601, or seconds from now; at most ten years ahead (never).",
    "extra_config": "Celery's settings, in lower case; as text ``key=value ...``.",
    "move": "Move its instances to other branches, one by one.",
    "follow": "``1``: go on with what comes.",
    "force": "Do not wait for anybody; of a task's retry: whatever became of others of it.",
    "terminate": "Kill the process that runs the task, too.",
    "hostname": "The broker's host. With it come amqp, 5672, guest, guest and ``/`` unless said.",
    "id": "Only the job with that id.",
    "job_id": "Only the runs of that job.",
    "jobs": "All that it has, at most 10,000: see the schema.",
    "kind": "Only of ``app``, ``queue``, ``instance``, ``branch``, ``user``, ``token`` or ``job``.",
    "instance": "Only of that instance.",
    "queue": "Only of that queue.",
    "limit": "At most so many; of names ``Link`` leads to the next.",
    "name": "What a user is called; of the audit, only what is about the thing of that name.",
    "next": "How many of its next fire times (none); at most 1000.",
    "older": "Only those of fire times longer ago: ``90d``, ``36h``, ``30m``, ``45s``.",
    "page": "Which page (1).",
    "per_page": "How many on a page (50); at most 2000.",
    "q": "Only what has that text in it.",
    "verb": (
        "Only what is of ``create``, ``edit``, ``delete``, ``purge``, ``act``, ``login``, "
        "``refuse`` or ``logout``."
    ),
    "since": "Only what was not before that time.",
    "keep": "Of each job so many of the latest runs stay.",
    "label": "What it is for, in a few words.",
    "max": "The most processes, 1 to 1000.",
    "max_concurrency": "The most processes of a new instance (1), 1 to 1000.",
    "max_unavailable": "How many may be without work at a time (1).",
    "min": "The least processes, from 0.",
    "min_concurrency": "The least processes of a new instance (1), from 0.",
    "options": (
        "Of the declaration: ``durable`` ``auto_delete`` ``queue_durable`` "
        "``queue_auto_delete`` ``exchange_durable`` ``exchange_auto_delete`` ``delivery_mode`` "
        "``queue_arguments`` ``exchange_arguments`` ``binding_arguments`` "
        "``consumer_arguments`` ``expires`` ``message_ttl`` ``max_length`` ``max_length_bytes`` "
        "``max_priority``."
    ),
    "password": "The broker's; a user's: at least 8 characters.",
    "placement": (
        "``random``: any branch; ``spread``: the one with fewest instances; ``pack``: the fullest "
        "that has room; without a word the emptier of two chosen by chance."
    ),
    "pool": "``prefork`` (unless said), ``gevent``, ``eventlet``, ``threads`` or ``solo``.",
    "port": "The broker's port.",
    "purge": "Drop the messages that wait in the queue.",
    "queues": (
        "What a new instance consumes from; an edit replaces it. In a query or a form it may be "
        "repeated, or have commas."
    ),
    "reason": "Why; it is shown to whoever asks.",
    "result_backend": "Celery's; reads ``********``.",
    "role": "``viewer`` (unless said), ``operator`` or ``admin``.",
    "routing_key": "What its exchange is asked for (the queue's name).",
    "secrets": "``1`` shows what otherwise reads ``********``.",
    "hung_timeout_s": "How long one that hangs has to end warmly before it is a kill (30).",
    "sort": "``name`` (unless said) or ``next_fire_at``; with a ``-`` before it backwards.",
    "state": "Only tasks of that state, such as ``FAILURE``; ``LOST`` are those thought lost.",
    "status": "Only runs of that status, or of several, with commas.",
    "stop_timeout_s": "How long a warm stop may take before it is a kill (600).",
    "timeout": "How long to wait for what was asked for (30).",
    "tracked": "Whether its tasks are recorded: its workers publish them to the monitor, too.",
    "transport": "kombu's word for the kind of broker (``amqp``).",
    "until": (
        "When it ends by itself: ISO 8601, or seconds from now; at most a year ahead. Without it "
        "the pause lasts until somebody resumes. Of tasks: only those that began before that time."
    ),
    "user": (
        "Who runs the worker, only where the branch runs as root; of a token: whose it is; it "
        "may do no more than they, and is gone with them."
    ),
    "userid": "The broker's user.",
    "vhost": "The same as ``virtual_host``.",
    "virtual_host": "The broker's virtual host; the number of a Redis database.",
}
