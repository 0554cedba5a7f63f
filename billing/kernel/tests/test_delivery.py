from datetime import timedelta

import pytest
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from billing.kernel import delivery as outbox
from billing.kernel.advisory_locks import AdvisoryLock
from billing.kernel.context import current
from billing.kernel.delivery import deliver_event, pause_after, retry_delivery, sweep_outbox
from billing.kernel.errors import Conflict, IllegalMove
from billing.kernel.events import Event, publish, subscribe
from billing.kernel.models import AuditEntry, DeliveryState, EventDelivery, OutboxEvent
from billing.kernel.tests.makers import make_delivery
from billing.kernel.tests.races import start_rival

WORK = AdvisoryLock(name="test work", guards="The work of a test.")

PENDING, DELIVERED, DEAD = DeliveryState


class ThingHappened(Event):
    name = "thing.happened"


def heard(subscribers, name="test.reaction") -> list[dict]:
    payloads: list[dict] = []
    subscribers.setdefault("thing.happened", {})[name] = payloads.append
    return payloads


def refuse(payload):
    raise Conflict("Not today.")


def make_due(row: EventDelivery) -> None:
    EventDelivery.objects.filter(pk=row.pk).update(due_at=timezone.now() - timedelta(seconds=1))


@pytest.mark.django_db(transaction=True)
def test_an_event_reaches_every_subscriber_and_rings_once_for_each(subscribers, queued_jobs):
    first, second = [], []
    subscribe(ThingHappened, name="one.reacts")(first.append)
    subscribe(ThingHappened, name="two.reacts")(second.append)

    with transaction.atomic():
        publish(ThingHappened())
        assert queued_jobs == []  # nobody is told before the commit

    assert [task for task, _ in queued_jobs] == ["kernel.deliver_event"] * 2
    for _, arguments in queued_jobs:
        assert deliver_event(delivery_id=arguments["delivery_id"]) is True
    assert first == second == [{"entity_id": None}]
    assert set(EventDelivery.objects.values_list("state", "attempts")) == {(DELIVERED, 1)}


@pytest.mark.django_db(transaction=True)
def test_an_event_of_a_transaction_that_rolls_back_never_happened(subscribers, queued_jobs):
    heard(subscribers)

    with pytest.raises(Conflict), transaction.atomic():
        publish(ThingHappened())
        raise Conflict("no")

    assert queued_jobs == []
    assert not OutboxEvent.objects.exists()
    assert not EventDelivery.objects.exists()


@pytest.mark.django_db
def test_a_delivered_event_is_not_delivered_again(subscribers):
    payloads = heard(subscribers)
    row = make_delivery()

    assert deliver_event(delivery_id=row.pk) is True
    assert deliver_event(delivery_id=row.pk) is False

    assert payloads == [{"thing": "1"}]
    row.refresh_from_db()
    assert (row.state, row.attempts, row.last_error) == (DELIVERED, 1, "")
    assert row.delivered_at is not None


@pytest.mark.django_db
def test_the_reaction_acts_under_its_own_name(subscribers):
    seen = []
    subscribers["thing.happened"] = {"test.reaction": lambda payload: seen.append(current())}
    row = make_delivery()

    deliver_event(delivery_id=row.pk)

    assert (seen[0].actor, seen[0].request_id) == ("reaction:test.reaction", str(row.event_id))


@pytest.mark.django_db
def test_a_failing_reaction_leaves_its_error_and_is_put_off(subscribers):
    subscribers["thing.happened"] = {"test.reaction": refuse}
    row = make_delivery()

    before = timezone.now()
    assert deliver_event(delivery_id=row.pk) is False

    row.refresh_from_db()
    assert (row.state, row.attempts, row.last_error) == (PENDING, 1, "Conflict: Not today.")
    assert timedelta(seconds=-2) < row.due_at - before - timedelta(seconds=1) < timedelta(seconds=10)
    make_due(row)
    deliver_event(delivery_id=row.pk)
    row.refresh_from_db()
    assert row.attempts == 2


@pytest.mark.django_db
def test_a_delivery_that_is_not_due_is_left_alone(subscribers):
    payloads = heard(subscribers)
    row = make_delivery(due_at=timezone.now() + timedelta(minutes=1))

    assert deliver_event(delivery_id=row.pk) is False
    assert sweep_outbox() == 0

    row.refresh_from_db()
    assert (row.attempts, payloads) == (0, [])


@pytest.mark.django_db
def test_what_a_failed_reaction_wrote_is_gone_also_when_sql_failed(subscribers):
    def half(payload):
        OutboxEvent.objects.create(name="half.done", payload={})
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 / 0")

    subscribers["thing.happened"] = {"test.reaction": half}
    row = make_delivery()

    assert deliver_event(delivery_id=row.pk) is False

    assert not OutboxEvent.objects.filter(name="half.done").exists()
    row.refresh_from_db()
    assert row.last_error.startswith("DataError: division by zero")


def test_the_pauses_grow_fourfold_up_to_an_hour():
    seconds = [pause_after(attempt).total_seconds() for attempt in (1, 2, 3, 4, 5, 6, 7, 12, 500)]
    assert seconds == [1, 4, 16, 64, 256, 1024, 3600, 3600, 3600]


@pytest.mark.django_db
def test_the_last_attempt_makes_it_dead_and_a_person_may_retry(
    subscribers, queued_jobs, django_capture_on_commit_callbacks
):
    subscribers["thing.happened"] = {"test.reaction": refuse}
    row = make_delivery(attempts=outbox.ATTEMPTS_MAX - 1)

    deliver_event(delivery_id=row.pk)

    row.refresh_from_db()
    assert (row.state, row.attempts) == (DEAD, outbox.ATTEMPTS_MAX)
    with django_capture_on_commit_callbacks(execute=True):
        retry_delivery(delivery_id=row.pk, actor="user:1", reason="fixed")
    row.refresh_from_db()
    assert (row.state, row.attempts) == (PENDING, 0)
    assert queued_jobs == [("kernel.deliver_event", {"delivery_id": str(row.pk)})]
    line = AuditEntry.objects.get(action="delivery.retried")
    assert (line.actor, line.reason, line.subject_id) == ("user:1", "fixed", str(row.pk))
    payloads = heard(subscribers)
    assert deliver_event(delivery_id=row.pk) is True
    assert payloads == [{"thing": "1"}]


@pytest.mark.django_db
def test_a_worker_that_died_in_the_last_attempt_leaves_a_dead_delivery(subscribers):
    payloads = heard(subscribers)
    row = make_delivery(attempts=outbox.ATTEMPTS_MAX)

    assert deliver_event(delivery_id=row.pk) is False

    row.refresh_from_db()
    assert (row.state, payloads) == (DEAD, [])
    assert row.last_error == "Gave up: attempt 12 never came back."


@pytest.mark.django_db
@pytest.mark.parametrize("state", [PENDING, DELIVERED])
def test_only_a_dead_delivery_is_retried(state, queued_jobs):
    row = make_delivery(state=state, delivered_at=timezone.now() if state == DELIVERED else None, attempts=3)

    with pytest.raises(IllegalMove):
        retry_delivery(delivery_id=row.pk, actor="user:1")

    row.refresh_from_db()
    assert (row.state, row.attempts, queued_jobs) == (state, 3, [])
    assert not AuditEntry.objects.exists()


@pytest.mark.django_db
def test_a_subscriber_nobody_knows_is_dead_with_the_reason(subscribers):
    row = make_delivery(subscriber="gone.app")

    assert deliver_event(delivery_id=row.pk) is False

    row.refresh_from_db()
    assert (row.state, row.last_error) == (DEAD, "There is no subscriber named 'gone.app'.")


@pytest.mark.django_db
def test_a_failing_subscriber_holds_up_no_other(subscribers):
    payloads = heard(subscribers, "test.good")
    subscribers["thing.happened"]["test.bad"] = refuse
    event = OutboxEvent.objects.create(name="thing.happened", payload={"thing": "1"})
    bad = make_delivery(event=event, subscriber="test.bad")
    good = make_delivery(event=event, subscriber="test.good")

    assert sweep_outbox() == 1

    assert payloads == [{"thing": "1"}]
    assert [EventDelivery.objects.get(pk=row.pk).state for row in (bad, good)] == [PENDING, DELIVERED]


@pytest.mark.django_db
def test_the_sweep_takes_the_oldest_and_no_more_than_its_limit(subscribers):
    heard(subscribers)
    now = timezone.now()
    rows = [make_delivery(due_at=now - timedelta(minutes=minutes)) for minutes in (1, 3, 2)]

    assert sweep_outbox(limit=2) == 2

    states = [EventDelivery.objects.get(pk=row.pk).state for row in rows]
    assert states == [PENDING, DELIVERED, DELIVERED]


@pytest.mark.django_db(transaction=True)
def test_a_reaction_never_runs_twice_at_a_time(subscribers):
    """While one worker reacts, a second whose lease has run out finds the row locked."""
    runs = []

    def slow(payload):
        runs.append(1)
        WORK.take()  # as if the lease had run out in the middle of the work
        if len(runs) == 1:
            rival = start_rival(second_worker)
            rivals.append(rival)

    def second_worker():
        answer = deliver_event(delivery_id=row.pk)
        with transaction.atomic():
            WORK.take()  # so that start_rival can see it wait
        return answer

    rivals: list = []
    subscribers["thing.happened"] = {"test.reaction": slow}
    row = make_delivery()
    claim = outbox._claim(row.pk)
    make_due(row)

    assert outbox._react(claim, slow) is True

    assert rivals[0].result(timeout=5) is False
    assert runs == [1]
    row.refresh_from_db()
    assert (row.state, row.attempts) == (DELIVERED, 1)


@pytest.mark.django_db
def test_a_worker_that_lost_its_lease_does_not_react(subscribers):
    payloads = heard(subscribers)
    row = make_delivery()
    late = outbox._claim(row.pk)
    make_due(row)
    assert deliver_event(delivery_id=row.pk) is True

    assert outbox._react(late, payloads.append) is False

    assert payloads == [{"thing": "1"}]


@pytest.mark.django_db
def test_the_tables_refuse_a_delivery_that_moves_back():
    row = make_delivery(state=DELIVERED, delivered_at=timezone.now())

    with pytest.raises(DatabaseError, match="no move from delivered to pending"), transaction.atomic():
        EventDelivery.objects.filter(pk=row.pk).update(state=PENDING, delivered_at=None)

    row.refresh_from_db()
    assert row.state == DELIVERED
