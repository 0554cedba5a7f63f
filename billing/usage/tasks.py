"""What the queue may ask of usage. Every task may be delivered twice."""

from celery import shared_task
from django.utils import timezone

from billing.usage import services


@shared_task(name="usage.make_partitions")
def make_partitions(**_: object) -> None:
    services.make_usage_partitions(as_of=timezone.now().date())
