"""Periodic tasks exist, go to queues that workers consume, and may run twice."""

from datetime import timedelta

import pytest
from django.conf import settings

from billing.kernel.context import current
from config import celery_app
from config.schedule import SCHEDULE


@pytest.fixture(scope="module")
def tasks():
    celery_app.loader.import_default_modules()
    return celery_app.tasks


@pytest.mark.parametrize("name", SCHEDULE)
def test_a_scheduled_task_is_known_to_the_workers(tasks, name):
    assert SCHEDULE[name]["task"] in tasks


@pytest.mark.parametrize("name", SCHEDULE)
def test_a_scheduled_message_expires_before_messages_pile_up(name):
    entry = SCHEDULE[name]
    interval = entry["schedule"]
    seconds = interval.total_seconds() if isinstance(interval, timedelta) else 24 * 3600
    assert entry["options"]["expires"] == seconds


def test_every_route_leads_to_a_queue_that_workers_consume():
    consumed = {queue.name for queue in settings.CELERY_TASK_QUEUES}
    routed = {route["queue"] for route in settings.CELERY_TASK_ROUTES.values()}
    assert {*routed, settings.CELERY_TASK_DEFAULT_QUEUE} <= consumed


def test_each_queue_has_its_own_key_so_that_no_message_lands_in_two():
    queues = settings.CELERY_TASK_QUEUES
    assert [queue.routing_key for queue in queues] == [queue.name for queue in queues]
    assert [queue.exchange.name for queue in queues] == [queue.name for queue in queues]


def test_the_scheduler_keeps_no_file_so_that_two_of_them_do_not_fight_over_it():
    assert settings.CELERY_BEAT_SCHEDULER == "celery.beat:Scheduler"


@pytest.mark.django_db
def test_a_task_acts_under_its_own_name():
    @celery_app.task(name="config.tests.who", shared=False)
    def who() -> str:
        return current().actor

    try:
        assert who() == "task:config.tests.who"
        assert current().actor == ""
    finally:
        celery_app.tasks.unregister("config.tests.who")
