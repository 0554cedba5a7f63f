"""What the queue may ask of invoicing. Every task may be delivered twice."""

from celery import shared_task
from django.utils import timezone

from billing.invoicing import services


@shared_task(name="invoicing.mark_past_due")
def mark_past_due(**_: object) -> None:
    services.review_standing(actor="task:invoicing.mark_past_due", as_of=timezone.now().date())
