"""Which URLs may be asked for: every way to write an address, and what the options say."""

from __future__ import annotations

import ipaddress
import json
import string
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cyme_supd.domain.target import MAX_URL, Policy, check_pattern, check_url, parse_url
from cyme_supd.errors import Invalid

#: A branch on an address that others can reach, and one on loopback.
OUTSIDE = Policy(ports=(8000,))
INSIDE = Policy(is_loopback_allowed=True, ports=(8000, 6379))

METADATA = (
    "169.254.169.254", "169.254.169.254.", "2852039166", "0xa9fea9fe", "0XA9FEA9FE",
    "025177524776", "0xa9.0xfe.0xa9.0xfe", "0251.0376.0251.0376", "169.254.43518",
    "169.16689662", "0xa9.254.43518", "169.0376.0xa9fe", "00000251.0376.0251.0376",
    "169.254.169.254\u3002", "169\u3002254\uff0e169\uff61254", "\uff11\uff16\uff19.254.169.254",
    "\u2460\u2465\u2468.254.169.254", "169.254.169.2\u00ad54", "169.254.169.\u200b254",
    "\uff10xa9fea9fe", "[::ffff:169.254.169.254]", "[::ffff:a9fe:a9fe]",
    "[0:0:0:0:0:FFFF:A9FE:A9FE]", "[::169.254.169.254]", "[2002:a9fe:a9fe::1]",
    "[64:ff9b::a9fe:a9fe]", "[64:ff9b:1::169.254.169.254]", "[::ffff:0:169.254.169.254]",
    "[2001:0:5601:5601::]", "[2001::ffff:ffff:5601:5601]", "[fe80::1]", "[fe80::1%25eth0]",
    "[FE80::1%eth0]", "[fe80::a9fe:a9fe]", "[fd00:ec2::254]", "[fd20:ce::254]", "[fd00:42::42]",
    "169.254.0.1", "169.254.170.2", "100.100.100.200", "168.63.129.16", "192.0.0.192",
    "metadata.google.internal", "METADATA.google.Internal.",
    "metadata\u3002google\uff0einternal\u3002", "\uff4detadata.google.internal", "metadata.goog",
    "user:pw@169.254.169.254", "example.com@169.254.169.254", "a@b@169.254.169.254",
    "example.com%40@169.254.169.254", "169.254.169.254:80", "169.254.169.254:443",
)  # fmt: skip
LOOPBACK = (
    "127.0.0.1", "127.0.0.1.", "127.1", "127.0.1", "2130706433", "0x7f000001", "017700000001",
    "0x7f.1", "0177.1", "127.255.255.254", "0", "0.0.0.0", "0x0", "00", "0.0", "0x",
    "127.0.0.1\u3002", "\uff11\uff12\uff17.0.0.1", "127\u30021", "[::1]", "[::]",
    "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]", "[::ffff:0:127.0.0.1]", "[::127.0.0.1]",
    "[2002:7f00:1::]", "[64:ff9b::127.0.0.1]", "[::ffff:0.0.0.0]", "[::1%25lo]", "localhost",
    "LocalHost.", "localhost\u3002", "\uff4cocalhost", "a.localhost", "x.y.localhost.",
    "u@localhost", "\u24db\u24de\u24d2\u24d0\u24db\u24d7\u24de\u24e2\u24e3",
)  # fmt: skip
NO_URLS = (
    "", "x", "/", "//h/", "h", "http", "http:", "http://", "http:///", "http:///h/", "http:h",
    "http:/h/", "http:\\\\h\\", "http://\\h/", "http://h\\@g/", "http://g\\.h/", "http://?x",
    "http://#x", "http://:80/", "http://u@/", "http://u:p@:80/", "http://.", "http://../",
    "http://%31/", "http://h%2e/", "http://a b/", "http://h/a b", "http://h/\n", "\thttp://h/",
    " http://h/", "http://h/ ", "ht\ntp://h/", "http://h\t/", "http://h\r\nX: y/",
    "http://h/\x00", "http://h/\u2028", "http://h/\ud800", "http://h/\x85", "http://h\u3000/",
    "http://h:0/", "http://h:65536/", "http://h:-1/", "http://h:x/", "http://h:8 0/",
    "http://h:\uff18\uff10/", "http://h:80:80/", "http://[::1/", "http://::1/", "http://[::1]x/",
    "http://x[::1]/", "http://[::1]]/", "http://[x]/", "http://[]/", "http://[v1.x]/",
    "http://[1.2.3.4]/", "http://[::1.2.3]/", "http://[:::1]/", "http://256.1.1.1/",
    "http://1.2.3.4.5/", "http://08/", "http://a.1/", "http://a.0x1/", "http://4294967296/",
    "http://1.16777216/", "http://127.0.0.256/", "http://-1.1/", "http://h\u2100/",
    "http://h\uff0fx/", "http://h\uff03x/", "http://h\uff20g/", "http://h\uff05x/",
    "http://h\uff3cx/", "http://\uff3b::1\uff3d/", "http://\u3002/", "http://\u00ad/",
    "http://a\u3002\u3002b/", f"http://{'a' * 254}/", f"http://\u00fc{'a' * 70}/", "http://<h>/",
    'http://"h"/', "http://h|g/", "http://h^/", "http://{h}/", "file:///etc/passwd",
    "gopher://h/", "ftp://h/", "javascript:alert(1)", "data:,x", "dict://h:1/", "ws://h/",
    "httpx://h/", "unix:/x", "jar:http://h/", "http+unix://h/", "redis://h/", "\u017fttp://h/",
    "HTTP;//h", "http//h", "https:/\u200b/h",
)  # fmt: skip


@pytest.mark.parametrize("host", METADATA)
def test_what_tells_secrets_is_never_asked(host: str) -> None:
    for policy in (OUTSIDE, INSIDE, Policy(allow=("*", "0.0.0.0/0", "::/0"))):
        for scheme in ("http", "HTTPS"):
            with pytest.raises(Invalid, match="may not be requested"):
                check_url(policy, f"{scheme}://{host}/latest/meta-data/")


@pytest.mark.parametrize("host", LOOPBACK)
def test_loopback_is_for_who_is_on_loopback(host: str) -> None:
    with pytest.raises(Invalid, match="may not be requested: it is loopback"):
        check_url(OUTSIDE, f"http://{host}/")
    check_url(INSIDE, f"http://{host}/")
    for port in INSIDE.ports:
        with pytest.raises(Invalid, match="the branch's own"):
            check_url(INSIDE, f"http://{host}:{port}/foo/")
        with pytest.raises(Invalid, match="the branch's own"):
            check_url(INSIDE, f"https://{host}:0{port}")


def test_the_default_port_may_be_the_branchs_own() -> None:
    policy = Policy(is_loopback_allowed=True, ports=(80,))
    check_url(policy, "https://127.0.0.1/")
    for url in ("http://127.0.0.1/", "http://localhost", "http://[::1]?x"):
        with pytest.raises(Invalid, match="the branch's own"):
            check_url(policy, url)


@pytest.mark.parametrize(
    "address", ["224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255", "[ff02::1]"]
)
def test_nobody_is_asked_by_multicast(address: str) -> None:
    with pytest.raises(Invalid, match="multicast or reserved"):
        check_url(INSIDE, f"http://{address}/")


@pytest.mark.parametrize("host", ["10.0.0.1", "192.168.1.1", "172.16.0.1", "[fd12::1]", "1.1.1.1"])
def test_private_addresses_are_allowed_unless_denied(host: str) -> None:
    check_url(OUTSIDE, f"http://{host}:8000/")
    denying = Policy(deny=("10.0.0.0/8", "192.168.0.0/16", "172.16.0.0/12", "fc00::/7", "1.1.1.1"))
    with pytest.raises(Invalid, match="denied by --url-deny"):
        check_url(denying, f"http://{host}/")


@pytest.mark.parametrize("url", NO_URLS)
def test_what_is_no_url(url: str) -> None:
    with pytest.raises(Invalid, match=r"^url: "):
        parse_url(url)


def test_how_long_a_url_may_be() -> None:
    longest = "http://h/".ljust(MAX_URL, "x")
    parse_url(longest)
    with pytest.raises(Invalid, match="longer than 8192"):
        parse_url(longest + "x")


def test_a_refusal_does_not_repeat_what_may_be_a_password() -> None:
    for url in (
        "http://u:hunter2/",
        "http://u:hunter2@h\u2100/",
        "http://u:hunter2@[::1/",
        "hunter2",
    ):
        with pytest.raises(Invalid) as caught:
            check_url(OUTSIDE, url)
        assert "hunter2" not in str(caught.value)


# What it is made of


@pytest.mark.parametrize(
    ("url", "host", "port", "path", "authority"),
    [
        ("http://h", "h", 80, "/", "h"),
        ("HTTPS://H.Example.", "h.example", 443, "/", "h.example"),
        ("http://h:8080?a=//b", "h", 8080, "/?a=//b", "h:8080"),
        ("http://h:80/", "h", 80, "/", "h:80"),
        ("http://h:/x", "h", 80, "/x", "h"),
        ("http://h/a//b/../c?x=%2F&y=#frag", "h", 80, "/a//b/../c?x=%2F&y=", "h"),
        ("http://h#frag?x", "h", 80, "/", "h"),
        ("http://h/%zz?\u00fc=\u20ac", "h", 80, "/%zz?%C3%BC=%E2%82%AC", "h"),
        ("http://h/@x:y", "h", 80, "/@x:y", "h"),
        ("http://b\u00fccher.example/", "xn--bcher-kva.example", 80, "/", "xn--bcher-kva.example"),
        ("http://[2001:DB8::0:1]:81/", "2001:db8::1", 81, "/", "[2001:db8::1]:81"),
        ("http://0x7f.1/", "127.0.0.1", 80, "/", "127.0.0.1"),
        ("http://a_b-c/", "a_b-c", 80, "/", "a_b-c"),
    ],
)  # fmt: skip
def test_parts(url: str, host: str, port: int, path: str, authority: str) -> None:
    target = parse_url(url)
    assert (target.host, target.port, target.path) == (host, port, path)
    assert target.authority == authority


def test_who_asks() -> None:
    assert parse_url("http://u%40x:p%3As@h/").userinfo == "u@x:p:s"
    assert parse_url("http://a@b@h/").userinfo == "a@b"
    assert parse_url("http://h/@b").userinfo == ""


URL_TEXT = st.text(
    st.one_of(
        st.sampled_from(
            "/:@?#[]%\\.0123456789abcdefxABCDEF\u3002\uff0e\uff61\uff11\u00ad\u212a\u0130"
        ),
        st.sampled_from(string.printable),
        st.characters(),
    ),
    max_size=40,
)


@given(URL_TEXT, st.sampled_from(["http://", "https://", "HTTP://u:p@", "http://[", "", "//"]))
def test_whatever_is_sent(text: str, start: str) -> None:
    try:
        target = parse_url(start + text)
    except Invalid:
        return
    shown = f"{target.scheme}://{target.authority}{target.path}"
    again = parse_url(shown)
    assert (again.scheme, again.host, again.port) == (target.scheme, target.host, target.port)
    assert (again.path, again.address) == (target.path, target.address)
    # As others read it, too.
    assert urlsplit(shown).hostname == target.host
    assert target.host.isascii()
    assert target.path.isascii()
    assert target.path.startswith("/")


@given(st.ip_addresses())
def test_every_address_is_known_as_one(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    host = f"[{address.exploded}]" if address.version == 6 else str(address)
    target = parse_url(f"http://{host}/")
    assert (target.address, target.host) == (address, str(address))


@given(
    st.ip_addresses(v=4),
    st.integers(0, 3),
    st.lists(st.sampled_from("odx"), min_size=4, max_size=4),
)
def test_every_spelling_of_an_address(
    address: ipaddress.IPv4Address, joined: int, bases: list[str]
) -> None:
    forms = {"o": "0{:o}", "d": "{}", "x": "0x{:x}"}
    numbers = list(address.packed)
    last = int.from_bytes(bytes(numbers[3 - joined :]), "big")
    parts = [*numbers[: 3 - joined], last]
    host = ".".join(forms[base].format(part) for base, part in zip(bases, parts, strict=False))
    assert parse_url(f"http://{host}/").address == address


# What the options say


def test_names_that_are_denied() -> None:
    policy = Policy(deny=("*.example.com", "secret", "xn--bcher-kva.example"))
    for host in (
        "a.example.com",
        "A.B.Example.COM.",
        "secret",
        "a\u3002example\u3002com",
        "b\u00fccher.example",
    ):
        with pytest.raises(Invalid, match="denied by --url-deny"):
            check_url(policy, f"http://{host}/")
    for host in ("example.com", "example.com.evil", "secrets", "1.2.3.4"):
        check_url(policy, f"http://{host}/")


def test_only_what_is_allowed() -> None:
    policy = Policy(
        allow=("*.example.com", "10.1.0.0/16", "fd12::/16"), deny=("10.1.2.0/24", "x.example.com")
    )
    for host in ("a.example.com", "10.1.0.1", "167837697", "[fd12::1]", "[::ffff:10.1.0.1]"):
        check_url(policy, f"http://{host}/")
    for host in ("10.2.0.1", "10.1.2.3", "x.example.com", "1.1.1.1", "[2002:a01:1::]", "[fd13::1]"):
        with pytest.raises(Invalid, match=r"--url-(allow|deny)"):
            check_url(policy, f"http://{host}/")
    # A name may turn out to be in a network; whoever resolves it sees.
    target = check_url(policy, "http://elsewhere/")
    policy.check_address(target, ipaddress.ip_address("10.1.0.1"))
    for address in ("10.2.0.1", "10.1.2.3", "8.8.8.8"):
        with pytest.raises(Invalid, match=f"elsewhere \\({address}\\) may not be requested"):
            policy.check_address(target, ipaddress.ip_address(address))
    with pytest.raises(Invalid, match="not in --url-allow"):
        check_url(Policy(allow=("*.example.com",)), "http://elsewhere/")


def test_a_denied_glob_holds_for_every_spelling_of_an_address() -> None:
    policy = Policy(deny=("10.*",))
    for host in ("10.0.0.5", "167772165", "0xa.5", "[::ffff:10.0.0.5]", "[64:ff9b::a00:5]"):
        with pytest.raises(Invalid, match="denied by --url-deny"):
            check_url(policy, f"http://{host}/")


def test_what_is_allowed_by_name_is_checked_all_the_same() -> None:
    policy = Policy(allow=("*.example.com",), ports=(8000,))
    target = check_url(policy, "http://a.example.com:8000/")
    policy.check_address(target, ipaddress.ip_address("93.184.216.34"))
    policy.check_address(target, ipaddress.ip_address("192.168.0.7"))
    for address in (
        "169.254.169.254",
        "127.0.0.1",
        "::1",
        "0.0.0.0",
        "::ffff:169.254.169.254",
        "224.0.0.1",
    ):
        with pytest.raises(Invalid, match="may not be requested"):
            policy.check_address(target, ipaddress.ip_address(address))
    with pytest.raises(Invalid, match="port 8000 there is the branch's own"):
        policy.check_address(target, ipaddress.ip_address("192.168.0.7"), is_own=True)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (" *.Example.COM. ", "*.example.com"),
        ("10.0.0.0/8", "10.0.0.0/8"),
        ("10.0.0.1", "10.0.0.1"),
        ("FD00::/8", "fd00::/8"),
        ("::1", "::1"),
        ("h?st-[ab]", "h?st-[ab]"),
        ("*.b\u00fccher.example", "*.xn--bcher-kva.example"),
    ],
)
def test_patterns(given: str, kept: str) -> None:
    assert check_pattern("--url-deny", given) == kept


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        " ",
        ".",
        "a b",
        "a\nb",
        "http://h",
        "h:80",
        "10.0.0.0/33",
        "h/8",
        "[::1]",
        "b\u00fc*",
        "x\u00ad/y",
    ],
)
def test_what_is_no_pattern(pattern: str) -> None:
    with pytest.raises(Invalid, match="--url-allow"):
        check_pattern("--url-allow", pattern)


def test_it_travels_as_json() -> None:
    policy = Policy(("*.a", "10.0.0.0/8"), ("b",), True, (80, 443))
    assert Policy.of(json.loads(json.dumps(policy.as_dict()))) == policy
