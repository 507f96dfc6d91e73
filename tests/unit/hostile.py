"""Names and values that somebody will send one day: none may get through.

``NAMES`` are no names of apps and instances. ``VALUES`` are, parameter by
parameter, what an app or an instance may not have; ``BODIES`` are whole
bodies with their content types. All of it is refused with a 4xx.
"""

from __future__ import annotations

import json
from typing import Any

LONG = "a" * 65536
DEEP = json.loads("[" * 200 + "]" * 200)
HUGE = 10**400

#: Characters that end, open or expand something somewhere down the line.
_TROUBLE = (
    "\x00", "\x01", "\x07", "\x08", "\t", "\n", "\r", "\r\n", "\x0b", "\x0c", "\x1b", "\x1f",
    "\x7f", "\x85", "\x9b", "\u2028", "\u2029", "\ufeff", "\u200b", "\u202e", "\u00a0", "\ufffd",
    " ", "%", "%%", "%(ENV_HOME)s", "%s", ";", "#", '"', "'", "`", "$", "$(id)", "${HOME}", "&",
    "|", "<", ">", "*", "?", "[", "]", "][", "{", "}", "(", ")", "\\", ",", ":", "=", "@", "!",
    "~", "^", "+",
)  # fmt: skip

NAMES: tuple[str, ...] = (
    *(f"a{each}b" for each in _TROUBLE),
    ".", "..", "...", ".hidden", "-dash", "_under", "-", "_", "~", "~root", "=",
    "..%2f..%2fetc%2fpasswd", "a\\..\\b", "C:\\x", "a b", " a", "a ",
    "a" * 129, "a" * 4000, LONG,
    # Letters and digits of elsewhere that look like ours.
    "na\u00efve", "\uff57\uff11", "w\u043erker", "\uff57orker", "\u03a9", "worker\u0301",
    "\u5de5\u4eba", "\U0001f40d", "\u2177", "\u0661\u0662", "w\u0131n", "\u212aelvin", "\u00aa",
    "a;rm -rf", "a' OR '1'='1", "<script>", "{{7*7}}", "${jndi:ldap}", "a\nuser=root",
    "a]\n[program:evil]\ncommand=x", "a\r[inet_http_server]", "%n", "%h", "w1@host", "a,b",
)  # fmt: skip

#: Well formed, and taken.
RESERVED_APPS = (
    "admin", "api", "branches", "health", "instance", "instances", "login", "logout", "metrics",
    "ping", "static",
)  # fmt: skip
RESERVED_INSTANCES = ("all", "cyme", "cyme-", "cyme-web", "cyme-w1")

_NO_TEXT: tuple[Any, ...] = (7, 1.5, True, ["a"], {"a": 1}, [[]], DEEP)
_NO_WHOLE: tuple[Any, ...] = ("1", "x", 1.0, 1.5, True, False, [1], {"a": 1}, HUGE, -HUGE)
_BAD_LINES = ("/a\nb", "/a\rb", "/a\x00b", "/a\x1bb", "/\ud800", "/" + LONG, "/a\u2028b")
_BAD_URLS = (
    "x", "amqp", "amqp://", "://h", "http://h", "memory://", "filesystem://", "sqs://k:s@", LONG,
    "amqp://h:0/", "amqp://h:65536/", "amqp://h:x/", "amqp://h:-1/", "amqp://u:********@h//",
    "amqp://h\n/", "amqp://h /", "amqp://h/\x00", "amqp://[::1", "redis://h/x", "rediss://h/0",
    "amqp://h/%00", "amqp://u%0a@h/", "amqp://a,b/", "amqp://%/", "amqp://h/\ud800", "amqp://\uff0f/",
)  # fmt: skip
_BAD_WORDS: tuple[Any, ...] = (
    "-A x", "-Ax", "--app=x", "--app x", "-b amqp://", "-bamqp://", "--broker=x", "-n x", "-nx",
    "--hostname=x", "-Q x", "-Qx", "--queues=x", "-X x", "--exclude-queues=x", "-c 4", "-c4",
    "--concurrency=4", "-P solo", "-Psolo", "--pool=solo", "--autoscale=3,1", "--autoscale", "-f x",
    "--logfile=x", "--pidfile=x", "-D", "--detach", "--uid=0", "--gid=0", "--workdir=/", "-S x",
    "--statedb=x", "-EQx", "-ED", "-BEc5", "--", "-- worker_x=1", "'open", '"open', "a\\",
    ["-A"], ["-E", "-c", "4"], [1], [None], [["a"]], ["a\nb"], ["a\x00b"], ["\ud800"], [LONG], LONG,
    ["a"] * 300, {"a": "b"}, 7, True, 1.5, "a --x=********", ["********"], "[1]", "[", '["-A"]',
)  # fmt: skip
_BAD_TABLES: tuple[Any, ...] = (
    "x", "=x", "a b", 7, True, ["a=b"], "'open", "{", '{"a":1,"a":2}', "{1:2}", '{"a": NaN}', LONG,
    "a=1 a=2", {"a" * 200: "1"}, {"": "1"}, {"a b": "1"}, {"a\nb": "1"}, {"a\x00": "1"},
    {"\ud800": "1"}, {"a": "\ud800"}, {"a": "x\x00"}, {"a": "********"}, {"a-b": "1"}, {"1a": "1"},
    {f"a{n}": "1" for n in range(300)}, {"a": LONG},
)  # fmt: skip
_BAD_SETTINGS: tuple[Any, ...] = (
    *_BAD_TABLES,
    "broker_url=amqp://", {"broker_url": "x"}, {"broker_read_url": "x"}, {"broker_write_url": "x"},
    {"result_backend": "x"}, {"CELERY_BROKER_URL": "x"}, {"Task_x": 1}, {"a.b": 1}, {"a": DEEP},
    {"a": HUGE}, {"broker.host": "x"}, {"a": {"b": ["********"]}}, {"_a": 1}, {"é": 1},
)  # fmt: skip
_BAD_VARIABLES: tuple[Any, ...] = (
    *_BAD_TABLES,
    {"A": 1}, {"A": None}, {"A": ["x"]}, {"A": {"b": "c"}}, {"A": True}, {"A=B": "x"}, {"é": "x"},
    {"CELERY_BROKER_URL": "x"}, {"CELERY_BROKER_READ_URL": "x"}, {"CYME_ROOT": "x"}, "CYME_X=1",
    "CELERY_BROKER_WRITE_URL=x", {"A B": "x"}, {"A%": "x"}, {"A;": "x"}, {"A": "x" * 40000},
)  # fmt: skip

_BOTH: dict[str, tuple[Any, ...]] = {
    "broker": (*_NO_TEXT, *_BAD_URLS),
    "arguments": _BAD_WORDS,
    "extra_config": _BAD_SETTINGS,
    "pool": (*_NO_TEXT, "Prefork", "process", "prefork ", "prefork\n", "processes", LONG),
    "stop_timeout_s": (*_NO_WHOLE, -1, 86401, 2**63),
    "timeout": ("1", "x", True, -1, 60.1, 61, HUGE, [1], {"a": 1}, DEEP),
    "secrets": (1, 0, "1", "yes", [True], {"a": 1}),
    # Empty it is no default: it would do what somebody wanted to look at.
    "dry_run": (1, 0, "1", "yes", None, "", [True], {"a": 1}),
    "no_such": ("x", None, 1, DEEP),
    "Broker": ("amqp://h//",),
    "broker ": ("amqp://h//",),
    "\ud800": ("x",),
    "__class__": ("x",),
    "name": ("x",),
}

#: By parameter, what an application may not have.
APP_VALUES: dict[str, tuple[Any, ...]] = {
    **_BOTH,
    "hostname": (*_NO_TEXT, "a b", "a/b", "a@b", "a\nb", "a\x00b", "\ud800", "a,b", "%", "[", LONG),
    "environment": _BAD_VARIABLES,
    "celery_app": (
        *_NO_TEXT, "proj", "proj:", ":app", "proj.:app", ".proj:app", "a b:c", "a:b c", "a;b:c",
        "../a:b", "a/b:c", "a:b\n", "é:app", "a:b()", "a:b:c", "a" * 200 + ":b", LONG, "-A:b",
    ),
    "directory": (*_NO_TEXT, "relative", "./x", "~", "~/x", "C:\\x", *_BAD_LINES),
    "command": (*_NO_TEXT, "celery", "./celery", "$(id)", "bin/celery", *_BAD_LINES),
    "user": (*_NO_TEXT, "root", "nobody", "0", "a b", "a:b", "a\n", "-u", LONG),
    "result_backend": (
        *_NO_TEXT, "a\nb", "a\x00", "\ud800", LONG, "redis://:********@h",
        "********",
    ),
}  # fmt: skip

#: By parameter, what an instance may not have.
INSTANCE_VALUES: dict[str, tuple[Any, ...]] = {
    **_BOTH,
    "max_concurrency": (*_NO_WHOLE, 0, -1, 1001, 2**63),
    "min_concurrency": (*_NO_WHOLE, -1, 2, 1001, 2**63),
    "queues": (
        7, True, {"a": 1}, [1], [None], [["a"]], [""], ["a\nb"], ["a\x00"], ["\ud800"], ["a" * 129],
        ["é" * 128], LONG, "dq.w1", ["dq.x"], "unknown", ["unknown"], "a,,b", ",", "[", '["a"',
        [f"q{n}" for n in range(1001)], DEEP,
    ),
    "branch": (*_NO_TEXT, "other", "../b1", "a b", "a\nb", "\ud800", LONG, "B1"),
    "celery_app": ("proj:app",),
    "user": ("root",),
    "placement": ("sprad", "two", 1),
    "tracked": (True,),
}  # fmt: skip

_JSON = "application/json"
_FORM = "application/x-www-form-urlencoded"
BODIES: tuple[tuple[bytes, str], ...] = (
    (b"{", _JSON), (b"}", _JSON), (b"[]", _JSON),
    (b"[1]", _JSON), (b'"text"', _JSON), (b"7", _JSON), (b"null", _JSON), (b"true", _JSON),
    (b"NaN", _JSON), (b'{"timeout": NaN}', _JSON), (b'{"timeout": Infinity}', _JSON),
    (b'{"timeout": -Infinity}', _JSON), (b'{"timeout": 1e999}', _JSON),
    (b'{"pool": "solo", "pool": "prefork"}', _JSON), (b'{"pool": "solo",}', _JSON),
    (b"{'pool': 'solo'}", _JSON), (b'{"pool": "solo"} x', _JSON), (b'{"pool": "\xff"}', _JSON),
    (b'{"pool": "\xed\xa0\x80"}', _JSON), (b'{"pool": "a\nb"}', _JSON), (b'{"\\ud800": 1}', _JSON),
    (b"\xff\xfe{\x00}\x00", _JSON), (b"\xef\xbb\xbf{}", _JSON), (b"\x00", _JSON),
    (b"[" * 100_000, _JSON), (b'{"a":' * 100_000, _JSON), (b"[" * 100_000 + b"]" * 100_000, _JSON),
    (b'{"extra_config": ' + b'{"a":' * 900 + b"1" + b"}" * 901, _JSON),
    (b'{"stop_timeout_s": ' + b"9" * 5000 + b"}", _JSON), (b"9" * 5000, _JSON),
    (b'{"stop_timeout_s": 1e5}', _JSON), (b'{"stop_timeout_s": 0x10}', _JSON),
    (b"{}", "application/json; charset=utf-16"), (b"{}", "application/json; charset=latin-1"),
    (b"{}", "application/json; charset=nonsense"), (b"{}", "text/plain"), (b"{}", "text/json"),
    (b"{}", ""), (b"{}", "application/xml"), (b"{}", "multipart/form-data; boundary=x"),
    (b"<a/>", "text/xml"), (b"{}", "application/jsonx"), (b"{}", "json"), (b"{}", ";"),
    (b'{"pool": "solo"}', _FORM), (b'{"pool"="solo"}', _FORM), (b"pool=solo&pool=solo", _FORM),
    (b"pool=%ff", _FORM), (b"pool=%c0%80", _FORM), (b"%ff=1", _FORM), (b"pool=%00", _FORM),
    (b"=", _FORM), (b"=x", _FORM), (b"x", _FORM), (b"pool", _FORM + "; charset=utf-16"),
    (b"stop_timeout_s=1.5", _FORM), (b"stop_timeout_s=0x1", _FORM), (b"stop_timeout_s=1e3", _FORM),
    (b"stop_timeout_s=+-1", _FORM), (b"stop_timeout_s=" + b"9" * 400, _FORM),
    (b"stop_timeout_s=%D9%A1", _FORM), (b"stop_timeout_s=%201", _FORM), (b"timeout=nan", _FORM),
    (b"timeout=inf", _FORM), (b"timeout=-0.5", _FORM), (b"secrets=maybe", _FORM),
    (b"&".join(b"pool=solo" for _ in range(600)), _FORM), (b"a=1&" * 600, _FORM),
    (b"pool=" + b"a" * (1024 * 1024), _FORM), (b" " * (1024 * 1024 + 1), _JSON),
)  # fmt: skip

#: Query strings, as they stand behind the question mark.
QUERIES = (
    "no_such=1", "timeout=x", "timeout=-1", "timeout=61", "timeout=1&timeout=2", "pool=%ff",
    "pool=%00", "pool=solo%0a", "secrets=2", "%00=1", "timeout[]=1", "$where=1", "__proto__=1",
    "stop_timeout_s=99999999999999999999", "stop_timeout_s=-1", "%7B%22a%22%3A1%7D",
    "extra_config=x", "arguments=-A%20x", "timeout=%D9%A1",
    "timeout=1_0", "timeout=1e1", "pool[]=solo", "Pool=solo", "pool%20=solo",
    "&".join(["a=1"] * 900),
)  # fmt: skip

HOSTS = (
    "", "evil.example", "evil.example:8000", "localhost.evil.example", "127.0.0.1.evil.example",
    "127.0.0.2", "10.0.0.1:8000", "localhost@evil.example", "evil.example@localhost", "localhost:x",
    "localhost:99999", "[::1", "::1]", "[::2]", "0.0.0.0", "localhost/x", "localhost evil", "%00",
    "localhost#", "localhost?x", "127.1", "0x7f.0.0.1", "2130706433", "a" * 5000,
)  # fmt: skip
