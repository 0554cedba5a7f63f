"""What the queue may ask of dunning. Every task may be delivered twice."""

from uuid import UUID

from celery import shared_task

from billing.dunning import services
from billing.dunning.queries import sellers_with_policies
from billing.entities.queries import today_at


@shared_task(name="dunning.run_dunning")
def run_dunning(**_: object) -> None:
    """Each seller's on its own business day."""
    for seller in sellers_with_policies():
        services.run_dunning(actor="task:dunning.run_dunning", seller_id=seller.pk, as_of=today_at(seller))


@shared_task(name="dunning.send_mail")
def send_mail(*, mail_id: str, **_: object) -> None:
    services.send_mail(actor="task:dunning.send_mail", mail_id=UUID(mail_id))


@shared_task(name="dunning.sweep_mails")
def sweep_mails(**_: object) -> None:
    services.sweep_mails(actor="task:dunning.sweep_mails")
