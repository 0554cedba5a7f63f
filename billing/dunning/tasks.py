"""What the queue may ask of dunning. Every task may be delivered twice."""

import logging
from uuid import UUID

from celery import shared_task
from django.utils import timezone

from billing.dunning import services
from billing.dunning.queries import sellers_due
from billing.kernel.errors import Unavailable

logger = logging.getLogger(__name__)


@shared_task(name="dunning.run_dunning")
def run_dunning(**_: object) -> None:
    """Each seller's once on its own business day. Where others were in the way the next hour goes on."""
    for seller, today in sellers_due(at=timezone.now()):
        try:
            services.run_dunning(actor="task:dunning.run_dunning", seller_id=seller.pk, as_of=today)
        except Unavailable as error:
            logger.warning("dunning goes on later", extra={"seller": seller.code, "reason": error.detail})


@shared_task(name="dunning.send_mail")
def send_mail(*, mail_id: str, **_: object) -> None:
    services.send_mail(actor="task:dunning.send_mail", mail_id=UUID(mail_id))


@shared_task(name="dunning.sweep_mails")
def sweep_mails(**_: object) -> None:
    services.sweep_mails(actor="task:dunning.sweep_mails")
