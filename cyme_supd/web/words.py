"""What the code does not say of the interface: a line for each route.

The reference and the OpenAPI document are made from it.
"""

from __future__ import annotations

#: The nouns, in the order of the reference, with their titles.
NOUNS = {
    "apps": "Applications",
    "instances": "Instances",
    "queues": "Queues",
    "consumers": "Consumers",
    "pauses": "Pauses",
    "rollouts": "Rolling restarts",
    "plans": "Plans",
    "tracking": "Tracked tasks",
    "orphans": "Orphans",
    "tasks": "URLs as tasks",
    "jobs": "Scheduled jobs",
    "branches": "Branches",
    "overview": "All at a glance",
    "events": "Changes as they come",
    "history": "What is done, and what was",
    "audit": "Audit",
    "access": "Users and tokens",
    "meta": "Health",
    "metrics": "Metrics",
    "contract": "The interface itself",
}

#: By methods and path; what it does, then what it answers.
ROUTES = {
    "GET /": "The names of all applications, as a list.",
    "GET /<app>/": "Its configuration, and ``instances``, the names of those it has.",
    "PUT POST /<app>/": (
        "Create the application (``201``) or edit it (``200``, with ``restarting``: whose "
        "workers are replaced for it). Its broker is given by its parts, of which ``hostname`` "
        "is needed, or as ``broker``; without either it is the branch's."
    ),
    "DELETE /<app>/": (
        "Delete it. One that has instances is ``409``, unless ``force`` stops and deletes them, "
        "too."
    ),
    "POST /<app>/start/": "Enable all its instances.",
    "POST /<app>/stop/": "Disable all its instances.",
    "GET /<app>/instances/": "The names of its instances, as a list.",
    "PUT POST /<app>/instances/": "Create and start an instance whose name is a UUID: ``201``.",
    "GET /<app>/instances/<name>/": (
        "What it should be, and what was seen of it: ``state`` ``pid`` ``ready`` ``consuming`` "
        "``conditions`` ``observed_at``. ``ready`` is true, false or null, which is: not known."
    ),
    "PUT POST /<app>/instances/<name>/": (
        "Create and start it under this name (``201``), or edit it (``200``, with "
        "``restarting``). A name that another application's instance has is ``409``."
    ),
    "DELETE /<app>/instances/<name>/": (
        "Stop it warmly and forget it. It has ``stop_timeout_s`` to finish its tasks; ``force`` "
        "kills it now."
    ),
    "DELETE /instances/<name>/": (
        "Stop and forget an instance of whichever application; names of instances are unique."
    ),
    "POST /<app>/instances/<name>/enable/": "Have it run.",
    "POST /<app>/instances/<name>/disable/": "Have it stop, warmly, and keep it.",
    "POST /<app>/instances/<name>/restart/": "Replace its process, warmly.",
    "GET /<app>/instances/<name>/stats/": (
        "What the worker answers to Celery's ``stats``, with ``supervisor``, its process, and "
        "``instance``, its details. ``503`` where it is silent."
    ),
    "GET /<app>/instances/<name>/log/": (
        "The end of its log, as text; with ``q`` the lines in it that have that text. With "
        "``follow`` as server-sent events: ``tail``, the end of it, then ``more``, the lines that "
        "come. That ends after a minute, and goes on where it was with ``Last-Event-ID``. Only the "
        "branch that has the instance can: through another one it is ``501``, and the hint says "
        "where to ask."
    ),
    "GET /<app>/instances/<name>/autoscale/": "Its limits, ``max`` and ``min``.",
    "POST /<app>/instances/<name>/autoscale/": (
        "Set how many processes it may and must have; ``max`` and ``min`` come back."
    ),
    "GET /<app>/queues/": "The names of the application's queues, as a list.",
    "GET /<app>/queues/<queue>/": (
        "The declaration, with ``depth`` and ``consumers`` where the broker tells, and "
        "``oldest_s``: for how long the message that waits longest has waited, at the least; null "
        "where that cannot be told."
    ),
    "PUT POST /<app>/queues/<queue>/": (
        "Declare it (``201``), or declare it otherwise (``200``, with ``restarting``)."
    ),
    "DELETE /<app>/queues/<queue>/": (
        "Forget the declaration; its instances stop consuming from it. The broker's own queue "
        "and its messages stay, unless ``purge`` drops them."
    ),
    "POST /<app>/queues/<queue>/purge/": (
        "Drop the messages that wait at the broker; ``purged`` says how many."
    ),
    "DELETE /<app>/queues/": "Refused: queues are deleted one by one.",
    "GET /<app>/instances/<name>/queues/": (
        "The declarations it consumes from now; with ``observed_at`` where it is silent."
    ),
    "PUT POST /<app>/instances/<name>/queues/<queue>/": (
        "Have it consume from the queue: ``201``, or ``200`` where it was asked for already."
    ),
    "DELETE /<app>/instances/<name>/queues/<queue>/": "Have it stop consuming from the queue.",
    "POST /<app>/pause/": (
        "Have its workers stay up and take no new work. What they have begun or fetched they "
        "finish. ``200`` when all that run have let go; ``consuming`` reads false meanwhile, and "
        "the condition ``Paused`` says why and since when. Asked again it replaces ``reason`` "
        "and ``until``."
    ),
    "POST /<app>/resume/": (
        "Have them take work again; ``202`` with the reason where another pause holds them still."
    ),
    "POST /<app>/queues/<queue>/pause/": "Have no instance take work from this queue.",
    "POST /<app>/queues/<queue>/resume/": "Have it consumed from again.",
    "POST /<app>/instances/<instance>/pause/": "Have this instance take no new work.",
    "POST /<app>/instances/<instance>/resume/": "Have it take work again.",
    "GET /<app>/restart/": (
        "How far the last one got: ``number`` ``state`` (``running``, ``stopped``, ``aborted``, "
        "``done``, null where there was none) ``restarted`` ``left`` ``stopped_at`` ``reason``."
    ),
    "POST /<app>/restart/": (
        "Restart its enabled instances warmly, one after another: each has to consume again "
        "before the next. It stops at the first that does not. ``202``; ``409`` while one runs "
        "or has stopped."
    ),
    "POST /<app>/restart/resume/": "Have one that stopped or was aborted go on.",
    "POST /<app>/restart/abort/": "Restart no more of them.",
    "GET /<app>/tracking/": (
        "How a producer joins: ``line`` is all that its application needs, after ``imports`` and "
        "``install``; whether the application is tracked; and when the record last ``seen`` a "
        "message, an event, and a monitor at its platform queue (epoch seconds, null for never)."
    ),
    "GET /api/tasks/": (
        "Tasks of applications that are tracked, those that began last first, under ``data`` and "
        "``tasks``, with the ``gaps`` in what is known. ``after`` is where the next page goes on: "
        "one looks through 5,000 tasks at most, and may be empty and not the last."
    ),
    "GET /api/tasks/<id>/": (
        "One of them, with when each of its ``states`` was first and last heard of, what it has "
        "returned or failed with, and its ``children``; ``retry_of`` is the task that it repeats. "
        "``instance`` is the one whose worker had it, ``log`` the path of the lines of that one's "
        "that have the task's id, ``run`` the run of a job that it is; null where there is none."
    ),
    "GET /api/tasks/export/": (
        "All of them that match, those that began last first: a JSON object a line, each as "
        "``GET /api/tasks/<id>/`` has it, without its children. With ``per_page`` so many, and a "
        "``Link`` to the next ones. With own stores only the first branch has it."
    ),
    "GET /api/tasks/errors/": (
        "Tasks that failed, by the kind of exception, the most frequent first, of the 5,000 that "
        "match and began last."
    ),
    "GET /api/tasks/refusals/": (
        "Messages in the platform queue that are not recorded as tasks, the latest first: up to "
        "1,000 of each queue are kept aside."
    ),
    "POST /api/tasks/<id>/retry/": (
        "Send it again, as a new task whose ``id`` is told (``201``): a child of the first. "
        "``409`` for one that has not ended, whose arguments were not kept, or of which a retry is "
        "under way or has gone well, unless ``force``. A time to begin or to "
        "expire, a group and a chord are left out; what follows it in a chain follows the new one."
    ),
    "POST /api/tasks/retry/": (
        "Send all again that match, up to 10,000 and for 20 s: how many were ``sent``, why others "
        "are ``left_out``, the first hundred new ``ids``, and ``after`` to go on with, if there "
        "are more. With ``dry_run`` it says what would be done. Something has to be said of which."
    ),
    "POST /api/tasks/<id>/revoke/": (
        "Tell all workers that are up to leave it out (``202``), and with ``terminate`` to kill "
        "the process that runs it. ``409`` for one that has ended. A worker that comes up later "
        "does not know of it, unless it starts with Celery's mingle, which Cyme's do not."
    ),
    "GET /<app>/plan/": (
        "What the branch would do about its instances now, and does not do for that: ``actions``, "
        "in order, each with ``instance`` ``action`` ``reason``; ``restarting`` and ``stopping``, "
        "whose processes would end; ``turns`` of a rolling restart: who together, and who after "
        "them; ``tasks``: the ``count`` of those that run there, and which (``running``); "
        "``unknown``: instances that did not tell theirs within a second, with the reason; "
        "``waits_for``: what keeps all that from being done, or null. What nobody knows is taken "
        "from ``observed_at``. The same comes of any change with ``dry_run``."
    ),
    "GET /api/overview/": (
        "``data`` with the ``apps`` and ``queues`` of the fleet, and its ``instances``, each with "
        "its ``level``, ``ill`` ``unknown`` ``changing`` ``held`` ``well`` or ``off``, in that "
        "order, and the ``condition`` that tells of it; of queues the ``depth`` and ``oldest_s`` "
        "that were seen last, where instances are to consume from them."
    ),
    "GET /api/samples/": (
        "What was measured over the last 24 hours, for a chart: ``data`` with lists of one length: "
        "``at`` (epoch seconds) ``depth`` ``oldest_s`` ``per_s`` (tasks begun a second) "
        "``running`` (tasks) ``processes`` ``most`` (that there may be); null is: not known. One "
        "sample every 30 seconds for two hours, before that one every five minutes. Of all, of an "
        "``app``, or of a ``queue`` or an ``instance`` of it."
    ),
    "GET /<app>/instances/<name>/history/": (
        "How its state changed in the last seven days, the newest first: ``data`` with "
        "``changes``, each ``at`` ``state`` ``ready`` ``consuming`` ``reason``."
    ),
    "GET /<app>/instances/<name>/tasks/": (
        "The tasks that it runs now, the longest first: ``data`` with ``tasks``, each ``instance`` "
        "``id`` ``name`` ``started_at``. The worker is asked; ``503`` where it is silent. What the "
        "tasks were given is not told."
    ),
    "GET /api/queues/": (
        "``data`` with the ``queues`` of all applications, each with its ``app`` and what "
        "``GET /<app>/queues/<queue>/`` says of it."
    ),
    "GET /api/events/": (
        "Server-sent events: a ``change`` whenever something is no longer what it was, with its "
        "``kind`` (``app`` ``queue`` ``instance`` ``branch`` ``job``; ``runs``, of the job whose "
        "id is its ``name``, or of many; or ``all``: it may be anything), ``app`` and ``name``. "
        "How it is now is for whoever wants it to ask. Ends after a minute; "
        "with ``Last-Event-ID`` nothing is missed. Where too many listen already it is ``503``."
    ),
    "GET /api/audit/": (
        "Who changed what, when and from where, and what it was before, the newest first: "
        "``data`` with ``events``, each ``at`` ``actor`` ``address`` ``agent`` ``branch`` ``verb`` "
        "(``create`` ``edit`` ``delete`` ``purge``, or ``act``: what a branch did to a worker, and "
        "why; ``login`` ``refuse`` ``logout`` of those who sign in to the pages) ``kind`` ``app`` "
        "``name`` ``before`` ``after``, without secrets. ``limit`` of them (100), of which ``q`` "
        "is a text anywhere in them; ``before`` the ``at`` of the last for those before."
    ),
    "GET /<app>/orphans/": (
        "What belongs to it and to nobody who does anything about it: ``queues`` in which "
        "something waits and from which nobody consumes, ``consumers`` that consume from a queue "
        "which is not declared, ``tasks`` that wait or are named in settings and that no running "
        "instance registers, ``processes`` that workers left behind on this host. What could not "
        "be asked is under ``unknown``, each with ``what`` and ``reason``. Answers within a second."
    ),
    "VERB /<app>/queue/<queue>/<url>": (
        "Queue the request for a worker that consumes from the queue: ``202`` with ``uuid`` "
        "``url`` ``queue`` ``method`` ``params``. The verb is any; it, the query, the body, its "
        "``Content-Type``, and every ``X-Forward-<Name>`` as ``<Name>`` are the request's. The "
        "URL is taken as it stands, ``http://`` and all, and the query is its own. A target "
        "that is not allowed is ``400``."
    ),
    "PUT POST /<app>/queue/<queue>/": (
        "Queue a JSON list of up to 10,000 ``{url, method, params, data, headers}``, all or "
        "none: ``202`` with ``uuids``."
    ),
    "GET /<app>/query/<id>/state/": (
        "Its state: ``PENDING``, ``SUCCESS`` or ``FAILURE``. ``404`` for what was never queued."
    ),
    "GET /<app>/query/<id>/result/": (
        "Its state and its result: ``status_code`` ``headers`` ``body`` ``encoding`` "
        "``truncated`` ``elapsed_s`` ``url``; ``null`` until it has ended. Where nobody answered "
        "the state is ``FAILURE``, with ``error``."
    ),
    "GET /<app>/query/<id>/wait/": "Its result once it has ended, as above; or ``408``.",
    "PUT POST /api/category/<name>/": (
        "Have the category consist of these ``jobs``, all of them or none; what is not listed any "
        "more is removed. ``added``, ``changed`` and ``removed`` are names. A job is the same as "
        "long as category and name are: its id and its runs stay, and when it is due, where its "
        "``schedule``, ``timezone`` and ``jitter_s`` do. ``400`` names the job and the field, and "
        "then nothing is changed."
    ),
    "DELETE /api/category/<name>/": "Remove it with its jobs; their runs stay.",
    "GET /api/categories/": "``data`` with the ``categories``, each with how many jobs it has.",
    "GET /api/categories/<name>/": "``data`` with the ``category`` and its ``jobs``.",
    "GET /api/jobs/": (
        "``data`` with the ``jobs`` of a page, each with the latest of its ``runs``; ``has_more`` "
        "says whether there is another page."
    ),
    "GET /api/jobs/<id>/": (
        "``data`` with the ``job``, the latest of its ``runs``, and ``upcoming``: its ``next`` "
        "fire times, as they are while nobody holds it."
    ),
    "POST /api/jobs/<id>/pause/": "Hold it: it is not due until somebody resumes it.",
    "POST /api/jobs/<id>/resume/": "Have it go on, from its next fire time on.",
    "POST /api/jobs/<id>/run/": (
        "Run it once, now, whatever its schedule says and whoever holds it: ``202`` with the "
        "``run``. While another run of it is under way its ``overlap`` decides: for ``skip`` it "
        "is ``409``, for ``queue`` the run waits for that one to end."
    ),
    "GET /api/jobs/troubles/": (
        "The jobs that need somebody, those for longest first: ``data`` with ``troubles``, each "
        "with its ``kind``. ``overdue``: due for a minute, and no injector has taken it; "
        "``unclaimed``: ordered for three minutes, and no runner has; ``missed``: left out, for "
        "nobody was there in time; ``failed``: failed, timed out or lost, and not to be tried "
        "again. The last two until it has run well, or for a week."
    ),
    "GET /api/runs/": (
        "``data`` with the ``runs`` of a page, the latest fire time first. Of what is "
        "``failed,timed_out,lost`` somebody may want to know."
    ),
    "GET /api/runs/<id>/": (
        "``data`` with the ``run`` and its ``events``, in their order. ``log_url`` is where its "
        "log lines are, if the branch was started with ``--run-log-url``."
    ),
    "GET /api/runs/<id>/output/": (
        "The end of what it printed, as text; the header ``Cyme-Output`` says which bytes of how "
        "many. Of what an instance ran all can be had, in parts by ``begin``; else the last 64 "
        "KiB. With ``follow`` as server-sent events: ``tail``, the end of it, then ``more``, the "
        "lines that come, then ``end`` with its status. That ends after a minute, and goes on "
        "where it was with ``Last-Event-ID``; ``204`` after the ``end``. Only a branch that has "
        "its job can: through another one it is ``501``, and the hint says where to ask."
    ),
    "POST /api/runs/<id>/cancel/": (
        "End it: ``200`` where nobody had begun it, ``202`` where its runner is told to end it. "
        "One that has ended is ``409``."
    ),
    "POST /api/runs/prune/": (
        "Forget runs that have ended: all but the latest ``keep`` of each job, and those "
        "``older``. ``runs`` says how many they were; where ``is_done`` is false there are more: "
        "ask again."
    ),
    "GET /branches/": "The ids of the branches that live, as a list.",
    "GET /branches/<id>/": (
        "What it was started with, and how its host is. ``moving`` is ``null``, or how it moves "
        "its instances away: how many are ``left``, the one that moves ``now``, ``to`` which "
        "branch, those that ``failed`` with the reason, and the ``reason`` why it does not go on."
    ),
    "POST /branches/<id>/drain/": (
        "Give it no new instances from now on, also after it was restarted. Those it has stay, "
        "unless ``move`` has them go to other branches, one by one: ``moving`` of "
        "``GET /branches/<id>/`` says how far that is."
    ),
    "POST /branches/<id>/undrain/": "Give it new instances again, and move none away any more.",
    "GET /ping/": "Whether it is there: ``pong``, without a question to the store or a broker.",
    "GET /health/": (
        "Whether the branch is well: ``200`` or ``503``, and of store, supervisord, threads, "
        "reconciler and broker whether each is ``ok``; with ``--database`` the ``lease``, too. "
        "Who does not say who they are, where somebody is known, learns just ``ok``."
    ),
    "GET /api/users/": "The names of the users, as a list.",
    "GET /api/users/<name>/": "``name`` ``role`` ``created_at``.",
    "POST /api/users/": "The same as below, of the user called ``name``.",
    "PUT POST /api/users/<name>/": (
        "Make a user (``201``), or give one another ``password`` or ``role`` (``200``)."
    ),
    "DELETE /api/users/<name>/": (
        "Forget the user, and their tokens. The last admin of a branch that listens beyond "
        "loopback is ``409``."
    ),
    "GET /api/tokens/": "The ids of the tokens, as a list.",
    "GET /api/tokens/<id>/": (
        "``id`` ``label`` ``user`` ``role`` ``app`` ``created_at`` ``expires_at`` "
        "``last_used_at``, to the minute."
    ),
    "POST /api/tokens/": (
        "Make one: ``201`` with the same, and ``token``, which is what its owner sends. It is "
        "shown this once."
    ),
    "DELETE /api/tokens/<id>/": "Revoke it, at once.",
    "GET /metrics/": (
        "For Prometheus, as text: instances, queues and conditions of this branch, passes, "
        "actions, calls and requests. Each metric says what it means; see the how-to."
    ),
    "GET /api/openapi.json": (
        "What this page tells, as an OpenAPI 3.1 document, made from the code that serves it."
    ),
    "GET /api/docs": "The same as a page to read, with a ``curl`` line for each operation.",
}

RULES = """\
- A slash at the end may be left out. ``/<app>/instance/`` is ``/<app>/instances/``.
- ``PUT`` and ``POST`` are the same wherever both are listed.
- Parameters come in the query, as a form or as a JSON object; the body wins over the query.
  One that is not known is refused, with the nearest that is. In an edit what is absent stays
  as it is, and what is empty goes back to its default.
  In a query or a form a flag is ``1``, ``true``, ``yes`` or ``on``; or ``0``, ``false``, ``no`` or
  ``off``.
- A change that acts on a worker answers when what was asked for is *observed*. What takes longer
  than ``timeout`` is ``408``; it stays stored and goes on. Where broker or supervisord is down
  the answer is ``202`` with ``"converged": false`` and the reason, at once.
- A change with ``dry_run=1`` is checked as ever (``400``, ``404``, ``409``), and then nothing is
  stored, sent or waited for: the answer is ``200`` with the plan of what would come of it and
  would not come without it. What only shows when it is done (a start that fails, a queue that the
  broker refuses, a name that another program of the host has) no plan can tell. Purging is
  counted: ``purged``. To queue URLs cannot be rehearsed.
- With ``!/`` after the collection the same change is *asynchronous*: ``202``, at once.
- A ``DELETE`` answers ``{"ok": "ok"}``; of what is not there it is ``404``.
- Passwords, and what else is secret, read ``********``. Sent back, they are refused.
- As soon as there is a user or a token, every route but ``/ping/`` and the bare ``/health/`` needs
  ``Authorization: Bearer TOKEN``, or a name and password as HTTP Basic; a browser that signed in to
  the pages has a cookie, and sends the page's token with each change as ``X-CSRF-Token`` (else
  ``403``). Without is ``401``; what
  needs another role is ``403``, and names it. A ``viewer`` reads; an ``operator`` changes
  instances, queues, consumers and pauses, queues URLs, and holds jobs; an ``admin`` changes
  applications, jobs, users and tokens, drains branches, and sees ``secrets``. Too many wrong
  passwords are ``429``.
- A client that asks more than ``--api-rate`` allows is answered ``429``; ``Retry-After`` says how
  many seconds to wait. ``/ping/`` and ``/health/`` do not count.
"""

ERRORS = """\
An error is ``{"error": {"code", "message", "hint"}}``. Those that are retryable may go well the
next time, as they are; the exit status is that of a command that meets one.
"""
