"""The Celery application. Its settings are the CELERY_* ones; queues and routes are named there, the
periodic tasks in `config.schedule`."""

import os

from celery import Celery, Task
from celery.signals import beat_init, celeryd_init, setup_logging
from django.conf import settings

from billing.kernel.context import acting
from billing.kernel.statement_timeout import no_statement_timeout
from config.embedded import valkey

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.local")


class ActingTask(Task):
    """Whatever a task changes is written down as its doing, under the id of this run."""

    def __call__(self, *args, **kwargs):
        with acting(actor=f"task:{self.name}", request_id=self.request.id or ""), no_statement_timeout():
            return super().__call__(*args, **kwargs)


app = Celery("billing", task_cls=ActingTask)
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@celeryd_init.connect
@beat_init.connect
def start_embedded_broker(**_: object) -> None:
    if settings.EMBEDDED_VALKEY:
        valkey(settings.EMBEDDED_VALKEY)


@setup_logging.connect
def leave_logging_alone(**_: object) -> None:
    """Celery configures no logging where somebody listens to this signal: settings.LOGGING stands."""
