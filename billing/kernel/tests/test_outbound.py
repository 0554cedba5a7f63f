import gzip
import logging
import socket
import struct
import time
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from django.db import transaction

from billing.kernel.addresses import may_call
from billing.kernel.errors import Unavailable
from billing.kernel.masking import masked
from billing.kernel.outbound import (
    AnswerTooLarge,
    OutboundRefused,
    OutcomeUnknown,
    UnexpectedRedirect,
    UnreadableAnswer,
    fetch,
    retry_after,
)
from billing.kernel.tests.far_side import far_side, make_certificate

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def loopback(settings):
    settings.OUTBOUND_ALLOWED_NETWORKS = ["127.0.0.0/8"]
    settings.OUTBOUND_ALLOW_HTTP = True


def resolve_to(monkeypatch, *addresses):
    """Every name leads to these addresses; answers how often it was asked."""
    asked = []

    def getaddrinfo(host, port, *args, **kwargs):
        asked.append(host)
        return [
            (
                socket.AF_INET6 if ":" in address else socket.AF_INET,
                socket.SOCK_STREAM,
                6,
                "",
                (address, port, 0, 0) if ":" in address else (address, port),
            )
            for address in addresses
        ]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return asked


def test_an_answer_comes_back_with_exact_decimals():
    with far_side(lambda far: far.answer(201, b'{"total": 0.1000000000000000055}', ETag="x")) as server:
        answer = fetch("POST", server.url("/bills"), json={"a": 1}, headers={"X-One": "1"})

    assert (answer.status, answer.headers["etag"]) == (201, "x")
    assert answer.json() == {"total": Decimal("0.1000000000000000055")}
    [seen] = server.seen
    assert (seen.command, seen.path, seen.sent) == ("POST", "/bills", b'{"a": 1}')
    assert (seen.headers["X-One"], seen.headers["User-Agent"]) == ("1", "enterprise-billing")


@pytest.mark.parametrize("status", [400, 401, 404, 409, 422])
def test_a_clear_no_is_an_answer(status):
    with far_side(lambda far: far.answer(status, b'{"error": "no"}')) as server:
        assert fetch("POST", server.url()).status == status


# --- where we do not go


@pytest.mark.parametrize(
    ("_case", "address"),
    [
        ("this network", "0.0.0.0"),  # noqa: S104
        ("loopback", "127.0.0.1"),
        ("the rest of loopback", "127.255.255.254"),
        ("private A", "10.0.0.1"),
        ("private B", "172.16.0.1"),
        ("the end of private B", "172.31.255.255"),
        ("private C", "192.168.1.1"),
        ("carrier-grade NAT", "100.64.0.1"),
        ("cloud metadata", "169.254.169.254"),
        ("protocol assignments", "192.0.0.8"),
        ("documentation", "192.0.2.1"),
        ("6to4 relay", "192.88.99.1"),
        ("benchmarks", "198.18.0.1"),
        ("documentation 2", "198.51.100.1"),
        ("documentation 3", "203.0.113.1"),
        ("multicast", "224.0.0.1"),
        ("reserved", "240.0.0.1"),
        ("broadcast", "255.255.255.255"),
        ("unspecified v6", "::"),
        ("loopback v6", "::1"),
        ("mapped loopback", "::ffff:127.0.0.1"),
        ("mapped private", "::ffff:10.0.0.1"),
        ("compatible loopback", "::127.0.0.1"),
        ("NAT64", "64:ff9b::7f00:1"),
        ("local NAT64", "64:ff9b:1::1"),
        ("discard", "100::1"),
        ("Teredo", "2001:0:4136:e378:8000:63bf:3fff:fdd2"),
        ("ORCHID", "2001:20::1"),
        ("documentation v6", "2001:db8::1"),
        ("6to4 of loopback", "2002:7f00:1::"),
        ("documentation v6, new", "3fff::1"),
        ("segment routing", "5f00::1"),
        ("unique local", "fd00::1"),
        ("cloud metadata v6", "fd00:ec2::254"),
        ("link-local with a zone", "fe80::1%eth0"),
        ("site-local", "fec0::1"),
        ("multicast v6", "ff02::1"),
    ],
)
def test_special_addresses_are_not_called(_case, address, monkeypatch, settings):
    settings.OUTBOUND_ALLOWED_NETWORKS = []
    resolve_to(monkeypatch, address)

    with pytest.raises(OutboundRefused, match="may not be called"):
        fetch("GET", "https://erp.example.com/")


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "100.63.255.255", "172.32.0.1", "2606:4700::1111", "::ffff:8.8.8.8", "2a00::1"]
)
def test_ordinary_addresses_may_be_called(address):
    assert may_call(address, allowed_networks=[]) is True


@pytest.mark.parametrize(
    ("address", "allowed"), [("10.1.2.3", True), ("10.2.0.1", False), ("fd00::1", False)]
)
def test_a_deployment_may_name_its_own_networks_and_no_others_open(address, allowed):
    assert may_call(address, allowed_networks=["10.1.0.0/16"]) is allowed


def test_one_forbidden_address_among_good_ones_is_enough(monkeypatch, settings):
    settings.OUTBOUND_ALLOWED_NETWORKS = []
    resolve_to(monkeypatch, "8.8.8.8", "10.0.0.1")

    with pytest.raises(OutboundRefused):
        fetch("GET", "https://erp.example.com/")


@pytest.mark.parametrize("host", ["2130706433", "0x7f.1", "0177.0.0.1", "127.1", "[::ffff:127.0.0.1]"])
def test_other_spellings_of_loopback_are_the_same_address(host, settings):
    settings.OUTBOUND_ALLOWED_NETWORKS = []

    with pytest.raises(OutboundRefused, match="may not be called"):
        fetch("GET", f"https://{host}/")


@pytest.mark.parametrize(
    ("_case", "url"),
    [
        ("another scheme", "ftp://example.com/"),
        ("a file", "file:///etc/passwd"),
        ("no scheme", "example.com/"),
        ("no host", "https:///path"),
        ("a user name", "https://me:secret@example.com/"),
        ("an empty user name", "https://@example.com/"),
        ("a backslash", "https://example.com\\@evil.example/"),
        ("a port that is none", "https://example.com:99999/"),
    ],
)
def test_odd_addresses_are_refused_before_any_look_up(_case, url, monkeypatch):
    asked = resolve_to(monkeypatch, "8.8.8.8")

    with pytest.raises(OutboundRefused):
        fetch("GET", url)

    assert asked == []


def test_plain_http_is_refused_unless_the_deployment_allows_it(settings):
    settings.OUTBOUND_ALLOW_HTTP = False

    with far_side(lambda far: far.answer()) as server, pytest.raises(OutboundRefused, match="Only https"):
        fetch("GET", server.url())

    assert server.seen == []


def test_only_expected_hosts_are_called_when_they_are_named():
    with far_side(lambda far: far.answer()) as server:
        assert fetch("GET", server.url(), allow_hosts={"127.0.0.1"}).status == 200
        with pytest.raises(OutboundRefused, match="not one of the expected"):
            fetch("GET", server.url(), allow_hosts={"api.example.com"})

    assert len(server.seen) == 1


def test_the_name_is_resolved_once_and_the_checked_address_is_called(monkeypatch):
    """A second answer of the name server (rebinding) has nobody to reach."""
    asked = resolve_to(monkeypatch, "127.0.0.1")
    with far_side(lambda far: far.answer()) as server:
        fetch("GET", server.url(host="erp.example.com"))

    assert asked == ["erp.example.com"]
    assert server.seen[0].headers["Host"].startswith("erp.example.com:")


def test_the_next_address_is_tried_when_the_first_does_not_answer(monkeypatch):
    resolve_to(monkeypatch, "127.0.0.9", "127.0.0.1")
    with far_side(lambda far: far.answer()) as server:
        assert fetch("GET", server.url(host="erp.example.com")).status == 200


def test_proxies_and_netrc_of_the_environment_are_ignored(monkeypatch, tmp_path):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with far_side(lambda far: far.answer()) as server:
        assert fetch("GET", server.url()).status == 200

    assert server.seen[0].headers["Authorization"] is None


@pytest.mark.django_db
def test_nobody_is_called_inside_a_transaction():
    with far_side(lambda far: far.answer()) as server:
        with transaction.atomic(), pytest.raises(AssertionError, match="inside a transaction"):
            fetch("GET", server.url())
        assert server.seen == []
        assert fetch("GET", server.url()).status == 200


# --- answers that are none


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(status):
    with (
        far_side(lambda far: far.answer(status, b"", Location="http://127.0.0.1:1/stolen")) as server,
        pytest.raises(UnexpectedRedirect),
    ):
        fetch("POST", server.url(), data=b"x", headers={"Authorization": "Bearer abc"})

    assert len(server.seen) == 1


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7),
        (" 7 ", 7),
        ("0", 1),
        (None, 5),
        ("", 5),
        ("-3", 5),
        ("1e9", 5),
        ("soon", 5),
        ("٧", 5),
        ("1000000000", 900),
        ("9" * 5000, 900),
        ("Mon, 01 Jun 2026 12:00:30 GMT", 31),
        ("Mon, 01 Jun 2026 11:00:00 GMT", 1),
        ("Tue, 02 Jun 2026 12:00:00 GMT", 900),
        ("Mon, 01 Jun 2026 12:00:30", 31),
    ],
)
def test_retry_after_is_read_in_every_form_and_kept_within_bounds(header, seconds):
    assert retry_after(header, now=NOW) == seconds


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("status", [429, 503])
def test_turned_away_at_the_door_means_try_later(method, status):
    with (
        far_side(lambda far: far.answer(status, b"", Retry_After="7")) as server,
        pytest.raises(Unavailable) as refusal,
    ):
        fetch(method, server.url())

    assert type(refusal.value) is Unavailable
    assert (refusal.value.retry_after, refusal.value.extra["remote_status"]) == (7, status)


@pytest.mark.parametrize(("method", "kind"), [("GET", Unavailable), ("POST", OutcomeUnknown)])
@pytest.mark.parametrize("status", [500, 502, 504])
def test_an_error_page_says_nothing_about_what_happened_to_a_write(method, kind, status):
    with (
        far_side(lambda far: far.answer(status, b"<html>Bad Gateway</html>")) as server,
        pytest.raises(Unavailable) as refusal,
    ):
        fetch(method, server.url())

    assert type(refusal.value) is kind


@pytest.mark.parametrize(("method", "kind"), [("GET", UnreadableAnswer), ("POST", OutcomeUnknown)])
@pytest.mark.parametrize("body", [b"<html>log in</html>", b"", b'{"a":', b"[" * 100_000])
def test_a_page_instead_of_json_is_not_an_answer(method, kind, body):
    with far_side(lambda far: far.answer(200, body)) as server:
        answer = fetch(method, server.url())

    with pytest.raises(kind):
        answer.json()


# --- lines that break


def reset(far):
    far.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    far.close_connection = True
    far.connection.close()


def truncate(far):
    far.send_response(200)
    far.send_header("Content-Length", "1000")
    far.end_headers()
    far.wfile.write(b"only this")
    far.close_connection = True


@pytest.mark.parametrize(("method", "kind"), [("GET", Unavailable), ("DELETE", OutcomeUnknown)])
@pytest.mark.parametrize("behave", [reset, truncate])
def test_a_broken_line_leaves_the_outcome_of_a_write_unknown(method, kind, behave):
    with far_side(behave) as server, pytest.raises(Unavailable) as refusal:
        fetch(method, server.url())

    assert type(refusal.value) is kind


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_nobody_there_is_unavailable_also_for_a_write(method):
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]

    with pytest.raises(Unavailable) as refusal:
        fetch(method, f"http://127.0.0.1:{port}/")

    assert type(refusal.value) is Unavailable


def test_a_name_that_does_not_resolve_is_unavailable(monkeypatch):
    def nothing(*args, **kwargs):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", nothing)

    with pytest.raises(Unavailable, match=r"The name erp\.example\.com does not resolve"):
        fetch("POST", "https://erp.example.com/")


# --- answers that never end


def drip_headers(far):
    far.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
    drip(far)


def drip_body(far):
    far.send_response(200)
    far.end_headers()  # no length: the end is when the line closes
    far.close_connection = True
    drip(far)


def drip(far):
    while not far.server.stopping.wait(0.05):
        far.wfile.write(b"x")


def silence(far):
    far.server.stopping.wait(10)


@pytest.mark.slow
@pytest.mark.parametrize(("method", "kind"), [("GET", Unavailable), ("POST", OutcomeUnknown)])
@pytest.mark.parametrize("behave", [silence, drip_headers, drip_body])
def test_the_deadline_is_for_the_whole_exchange(method, kind, behave):
    started = time.monotonic()
    with far_side(behave) as server, pytest.raises(Unavailable, match="did not answer in time") as refusal:
        fetch(method, server.url(), timeout=1)

    assert type(refusal.value) is kind
    assert time.monotonic() - started < 3


@pytest.mark.slow
def test_a_handshake_that_never_ends_was_no_call():
    with (
        socket.create_server(("127.0.0.1", 0)) as mute,
        pytest.raises(Unavailable, match="did not answer in time") as refusal,
    ):
        fetch("POST", f"https://127.0.0.1:{mute.getsockname()[1]}/", timeout=1)

    assert type(refusal.value) is Unavailable


def endless(far):
    far.send_response(200)
    far.send_header("Transfer-Encoding", "chunked")
    far.end_headers()
    while not far.server.stopping.is_set():
        far.wfile.write(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")


def bomb(far):
    packed = gzip.compress(b"\0" * (64 << 20))
    far.answer(200, packed, Content_Encoding="gzip")


@pytest.mark.parametrize(("method", "kind"), [("GET", AnswerTooLarge), ("POST", OutcomeUnknown)])
@pytest.mark.parametrize("behave", [endless, bomb])
def test_no_more_is_read_than_the_limit(method, kind, behave):
    with far_side(behave) as server, pytest.raises(kind):
        fetch(method, server.url(), max_bytes=100_000)


def test_a_body_of_exactly_the_limit_is_read():
    with far_side(lambda far: far.answer(200, b"x" * 1000)) as server:
        assert len(fetch("GET", server.url(), max_bytes=1000).body) == 1000
        with pytest.raises(AnswerTooLarge):
            fetch("GET", server.url(), max_bytes=999)


# --- whom we trust


def test_a_certificate_nobody_signed_is_refused_and_nothing_was_sent(tmp_path):
    with (
        far_side(lambda far: far.answer(), certificate=make_certificate(tmp_path, "127.0.0.1")) as server,
        pytest.raises(Unavailable, match="no certificate that we trust") as refusal,
    ):
        fetch("POST", server.url(scheme="https"))

    assert type(refusal.value) is Unavailable
    assert server.seen == []


def test_a_deployment_may_trust_its_own_certificates(tmp_path, settings, monkeypatch):
    certificate = make_certificate(tmp_path, "erp.example.com")
    settings.OUTBOUND_CA_BUNDLE = str(certificate)
    resolve_to(monkeypatch, "127.0.0.1")
    with far_side(lambda far: far.answer(), certificate=certificate) as server:
        # Pinned to an address, the certificate is still checked against the name of the URL.
        assert fetch("GET", server.url(scheme="https", host="erp.example.com")).status == 200
        with pytest.raises(Unavailable, match="no certificate that we trust"):
            fetch("GET", server.url(scheme="https", host="other.example.com"))

    assert len(server.seen) == 1


# --- what may be told


def test_neither_logs_nor_errors_tell_a_secret(caplog):
    caplog.set_level(logging.DEBUG)
    body = b'{"access_token": "tok-1234567890", "error": "Bearer abc.def"}'
    with far_side(lambda far: far.answer(500, body)) as server, pytest.raises(OutcomeUnknown) as refusal:
        fetch(
            "POST",
            server.url("/hook?api_key=q-secret-9"),
            headers={"Authorization": "Bearer h-secret-8"},
            data={"client_secret": "b-secret-7"},
        )
    with pytest.raises(Unavailable) as broken:
        fetch("GET", "http://127.0.0.1:1/hook?api_key=q-secret-9")

    told = [str(vars(record)) for record in caplog.records]  # of the libraries too
    text = " ".join([*told, str(refusal.value), str(broken.value)])
    assert len(told) == 3
    for secret in ("q-secret-9", "h-secret-8", "b-secret-7", "tok-1234567890", "abc.def"):
        assert secret not in text
    assert broken.value.__suppress_context__  # the cause, which would tell, is not shown


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Authorization: Bearer abc.def-ghi", "Authorization: •••• ••••"),
        ("?access_token=abc&page=2", "?access_token=••••&page=2"),
        ('{"refresh_token": "abc", "id": 7}', '{"refresh_token": ••••, "id": 7}'),
        ("client_secret='abc' x", "client_secret=•••• x"),
        ("key sk_live_abcdefgh here", "key •••• here"),
        ("eyJhbGciOi.eyJzdWIi.c2ln", "••••"),
        ("nothing to hide: 12.50 EUR", "nothing to hide: 12.50 EUR"),
    ],
)
def test_what_looks_like_a_secret_is_masked(text, expected):
    assert masked(text) == expected
