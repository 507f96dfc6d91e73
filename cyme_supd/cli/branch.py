"""``cyme-branch``: prepares a root directory and becomes its supervisord."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn

import click

from cyme_supd import __version__
from cyme_supd.branch.attached import Attachment
from cyme_supd.branch.prepare import Prepared, knows_somebody, prepare
from cyme_supd.cli.detached import go_on_in_the_background, let_go_of_the_terminal
from cyme_supd.cli.recording import record_options, recorded
from cyme_supd.cli.settings import read_file
from cyme_supd.config import (
    DEFAULT_ALERT_AGE_S,
    DEFAULT_ALERT_DEPTH,
    DEFAULT_API_RATE,
    DEFAULT_FLEET,
    DEFAULT_HOST,
    DEFAULT_NUMC,
    DEFAULT_PORT,
    DEFAULT_RESTART_MAX_RATE,
    DEFAULT_ROOT,
    DEFAULT_RUNS_KEEP,
    DEFAULT_SUP_INTERVAL_S,
    DEFAULT_WAIT_AFTER_BROKER_REVIVED_S,
    LOGLEVELS,
    Config,
    is_loopback,
)
from cyme_supd.domain.alerts import check_webhook
from cyme_supd.domain.broker import parse_broker
from cyme_supd.domain.database import parse_database
from cyme_supd.domain.logurl import check_log_url
from cyme_supd.domain.naming import check_name
from cyme_supd.domain.proxies import check_proxy
from cyme_supd.domain.rate import parse_rate
from cyme_supd.domain.span import parse_span
from cyme_supd.domain.supervisor import parse_supervisor
from cyme_supd.domain.target import check_pattern
from cyme_supd.errors import CymeError, Forbidden, Invalid

_ADDRESS = re.compile(
    r"(?:(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)?:)?(?P<port>[0-9]{1,5})", re.ASCII
)


def parse_address(address: str) -> tuple[str, int]:
    """``8001``, ``:8001``, ``10.0.0.1:8001`` or ``[::1]:8001`` as host and port."""
    match = _ADDRESS.fullmatch(address)
    if match is None or not 1 <= int(match["port"]) <= 65535:
        raise Invalid(
            f"{address!r} is no address to listen on", "PORT, :PORT, HOST:PORT or [V6]:PORT"
        )
    host = (match["host"] or DEFAULT_HOST).strip("[]")
    return host, int(match["port"])


def check_exposure(host: str, is_insecure: bool, knows_somebody: Callable[[], bool]) -> None:
    """Refuse to let others in where there is nobody whose name they could give."""
    if is_insecure or is_loopback(host) or knows_somebody():
        return
    raise Forbidden(
        f"{host} can be reached from other hosts, and no user or token exists",
        "listen on 127.0.0.1 until cyme createsuperuser has made one, or say --insecure if that"
        " is what you want",
    )


@click.command(
    context_settings={"auto_envvar_prefix": "CYME", "help_option_names": ["-h", "--help"]},
    epilog="Flags win over the environment (CYME_BROKER=...), that over the file of --config.",
)
@click.argument(
    "address", default=str(DEFAULT_PORT), metavar="[[HOST]:PORT]", envvar="CYME_ADDRESS"
)
@click.option("-i", "--id", help="Branch id; made once and kept in the root directory.")
@click.option(
    "-D", "--instance-dir", default=DEFAULT_ROOT, show_default=True, help="Root directory."
)
@click.option(
    "-b", "--broker", help="URL of the broker, also the default for apps; else one is started."
)
@click.option(
    "--database",
    help="URL of a PostgreSQL, MariaDB or MySQL that all branches share; else each has a file.",
)
@click.option(
    "-C",
    "--numc",
    type=click.IntRange(1, 64),
    default=DEFAULT_NUMC,
    show_default=True,
    help="Controllers: questions of other branches that are answered at once.",
)
@click.option(
    "--fleet",
    default=DEFAULT_FLEET,
    show_default=True,
    help="Branches at one broker that are to know of one another have the same.",
)
@click.option(
    "--sup-interval",
    type=click.FloatRange(0.5, 3600),
    default=DEFAULT_SUP_INTERVAL_S,
    show_default=True,
    help="Seconds between full passes of the reconciler.",
)
@click.option(
    "--wait-after-broker-revived",
    type=click.FloatRange(0, 3600),
    default=DEFAULT_WAIT_AFTER_BROKER_REVIVED_S,
    show_default=True,
    help="Seconds that workers have to reconnect when their broker is back.",
)
@click.option(
    "--restart-max-rate",
    default=DEFAULT_RESTART_MAX_RATE,
    show_default=True,
    help="How often one instance may be restarted or end: N/s, N/m or N/h.",
)
@click.option(
    "--without-httpd", "--without-http", is_flag=True, help="Leave the HTTP interface out."
)
@click.option(
    "--without-srs", is_flag=True, help="Leave out the SRS interface: messages to the branch."
)
@click.option("--without-monitor", is_flag=True, help="Leave the record of tasks to cyme-monitor.")
@record_options
@click.option(
    "--without-scheduler", is_flag=True, help="Leave out what orders jobs, and what hears of runs."
)
@click.option(
    "--url-allow", multiple=True, help="Host glob or network that may be requested; repeatable."
)
@click.option("--url-deny", multiple=True, help="One that may not, also if it is allowed.")
@click.option("--server-name", multiple=True, help="A name it answers to; repeatable.")
@click.option("--cors-origin", multiple=True, help="A site that may call it; repeatable.")
@click.option(
    "--trusted-proxy",
    multiple=True,
    help="Address or network of a proxy that is believed who asks it; repeatable.",
)
@click.option(
    "--api-rate",
    type=click.IntRange(0, 1_000_000),
    default=DEFAULT_API_RATE,
    show_default=True,
    help="Requests a second that one client may make, twice as many at once; 0: any number.",
)
@click.option(
    "--runs-keep",
    type=click.IntRange(1, 1_000_000),
    default=DEFAULT_RUNS_KEEP,
    show_default=True,
    help="Of each job the latest so many runs are kept.",
)
@click.option(
    "--runs-expire",
    default="90d",
    show_default=True,
    help="How long runs are kept that have ended, as 90d, 36h or 30m.",
)
@click.option(
    "--run-log-url",
    help="Where logs are collected, with {job_id} {run_id} {start_time} {end_time} in it.",
)
@click.option("--alert-webhook", help="URL that alerts are posted to, as JSON.")
@click.option(
    "--alert-depth",
    type=click.IntRange(1, 1_000_000_000),
    default=DEFAULT_ALERT_DEPTH,
    show_default=True,
    help="Messages in a queue, more of which are an alert.",
)
@click.option(
    "--alert-age",
    type=click.FloatRange(1, 31_536_000),
    default=DEFAULT_ALERT_AGE_S,
    show_default=True,
    help="Seconds that a message may wait in a queue; longer is an alert.",
)
@click.option(
    "-l",
    "--loglevel",
    type=click.Choice(LOGLEVELS, case_sensitive=False),
    default="INFO",
    show_default=True,
    help="Also the workers', unless their arguments say.",
)
@click.option("-f", "--logfile", type=click.Path(), help="Log there instead of to stderr.")
@click.option("--detach", is_flag=True, help="Go on in the background; return when it is ready.")
@click.option("--pidfile", type=click.Path(), help="Its process id, there instead of in the root.")
@click.option(
    "--supervisor", help="URL of a supervisord that runs the workers, unix:///...; else its own."
)
@click.option("--conf-dir", help="The folder with the files that supervisord includes.")
@click.option(
    "--stop-workers", is_flag=True, help="End them, too, when this ends; else they go on there."
)
@click.option("--insecure", is_flag=True, help="Listen beyond loopback with no users.")
@click.option(
    "-c",
    "--config",
    type=click.Path(),
    is_eager=True,
    expose_value=False,
    callback=read_file,
    help="INI file with a section [cyme-branch] of these names.",
)
@click.version_option(__version__, prog_name="cyme-branch")
def command(address: str, **options: Any) -> None:
    """Run a branch of Cyme in the foreground, on http://127.0.0.1:8000 by default.

    ^C stops workers warmly, then the rest; a second ^C kills what is left.
    """
    try:
        _check_together(options)
        if options["detach"]:
            go_on_in_the_background()
        host, port = parse_address(address)
        known = partial(knows_somebody, options["instance_dir"], options["database"])
        check_exposure(host, options["insecure"], known)
        prepared = prepare(options["instance_dir"], _wanted(host, port, options))
        click.echo(banner(prepared))
        if prepared.host is None:
            become(prepared)
        say = partial(click.echo, err=True)
        Attachment(prepared.host, prepared.config, say).attend(options["stop_workers"])
    except CymeError as exc:
        click.echo(f"cyme-branch: {exc}", err=True)
        sys.exit(exc.exit)


def _check_together(options: dict[str, Any]) -> None:
    """Refuse what means nothing without, or beside, a supervisord of the host's own."""
    if options["supervisor"]:
        parse_supervisor(options["supervisor"])
        if not options["conf_dir"]:
            raise Invalid(
                "--supervisor needs --conf-dir, the folder that supervisord includes",
                "see files= in [include] of its configuration",
            )
        for name in ("detach", "pidfile", "logfile"):
            if options[name]:
                raise Invalid(
                    f"--{name} is for a supervisord of the branch's own",
                    "with --supervisor that one runs web and branch, and they log to log/",
                )
        return
    for name in ("conf_dir", "stop_workers"):
        if options[name]:
            raise Invalid(f"--{name.replace('_', '-')} goes with --supervisor")


def _wanted(host: str, port: int, options: dict[str, Any]) -> dict[str, Any]:
    parse_rate("--restart-max-rate", options["restart_max_rate"])
    return {
        "id": options["id"],
        "broker": options["broker"],
        "database": _database(options["database"]),
        "host": host,
        "port": port,
        "has_httpd": not options["without_httpd"],
        "has_srs": not options["without_srs"],
        "has_scheduler": not options["without_scheduler"],
        "has_monitor": not options["without_monitor"],
        **recorded(options),
        "numc": options["numc"],
        "fleet": _fleet(options["fleet"]),
        "sup_interval": options["sup_interval"],
        "wait_after_broker_revived": options["wait_after_broker_revived"],
        "restart_max_rate": options["restart_max_rate"],
        "loglevel": options["loglevel"].upper(),
        "logfile": _absolute(options["logfile"]),
        "pidfile": _absolute(options["pidfile"]),
        "is_detached": options["detach"],
        "supervisor": options["supervisor"] or "",
        "conf_dir": _absolute(options["conf_dir"]) or "",
        "server_names": tuple(options["server_name"]),
        "cors_origins": tuple(options["cors_origin"]),
        "trusted_proxies": tuple(map(check_proxy, options["trusted_proxy"])),
        "api_rate": options["api_rate"],
        "alert_webhook": _webhook(options["alert_webhook"]),
        "alert_depth": options["alert_depth"],
        "alert_age": options["alert_age"],
        "runs_keep": options["runs_keep"],
        "runs_expire_s": _span("--runs-expire", options["runs_expire"]),
        "run_log_url": check_log_url("--run-log-url", options["run_log_url"] or ""),
        "is_insecure": options["insecure"],
        "url_allow": _patterns("--url-allow", options["url_allow"]),
        "url_deny": _patterns("--url-deny", options["url_deny"]),
    }


def _absolute(path: str | None) -> str | None:
    return os.path.abspath(path) if path else None


def _fleet(name: str) -> str:
    if check_name("fleet", name) == "celery":
        raise Invalid(
            "'celery' is reserved", "the remote control of Celery's workers has that name"
        )
    return name


def _database(url: str | None) -> str | None:
    if url:
        parse_database(url)
    return url or None


def _webhook(url: str | None) -> str:
    return check_webhook(url) if url else ""


def _span(option: str, text: str) -> float:
    seconds = parse_span(option, text)
    if seconds < 60:
        raise Invalid(f"{option}: less than a minute", "as 90d, 36h or 30m")
    return seconds


def _patterns(option: str, given: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(check_pattern(option, each) for each in given)


def banner(prepared: Prepared) -> str:
    """What a person sees first."""
    config = prepared.config
    broker = "embedded, " if config.has_embedded_broker else ""
    lines = [
        f"cyme-branch {__version__}: branch {config.id}",
        f"  http    {config.url}/" if config.has_httpd else "  http    left out",
        f"  broker  {broker}{parse_broker(config.broker).masked_url}",
        *([f"  store   {parse_database(config.database).masked_url}"] if config.database else []),
        f"  root    {config.root}",
        f"  log     {config.log}",
        f"  control supervisorctl {_control(config)} status",
        *(f"  warning {warning}" for warning in prepared.warnings),
    ]
    return "\n".join([*lines, *_first_tour(config), ""])


def _control(config: Config) -> str:
    if config.is_attached:
        return f"-s {config.supervisord.masked_url}"
    return f"-c {config.paths.supervisord_conf}"


def _first_tour(config: Config) -> list[str]:
    if not config.has_httpd:
        return []
    return [
        "A first tour, from another terminal:",
        f"  curl -X POST {config.url}/foo/",
        f"  curl -X POST {config.url}/foo/instances/w1/",
        f"  curl {config.url}/foo/instances/w1/",
        f"  curl -X POST '{config.url}/foo/instances/w1/autoscale/?max=3&min=1'",
        f"  curl -X DELETE {config.url}/foo/instances/w1/",
    ]


def become(prepared: Prepared) -> NoReturn:
    """Be supervisord from now on; the root's lock goes along."""
    # They are in the root by now; workers have no business with them.
    for name in ("CYME_DATABASE", "CYME_ALERT_WEBHOOK"):
        os.environ.pop(name, None)
    sys.stdout.flush()
    sys.stderr.flush()
    if prepared.config.is_detached:
        let_go_of_the_terminal(prepared.config)
    else:
        # Its log is no result: it goes where a command's diagnostics go.
        os.dup2(2, 1)
    os.execv(prepared.argv[0], prepared.argv)


def main() -> None:
    command()


if __name__ == "__main__":
    main()
