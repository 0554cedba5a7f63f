from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from billing.kernel.models import EventDelivery, Job, OutboxEvent

pytestmark = [pytest.mark.django_db, pytest.mark.urls("billing.kernel.tests.wire")]
BASE = "/api/v1/enterprise-billing"
JOBS, DELIVERIES = f"{BASE}/jobs", f"{BASE}/deliveries"
START = datetime(2026, 1, 1, tzinfo=UTC)


def make_job(number: int, **overrides) -> Job:
    values = {
        "kind": f"kind {number % 3}",
        "requested_by": "user:1",
        "total": None if number % 4 == 0 else number % 5,
        "created_at": START + timedelta(hours=number // 2),
    } | overrides
    return Job.objects.create(**values)


def pages(client, url: str, direction: str = "next") -> list[list[str]]:
    found = []
    while url:
        answer = client.get(url).json()
        found.append([row["id"] for row in answer["results"]])
        url = answer[direction]
    return found


@pytest.mark.parametrize("order", ["created_at", "-created_at", "kind", "-kind", "total", "-total"])
@pytest.mark.parametrize("limit", [1, 3, 7, 20])
def test_pages_show_every_row_once_in_order_and_backwards_too(api, order, limit):
    jobs = [make_job(number) for number in range(20)]
    client = api()

    forward = pages(client, f"{JOBS}?order_by={order}&limit={limit}")

    shown = [one for page in forward for one in page]
    falling, name = order.startswith("-"), order.removeprefix("-")
    expected = sorted(
        jobs,
        key=lambda job: (
            (getattr(job, name) is None, getattr(job, name) or 0, job.pk)
            if name == "total"
            else (getattr(job, name), job.pk)
        ),
        reverse=falling,
    )
    assert shown == [str(job.pk) for job in expected]

    url = f"{JOBS}?order_by={order}&limit={limit}"
    while True:
        answer = client.get(url).json()
        if not answer["next"]:
            break
        url = answer["next"]
    assert pages(client, url, "previous") == forward[::-1]


def test_rows_that_arrive_between_two_pages_hide_and_repeat_nothing(api):
    before = [str(make_job(number).pk) for number in range(6)]
    client = api()
    first = client.get(f"{JOBS}?order_by=created_at&limit=3").json()

    make_job(0, created_at=START - timedelta(days=1))
    late = make_job(9, created_at=START + timedelta(days=1))
    Job.objects.get(pk=UUID(before[4])).delete()

    rest = [one for page in pages(client, first["next"]) for one in page]
    assert [row["id"] for row in first["results"]] + rest == [*before[:4], before[5], str(late.pk)]


@pytest.mark.parametrize("url", [JOBS, f"{JOBS}?order_by=-kind", f"{DELIVERIES}?expand=event"])
def test_the_number_of_queries_does_not_grow_and_nothing_is_counted_or_skipped(api, url):
    for number in range(30):
        make_job(number)
        event = OutboxEvent.objects.create(name="thing.happened", payload={})
        EventDelivery.objects.create(event=event, subscriber="test")
    client = api()
    sign = "&" if "?" in url else "?"

    with CaptureQueriesContext(
        connection,
    ) as few:
        client.get(f"{url}{sign}limit=2")
    with CaptureQueriesContext(connection) as many:
        client.get(f"{url}{sign}limit=29")

    said = [query["sql"] for query in many if "set_config" not in query["sql"]]
    assert len(said) == len([query for query in few if "set_config" not in query["sql"]]) == 1
    assert "OFFSET" not in said[0]
    assert "COUNT" not in said[0].upper()


def test_a_total_is_counted_only_when_asked_for(api):
    for number in range(5):
        make_job(number)
    assert "count" not in api().get(f"{JOBS}?limit=2").json()
    assert api().get(f"{JOBS}?limit=2&count=true&kind=kind+0").json()["count"] == 2


def test_the_links_are_also_a_header(api):
    for number in range(3):
        make_job(number)
    answer = api().get(f"{JOBS}?limit=1")
    assert answer["Link"] == f'<{answer.json()["next"]}>; rel="next"'


def test_a_cursor_belongs_to_its_order_and_is_not_to_be_made_up(api):
    for number in range(3):
        make_job(number)
    client = api()
    cursor = client.get(f"{JOBS}?limit=1&order_by=kind").json()["next"].split("cursor=")[1].split("&")[0]

    other_order = client.get(f"{JOBS}?limit=1&order_by=-kind&cursor={cursor}")
    tampered = client.get(f"{JOBS}?limit=1&order_by=kind&cursor=A{cursor}")

    assert (other_order.status_code, other_order.json()["code"]) == (400, "invalid-cursor")
    assert (tampered.status_code, tampered.json()["code"]) == (400, "invalid-cursor")


def test_filters_may_be_repeated_where_they_are_choices(api):
    for state in ("queued", "running", "failed"):
        make_job(1, state=state, leased_until=START)
    answer = api().get(f"{JOBS}?state=queued&state=failed&order_by=created_at")
    assert [row["state"] for row in answer.json()["results"]] == ["queued", "failed"]


def test_search_looks_into_the_named_fields_only(api):
    wanted = make_job(1, kind="Monthly report")
    make_job(2, kind="import", requested_by="report")
    answer = api().get(f"{JOBS}?search=REPORT")
    assert [row["id"] for row in answer.json()["results"]] == [str(wanted.pk)]


def test_a_percent_sign_is_searched_for_as_such(api):
    make_job(1, kind="report")
    assert api().get(f"{JOBS}?search=%25").json()["results"] == []


def test_fields_leaves_the_rest_out_in_lists_and_objects(api):
    job = make_job(1)
    assert api().get(f"{JOBS}?fields=id,state").json()["results"] == [{"id": str(job.pk), "state": "queued"}]
    assert api().get(f"{JOBS}/{job.pk}?fields=state").json() == {"state": "queued"}


def test_expand_puts_the_object_where_its_id_was(api):
    event = OutboxEvent.objects.create(name="thing.happened", payload={})
    delivery = EventDelivery.objects.create(event=event, subscriber="test")
    client = api()
    url = f"{DELIVERIES}/{delivery.pk}"
    assert client.get(url).json()["event"] == str(event.pk)
    assert client.get(f"{url}?expand=event").json()["event"] == {
        "id": str(event.pk),
        "name": "thing.happened",
    }
    assert client.get(f"{url}?expand=subscriber").status_code == 400


def test_an_object_known_by_its_tag_is_not_sent_again(api):
    job = make_job(1)
    first = api().get(f"{JOBS}/{job.pk}")
    assert first["ETag"] == '"1"'

    again = api().get(f"{JOBS}/{job.pk}", HTTP_IF_NONE_MATCH='W/"7", "1"')
    assert (again.status_code, again.content, again["ETag"]) == (304, b"", '"1"')

    Job.objects.filter(pk=job.pk).update(kind="other")
    changed = api().get(f"{JOBS}/{job.pk}", HTTP_IF_NONE_MATCH='"1"')
    assert (changed.status_code, changed["ETag"]) == (200, '"2"')


@pytest.mark.parametrize(
    ("header", "status", "code"),
    [
        (None, 428, "precondition-required"),
        ('"7"', 412, "precondition-failed"),
        ("1", 400, "malformed-precondition"),
        ('W/"1"', 400, "malformed-precondition"),
        ('"1", "2"', 400, "malformed-precondition"),
        ('"01"', 400, "malformed-precondition"),
        ('"١"', 400, "malformed-precondition"),
    ],
)
def test_a_change_to_another_version_is_refused_and_changes_nothing(api, header, status, code):
    job = make_job(1)
    extra = {} if header is None else {"HTTP_IF_MATCH": header}

    answer = api().patch(f"{JOBS}/{job.pk}", {"kind": "other"}, **extra)

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    job.refresh_from_db()
    assert (job.kind, job.version) == ("kind 1", 1)


@pytest.mark.parametrize("header", ['"1"', "*"])
def test_a_change_to_the_version_seen_goes_through(api, header):
    job = make_job(1)
    answer = api().patch(f"{JOBS}/{job.pk}", {"kind": "other"}, HTTP_IF_MATCH=header)
    assert (answer.status_code, answer["ETag"], answer.json()["kind"]) == (200, '"2"', "other")


def test_a_created_object_is_shown_with_its_address_and_its_tag(api):
    answer = api().post(JOBS, {"kind": "report"})
    job = Job.objects.get()
    assert (answer.status_code, answer["ETag"]) == (201, '"1"')
    assert answer["Location"] == f"http://testserver{JOBS}/{job.pk}"
    assert answer.json() == api().get(answer["Location"]).json()


def test_queued_work_is_answered_with_the_address_of_its_job(api):
    job = make_job(1)
    answer = api().post(f"{JOBS}/{job.pk}/pay", HTTP_IDEMPOTENCY_KEY="1")
    assert (answer.status_code, answer["Location"]) == (202, f"http://testserver{JOBS}/{job.pk}")


def test_instants_are_shown_in_utc_whatever_time_zone_is_active(api, settings):
    settings.TIME_ZONE = "Asia/Tokyo"
    job = make_job(0)
    assert api().get(f"{JOBS}/{job.pk}").json()["created_at"] == "2026-01-01T00:00:00.000000Z"
