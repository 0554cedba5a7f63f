"""What the queue may ask of approvals. Every task may be delivered twice."""

from uuid import UUID

from celery import shared_task
from django.utils import timezone

from approvals import services


@shared_task(name="approvals.expire_requests")
def expire_requests(**_: object) -> None:
    services.expire_requests(actor="task:approvals.expire_requests", as_of=timezone.now().date())


@shared_task(name="approvals.remind_approvers")
def remind_approvers(**_: object) -> None:
    services.remind_approvers(actor="task:approvals.remind_approvers", as_of=timezone.now().date())


@shared_task(name="approvals.send_mail")
def send_mail(*, mail_id: str, **_: object) -> None:
    services.send_mail(actor="task:approvals.send_mail", mail_id=UUID(mail_id))


@shared_task(name="approvals.sweep_mails")
def sweep_mails(**_: object) -> None:
    services.sweep_mails(actor="task:approvals.sweep_mails")
