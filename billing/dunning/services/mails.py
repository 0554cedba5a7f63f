"""Sending letters, as `billing.kernel.mailing` sends mails: not once nothing they ask for is open."""

from uuid import UUID

from billing.dunning.models import DunningMail
from billing.invoicing.states import InvoiceState
from billing.kernel.mailing import sending


def send_mail(*, actor: str, mail_id: UUID) -> bool:
    """As `sending.send_mail`."""
    return sending.send_mail(LETTERS, actor=actor, mail_id=mail_id)


def sweep_mails(*, actor: str, limit: int = 200) -> int:
    """As `sending.sweep_mails`."""
    return sending.sweep_mails(LETTERS, actor=actor, limit=limit)


def retry_mail(*, actor: str, mail_id: UUID, reason: str, version: int | None = None) -> DunningMail:
    """As `sending.retry_mail`. Raises NotFound, PreconditionFailed, IllegalMove, MailStillUnderWay."""
    return sending.retry_mail(LETTERS, actor=actor, mail_id=mail_id, reason=reason, version=version)


def confirm_mail(*, actor: str, mail_id: UUID, reason: str, version: int | None = None) -> DunningMail:
    """As `sending.confirm_mail`. Raises NotFound, PreconditionFailed, IllegalMove, MailStillUnderWay."""
    return sending.confirm_mail(LETTERS, actor=actor, mail_id=mail_id, reason=reason, version=version)


def _why_not(mail: DunningMail) -> str:
    still_open = mail.notices.filter(invoice__state=InvoiceState.ISSUED).exists()
    return "" if still_open else "Nothing is open any more."


LETTERS = sending.Post(model=DunningMail, name="dunning_mail", task="dunning.send_mail", why_not=_why_not)
