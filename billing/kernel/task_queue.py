"""The only door to the task queue."""

from celery import current_app
from django.db import transaction


def enqueue(task: str, /, **kwargs: str | int | bool) -> None:
    """Queue `task` by name once the current transaction has committed (at once if there is none).

    By name, so that services never import tasks and tasks may freely import services. Robust,
    because a broker that is down must not turn a committed change into an error: the row that
    needs the work is still there, and a sweep will find it.
    """
    transaction.on_commit(lambda: current_app.send_task(task, kwargs=kwargs), robust=True)
