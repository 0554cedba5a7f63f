"""What the queue may ask of subscriptions. Every task may be delivered twice."""

from celery import shared_task
from django.utils import timezone

from billing.subscriptions import services


@shared_task(name="subscriptions.expire_licenses")
def expire_licenses(**_: object) -> None:
    services.expire_licenses(actor="task:subscriptions.expire_licenses", as_of=timezone.now())


@shared_task(name="subscriptions.roll_forward")
def roll_forward(**_: object) -> None:
    services.roll_everything_forward(actor="task:subscriptions.roll_forward", at=timezone.now())
