"""What the queue may ask of entities. Every task may be delivered twice."""

import logging

from celery import shared_task
from django.utils import timezone

from billing.entities import services

logger = logging.getLogger(__name__)


@shared_task(name="entities.apply_due_moves")
def apply_due_moves(**_: object) -> None:
    today = timezone.now().date()
    for outcome in services.apply_due_moves(actor="task:entities.apply_due_moves", as_of=today):
        if outcome.error:
            logger.error("the move of %s could not be made: %s", outcome.code, outcome.error)
