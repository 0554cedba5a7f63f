import re
from itertools import count

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.urls import reverse
from django.utils import timezone

from billing.kernel.context import acting
from billing.kernel.hooks import rows_in_reach
from billing.kernel.models import AuditEntry, DeliveryState, EventDelivery, Job
from billing.kernel.sealing import seal_audit
from billing.kernel.tests.console import Granted
from billing.kernel.tests.makers import make_delivery, make_line

PAGES = ["auditentry", "auditseal", "outboxevent", "eventdelivery", "job"]
VIEW = {f"kernel.view_{page}" for page in PAGES}
RETRY = "kernel.retry_delivery"
_serial = count(1)


@pytest.fixture(autouse=True)
def console(settings):
    """Without the middlewares, grants and entities of the apps above."""
    settings.ROOT_URLCONF = "billing.kernel.tests.console"
    settings.AUTHENTICATION_BACKENDS = ["billing.kernel.tests.console.Granted"]
    settings.MIDDLEWARE = [
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
    ]
    with rows_in_reach.only(lambda rows, reader, verb, entity_id: rows):
        yield


@pytest.fixture
def reader(client, db, monkeypatch):
    """A signed-in person with the permissions named: `reader(*permissions, only=None)`."""

    def sign_in(*permissions, only=None):
        monkeypatch.setattr(Granted, "permissions", set(permissions))
        monkeypatch.setattr(Granted, "only", only)
        person = get_user_model()._default_manager.create(
            email=f"reader{next(_serial)}@example.com", name="Ada Reader", password="!"
        )
        client.force_login(person, backend="billing.kernel.tests.console.Granted")
        return person

    return sign_in


def make_dead(**overrides) -> EventDelivery:
    return make_delivery(**{"state": DeliveryState.DEAD, "attempts": 12, "last_error": "broken"} | overrides)


def retry_url(delivery) -> str:
    return reverse("admin:kernel_eventdelivery_action_retry", args=[delivery.pk])


def once_of(page) -> str:
    return re.search(r'name="once" value="(\w+)"', page.content.decode())[1]


def states(*deliveries) -> list[str]:
    return [EventDelivery.objects.get(pk=delivery.pk).state for delivery in deliveries]


@pytest.mark.parametrize("page", PAGES)
def test_every_list_and_object_page_opens_and_offers_no_change(client, reader, page):
    reader(*VIEW)
    make_line()
    seal_audit()
    delivery = make_delivery()
    job = Job.objects.create(kind="test.work", requested_by="user:1", done=1, total=3)
    objects = {
        "auditentry": AuditEntry.objects.first().pk,
        "auditseal": 1,
        "outboxevent": delivery.event_id,
        "eventdelivery": delivery.pk,
        "job": job.pk,
    }

    listed = client.get(reverse(f"admin:kernel_{page}_changelist"))
    opened = client.get(reverse(f"admin:kernel_{page}_change", args=[objects[page]]))

    assert (listed.status_code, opened.status_code) == (200, 200)
    assert client.get(reverse(f"admin:kernel_{page}_add")).status_code == 403
    assert client.post(reverse(f"admin:kernel_{page}_delete", args=[objects[page]])).status_code == 403
    assert b'name="_save"' not in opened.content


def test_without_the_permission_there_is_nothing_to_see(client, reader):
    reader("kernel.view_job")
    assert client.get(reverse("admin:kernel_auditentry_changelist")).status_code == 403


def test_rows_are_nobodys_until_an_app_says_whose_they_are(client, reader):
    reader(*VIEW)
    make_line(action="secret.done")

    with rows_in_reach.only():
        listed = client.get(reverse("admin:kernel_auditentry_changelist"))

    assert listed.status_code == 200
    assert "secret.done" not in listed.content.decode()


def test_the_list_costs_the_same_for_few_and_many(client, reader, django_assert_num_queries):
    reader(*VIEW)
    url = reverse("admin:kernel_eventdelivery_changelist")

    def cost(rows):
        for _ in range(rows):
            make_delivery()
        with connection.execute_wrapper(counter):
            seen.clear()
            client.get(url)
        return len(seen)

    seen = []

    def counter(execute, sql, params, many, context):
        seen.append(sql)
        return execute(sql, params, many, context)

    cost(1)
    assert cost(1) == cost(20)


def test_the_menu_shows_what_exists_and_may_be_seen(client, reader):
    reader("kernel.view_job", "invoicing.view_nothing")
    page = client.get(reverse("admin:kernel_job_changelist")).content.decode()

    assert reverse("admin:kernel_job_changelist") in page
    assert reverse("admin:kernel_auditentry_changelist") not in page
    assert "Enterprise billing" in page


def test_the_history_says_who_did_what_when_and_which_fields_changed(client, reader):
    person = reader("access.view_user", "kernel.view_eventdelivery")
    delivery = make_delivery()
    make_line(
        subject_type="outbox_deliveries",
        subject_id=str(delivery.pk),
        action="delivery.retried",
        actor=f"user:{person.pk}",
        ip="192.0.2.7",
        request_id="req-1",
        reason="because",
        before={"state": "dead"},
        after={"state": "pending"},
    )
    make_line(subject_type="outbox_deliveries", subject_id="another", action="other.thing")

    page = client.get(reverse("admin:kernel_eventdelivery_history", args=[delivery.pk])).content.decode()

    for text in ("Ada Reader", "delivery.retried", "192.0.2.7", "req-1", "because", ">dead<", ">pending<"):
        assert text in page
    assert "other.thing" not in page


def test_the_history_is_paged(client, reader, django_assert_max_num_queries):
    reader(*VIEW)
    delivery = make_delivery()
    for number in range(60):
        make_line(subject_type="outbox_deliveries", subject_id=str(delivery.pk), action=f"step.{number}.")
    url = reverse("admin:kernel_eventdelivery_history", args=[delivery.pk])

    newest = client.get(url).content.decode()
    oldest = client.get(url, {"page": 2}).content.decode()

    assert "step.59." in newest
    assert "step.9." not in newest
    assert "step.9." in oldest


def test_the_button_is_there_only_where_the_action_is_granted_and_applies(client, reader):
    dead, pending = make_dead(), make_delivery()

    def offered(delivery):
        page = client.get(reverse("admin:kernel_eventdelivery_change", args=[delivery.pk]))
        return retry_url(delivery) in page.content.decode()

    reader(*VIEW, RETRY)
    assert (offered(dead), offered(pending)) == (True, False)
    reader(*VIEW)
    assert offered(dead) is False
    reader(*VIEW, RETRY, only={pending.pk})
    assert offered(dead) is False


def test_the_page_says_what_will_happen_and_does_nothing_yet(client, reader):
    reader(*VIEW, RETRY)
    dead = make_dead()

    page = client.get(retry_url(dead))

    text = page.content.decode()
    assert page.status_code == 200
    for part in ("The event is handed to its subscriber again", str(dead), 'name="reason"', 'name="confirm"'):
        assert part in text
    assert states(dead) == ["dead"]


def test_confirming_runs_the_service_once_however_often_it_is_clicked(client, reader, queued_jobs):
    person = reader(*VIEW, RETRY)
    dead = make_dead()
    answer = {"confirm": "yes", "reason": "fixed", "once": once_of(client.get(retry_url(dead)))}

    first = client.post(retry_url(dead), answer)
    EventDelivery.objects.filter(pk=dead.pk).update(state="dead")  # so that a second run would succeed
    second = client.post(retry_url(dead), answer, follow=True)

    assert first.status_code == 302
    assert first.url == reverse("admin:kernel_eventdelivery_change", args=[dead.pk])
    assert "nothing was done twice" in second.content.decode()
    assert states(dead) == ["dead"]
    line = AuditEntry.objects.get(action="delivery.retried")
    assert (line.actor, line.reason) == (f"user:{person.pk}", "fixed")


def test_a_form_that_is_not_filled_in_asks_again(client, reader):
    reader(*VIEW, RETRY)
    dead = make_dead()
    once = once_of(client.get(retry_url(dead)))

    page = client.post(retry_url(dead), {"confirm": "yes", "reason": "", "once": once})

    assert "This field is required" in page.content.decode()
    assert once_of(page) == once
    assert states(dead) == ["dead"]


def test_a_refusal_of_the_service_is_shown(client, reader):
    reader(*VIEW, RETRY)
    pending = make_delivery()

    page = client.post(retry_url(pending), {"confirm": "yes", "reason": "x", "once": "a"}, follow=True)

    assert "Cannot retry from &#x27;pending&#x27;." in page.content.decode()
    assert not AuditEntry.objects.filter(action="delivery.retried").exists()


@pytest.mark.parametrize("method", ["get", "post"])
def test_who_lacks_the_action_gets_neither_page_nor_effect(client, reader, method):
    reader(*VIEW)
    dead = make_dead()

    answer = getattr(client, method)(retry_url(dead), {"confirm": "yes", "reason": "x", "once": "a"})

    assert answer.status_code == 403
    assert states(dead) == ["dead"]


def test_an_unknown_object_is_not_found(client, reader):
    reader(*VIEW, RETRY)
    url = reverse("admin:kernel_eventdelivery_action_retry", args=["00000000-0000-0000-0000-000000000000"])
    assert client.get(url).status_code == 404


def test_the_list_action_asks_and_then_tells_of_each_object(client, reader):
    dead, pending, elsewhere = make_dead(), make_delivery(), make_dead()
    reader(*VIEW, RETRY, only={dead.pk, pending.pk})
    url = reverse("admin:kernel_eventdelivery_changelist")
    chosen = {
        "action": "action_retry",
        "_selected_action": [str(row.pk) for row in (dead, pending, elsewhere)],
    }

    question = client.post(url, chosen | {"index": "0"})
    assert question.status_code == 200
    assert str(elsewhere) not in question.content.decode()
    assert states(dead) == ["dead"]

    answer = chosen | {"confirm": "yes", "reason": "all of them", "once": once_of(question)}
    page = client.post(url, answer, follow=True).content.decode()

    assert states(dead, pending, elsewhere) == ["pending", "pending", "dead"]
    assert AuditEntry.objects.filter(action="delivery.retried").count() == 1
    assert "Retry: done." in page
    assert "Cannot retry from &#x27;pending&#x27;." in page
    assert "you may not do this here" in page


def test_the_list_offers_the_action_only_with_the_verb(client, reader):
    make_dead()
    url = reverse("admin:kernel_eventdelivery_changelist")
    reader(*VIEW, RETRY)
    assert b'value="action_retry"' in client.get(url).content
    reader(*VIEW)
    assert b'value="action_retry"' not in client.get(url).content
    page = client.post(url, {"action": "action_retry", "_selected_action": ["x"], "index": "0"})
    assert page.status_code in {200, 302, 403}
    assert EventDelivery.objects.get().state == "dead"


def test_the_trail_shows_who_acted_when_a_row_was_changed(client, reader):
    person = reader("access.view_user", *VIEW)
    with acting(actor="command:rename", ip="192.0.2.9"):
        get_user_model()._default_manager.filter(pk=person.pk).update(name="Ada New", is_active=True)

    line = AuditEntry.objects.filter(subject_id=str(person.pk), action="update").get()

    assert (line.before, line.after) == ({"name": "Ada Reader"}, {"name": "Ada New"})
    page = client.get(reverse("admin:kernel_auditentry_change", args=[line.pk])).content.decode()
    assert "command:rename" in page
    assert "Ada New" in page
    assert timezone.now() >= line.at
