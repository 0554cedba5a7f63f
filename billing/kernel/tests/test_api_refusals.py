"""Whatever a client can send that is not exactly right: a 4xx problem, and nothing has changed."""

import json

import pytest

from billing.kernel.models import Job

pytestmark = [pytest.mark.django_db, pytest.mark.urls("billing.kernel.tests.wire")]
BASE = "/api/v1/enterprise-billing"
JOBS, ECHO = f"{BASE}/jobs", f"{BASE}/echo"

BAD_BODIES = {
    "nothing": (b"", 400),
    "not JSON": (b"{kind: report}", 400),
    "cut off": (b'{"kind": "rep', 400),
    "two values": (b'{"kind": "a"} {"kind": "b"}', 400),
    "a list": (b'[{"kind": "report"}]', 400),
    "a string": (b'"report"', 400),
    "null": (b"null", 400),
    "not UTF-8": (b'{"kind": "\xff"}', 400),
    "UTF-16": ('{"kind": "report"}'.encode("utf-16"), 400),
    "a byte order mark": (b'\xef\xbb\xbf{"kind": "report"}', 400),
    "an encoded surrogate": (b'{"kind": "\xed\xa0\x80"}', 400),
    "NUL in a value": (rb'{"kind": "a\u0000b"}', 400),
    "NUL in a name": (rb'{"ki\u0000nd": "report"}', 400),
    "a raw NUL": (b'{"kind": "a\x00b"}', 400),
    "a lone surrogate": (rb'{"kind": "a\ud800b"}', 400),
    "a lone surrogate in a name": (rb'{"\udc00": "report"}', 400),
    "a name twice": (b'{"kind": "a", "kind": "b"}', 400),
    "a name twice, one escaped": (rb'{"kind": "a", "k\u0069nd": "b"}', 400),
    "a name twice, inside": (b'{"kind": "a", "lines": [{"amount": "1", "amount": "2"}]}', 400),
    "NaN": (b'{"kind": "a", "total": NaN}', 400),
    "Infinity": (b'{"kind": "a", "total": -Infinity}', 400),
    "1e999": (b'{"kind": "a", "total": 1e999}', 400),
    "a huge exponent": (b'{"kind": "a", "total": 1e99999999999999999999}', 400),
    "a huge integer": (b'{"kind": "a", "total": ' + b"9" * 5000 + b"}", 400),
    "21 deep": (b'{"kind": ' + b"[" * 20 + b"]" * 20 + b"}", 400),
    "1,000 deep": (b'{"kind": ' + b"[" * 1000 + b"]" * 1000 + b"}", 400),
    "100,000 deep": (b'{"kind": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", 400),
    "100,000 deep, never closed": (b'{"a":' * 100_000, 400),
    "deep behind quotes": (b'{"kind": "\\"' + b'", "x": ' + b"[" * 1000 + b"]" * 1000 + b"}", 400),
    "a million quotes": (b'{"kind": ' + b'"\\' * 300_000, 400),
    "too large": (b'{"kind": "' + b"a" * (1 << 20) + b'"}', 413),
    "an unknown member": (b'{"kind": "report", "kinds": "report"}', 400),
    "an unknown member inside": (
        b'{"kind": "a", "lines": [{"amount": "1", "currency": "EUR", "tax": "1"}]}',
        400,
    ),
}


@pytest.mark.parametrize(("body", "status"), BAD_BODIES.values(), ids=BAD_BODIES)
def test_a_bad_body_is_refused_and_nothing_changes(api, body, status):
    answer = api().generic("POST", JOBS, body, content_type="application/json")

    assert_is_problem(answer, status)
    assert not Job.objects.exists()


BAD_VALUES = {
    "kind": [None, 1, True, "", " ", " a", "a ", "a\nb", "a\u202eb", "a\u0007", [], {}, "a" * 65],
    "amount": [
        1250,
        12.5,
        True,
        [],
        "",
        " 5 ",
        "5 ",
        "1e3",
        "1E3",
        "1_000",
        "1,000",
        "-0",
        "-0.00",
        "+1",
        "01",
        ".5",
        "5.",
        "NaN",
        "sNaN",
        "Infinity",
        "-Infinity",
        "١٢٣",
        "１２３",
        "0x10",
        "1.00000",
        "1000000000000000",
        "1\n",
        "1\u0000",
    ],
    "rate": [1, 0.5, "1e-3", "-0", "0.1234567890123", "10000000000000000", "١"],
    "currency": [1, None, "eur", "EURO", "XXX", "XTS", "€", "", "XAU"],
    "total": ["5", 5.0, 5.5, True, -1, 2**31, 10**18, [1]],
    "on": [
        "2026-02-30",
        "2026-1-1",
        "20260101",
        "2026-W01-1",
        "1899-12-31",
        "3000-01-01",
        "0001-01-01",
        "9999-12-31",
        "٢٠٢٦-٠١-٠١",
        "2026-01-01T00:00:00Z",
        20260101,
        "",
        " 2026-01-01",
    ],
    "at": [
        "2026-01-01T00:00:00",
        "2026-01-01",
        "2026-12-31T23:59:60Z",
        "1899-12-31T23:59:59Z",
        1767225600,
        "9999-12-31T23:59:59-01:00",
        "2026-01-01 00:00:00Z",
        "2026-01-01T24:00:00Z",
        "2026-01-01T00:00:00+25:00",
    ],
    "urgent": ["true", "false", 1, 0, "yes", None, [], {}],
    "country": ["de", "DEU", "XX", "EU", "ZZ", 49, ""],
    "time_zone": ["Europe/Atlantis", "CET+1", "../../etc/passwd", "", 1, "Factory"],
    "state": ["QUEUED", "gone", 1, None, "", ["queued"], {}],
    "entity": [
        "1",
        1,
        "",
        "0197f3c28d5e7a319b2c4f60a1d2e3f4",
        "urn:uuid:0197f3c2-8d5e-7a31-9b2c-4f60a1d2e3f4",
        "{0197f3c2-8d5e-7a31-9b2c-4f60a1d2e3f4}",
        "0197f3c2-8d5e-7a31-9b2c-4f60a1d2e3fg",
        None,
    ],
    "note": ["a\u0000", "a\u001b[31m", 5, "\n"],
    "lines": [{}, "a", None, [1], [[]], [None], [{"amount": "1"}]],
}


@pytest.mark.parametrize(
    ("field", "value"),
    [(field, value) for field, values in BAD_VALUES.items() for value in values],
    ids=repr,
)
def test_a_bad_value_is_refused_at_its_field_and_nothing_changes(api, field, value):
    body = json.dumps({"kind": "report"} | {field: value}).encode()

    answer = api().generic("POST", JOBS, body, content_type="application/json")

    assert_is_problem(answer, 400)
    assert not Job.objects.exists()
    if "errors" in answer.json():
        assert {error["field"].split("[")[0] for error in answer.json()["errors"]} == {field}


@pytest.mark.parametrize(
    ("amount", "currency", "status"),
    [
        ("1.005", "EUR", 400),
        ("1.5", "JPY", 400),
        ("1.0005", "KWD", 400),
        ("1.005", "KWD", 201),
        ("1.50", "EUR", 201),
        ("1.000", "EUR", 201),
        ("-999999999999999.99", "USD", 201),
    ],
)
def test_an_amount_has_no_more_decimals_than_its_currency(api, amount, currency, status):
    answer = api().post(JOBS, {"kind": "report", "amount": amount, "currency": currency})
    assert answer.status_code == status


def test_every_complaint_is_given_at_once_with_its_place(api):
    line = {"amount": "1.00", "currency": "EUR"}
    answer = api().post(JOBS, {"total": -1, "lines": [line, {"amount": 5, "x": 1}], "unknown": 1})

    assert sorted((error["field"], error["code"]) for error in answer.json()["errors"]) == [
        ("kind", "required"),
        ("lines[1].amount", "not-text"),
        ("lines[1].currency", "required"),
        ("lines[1].x", "unknown"),
        ("total", "min-value"),
        ("unknown", "unknown"),
    ]


def test_a_syntax_error_says_where(api):
    answer = api().generic("POST", JOBS, b'{\n "kind": report}', content_type="application/json").json()
    assert (answer["code"], answer["line"], answer["column"]) == ("malformed-body", 2, 10)


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "application/xml",
        "multipart/form-data; boundary=x",
        "application/x-www-form-urlencoded",
        "application/json; charset=utf-16",
        "application/json; charset=latin-1",
        "text/json",
        "",
        "*/*",
        "a/b/c",
    ],
)
def test_another_content_type_is_refused(api, content_type):
    answer = api().generic("POST", JOBS, b'{"kind": "report"}', content_type=content_type)
    assert_is_problem(answer, 415)
    assert not Job.objects.exists()


@pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=UTF-8"])
def test_json_in_utf_8_is_taken(api, content_type):
    body = '{"kind": "Übertrag 😀"}'.encode()
    assert api().generic("POST", JOBS, body, content_type=content_type).status_code == 201
    assert Job.objects.get().kind == "Übertrag 😀"


def test_twenty_levels_are_taken_and_a_view_may_take_lists(api):
    body = b"[" * 20 + b"]" * 20
    assert api().generic("POST", ECHO, body, content_type="application/json").status_code == 200


def test_a_view_may_have_its_own_limit_of_bytes(api):
    answer = api().generic("POST", ECHO, b'["' + b"a" * 2000 + b'"]', content_type="application/json")
    assert_is_problem(answer, 413)
    assert answer.json()["bytes_max"] == 2000


def test_a_body_without_a_length_is_refused(api):
    answer = api().generic(
        "POST", JOBS, b"", content_type="application/json", HTTP_TRANSFER_ENCODING="chunked"
    )
    assert_is_problem(answer, 411)


BAD_QUERIES = ["?stat=queued", "?state=", "?state=gone", "?state=Queued", "?kind=a&kind=b", "?limit=0"]
BAD_QUERIES += [
    "?limit=201",
    "?limit=-1",
    "?limit=1.5",
    "?limit=abc",
    "?limit=%D9%A1",
    "?limit=1_0",
    "?limit=%2B1",
]
BAD_QUERIES += [
    "?limit=1&limit=2",
    "?limit=",
    "?cursor=x",
    "?cursor=",
    "?order_by=secret",
    "?order_by=--kind",
]
BAD_QUERIES += [
    "?order_by=kind,total",
    "?order_by=entity__owner__password",
    "?count=1",
    "?count=TRUE",
    "?page=2",
]
BAD_QUERIES += ["?entity=1", "?entity=0197f3c28d5e7a319b2c4f60a1d2e3f4", "?created_after=yesterday"]
BAD_QUERIES += [
    "?created_after=2026-01-01",
    "?created_on=01/02/2026",
    "?created_on=2026-02-30",
    "?attempts=1e3",
]
BAD_QUERIES += [
    "?attempts=%205",
    "?attempts=%D9%A1",
    "?attempts=NaN",
    "?attempts=1_0",
    "?finished=1",
    "?finished=True",
]
BAD_QUERIES += [
    "?done_min=x",
    "?done=5",
    "?done_min=%205",
    "?fields=id,secret",
    "?fields=requested_by",
    "?expand=x",
]
BAD_QUERIES += ["?kind=%00", "?kind=%ff", "?kind=%ed%a0%80", "?%00=1", "?search=", "?search=" + "a" * 201]
BAD_QUERIES += ["?kind__startswith=a", "?_connector=OR", "?kind=a%0Ab", "?state[]=queued", "?id=1"]
BAD_QUERIES += ["?" + "&".join(f"a{i}=1" for i in range(1100))]


@pytest.mark.parametrize("query", BAD_QUERIES, ids=lambda query: query[:40])
def test_a_bad_parameter_is_refused_and_not_ignored(api, query):
    assert_is_problem(api().get(JOBS + query), 400)


@pytest.mark.parametrize("query", ["?limit=5", "?state=queued", "?x=1", "?search=a", "?count=true"])
def test_one_object_takes_no_parameters_of_lists(api, query):
    job = Job.objects.create(kind="report", requested_by="user:1")
    answer = api().get(f"{JOBS}/{job.pk}{query}")
    assert_is_problem(answer, 400)
    assert answer.json()["code"] == "unknown-parameter"


@pytest.mark.parametrize(
    "query", ["", "?as_of=2026-13-01", "?as_of=2026-01-01&depth=0", "?as_of=2026-01-01&deep=1"]
)
def test_an_actions_own_parameters_are_as_strict(api, query):
    assert_is_problem(api().get(f"{JOBS}/tree{query}"), 400)


def test_an_actions_own_parameters_are_read(api):
    answer = api().get(JOBS + "/tree?as_of=2026-01-31&depth=3&deep=true")
    assert answer.json() == {"as_of": "2026-01-31", "depth": "3", "deep": "True"}


@pytest.mark.parametrize(
    "path",
    ["1", "None", "0197f3c28d5e7a319b2c4f60a1d2e3f4", "%00", "%ff", "..%2F..", "0197f3c2-8d5e-7a31", "x/y"],
)
def test_a_malformed_id_is_not_found(api, path):
    answer = api().get(f"{JOBS}/{path}")
    assert answer.status_code in {400, 404}
    assert_is_problem(answer, answer.status_code)


def test_unknown_and_malformed_ids_are_the_same_answer(api):
    unknown = api().get(f"{JOBS}/0197f3c2-8d5e-7a31-9b2c-4f60a1d2e3f4").json()
    malformed = api().get(f"{JOBS}/nothing").json()
    own = {"request_id", "instance"}
    assert {k: v for k, v in unknown.items() if k not in own} == {
        k: v for k, v in malformed.items() if k not in own
    }


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "TRACE", "BREW"])
def test_a_method_without_an_action_is_refused(api, method):
    answer = api().generic(method, JOBS)
    assert_is_problem(answer, 405)
    assert "GET" in answer["Allow"]


def test_another_accepted_type_is_refused(api):
    assert_is_problem(api().get(JOBS, HTTP_ACCEPT="text/csv"), 406)


def assert_is_problem(answer, status: int) -> None:
    assert answer.status_code == status, answer.content[:500]
    assert answer["Content-Type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == status
    assert body["type"].endswith("/problems/" + body["code"])
    assert body["request_id"] == answer["X-Request-Id"]
    assert body["title"]
