"""Letters for the reminders of a day: one per customer, in the customer's language."""

from collections.abc import Mapping, Sequence
from datetime import date
from uuid import UUID

from django.conf import settings
from django.db.models import Exists, OuterRef

from billing.documents.core.wording import language_of
from billing.dunning.core.letters import Claim, letter_of, render
from billing.dunning.errors import NoAddressForReminders
from billing.dunning.models import DunningMail, DunningNotice, LateFee, LateFeeClaim
from billing.dunning.queries.plan import Due
from billing.dunning.states import FeeState, Template
from billing.entities.models import BillingEntity
from billing.kernel.ids import uuid7

_SEVERITY = list(Template.values)


def write_mails(
    letters: Mapping[UUID, Sequence[tuple[Due, DunningNotice]]],
    *,
    fees: Sequence[LateFee],
    seller: BillingEntity,
    customers: Mapping[UUID, BillingEntity],
    as_of: date,
) -> list[DunningMail]:
    """One unsaved letter per customer about all its invoices with a reminder due, in the words of the gravest;
    the notices point to it. Late fees noted so far and on no invoice yet, `fees` included, are named. Raises NoAddressForReminders."""
    if not letters:
        return []
    invoice_ids = [notice.invoice_id for told in letters.values() for _, notice in told]
    billed = LateFeeClaim.objects.filter(
        fee=OuterRef("pk"), released_at__isnull=True, line__invoice__number__isnull=False
    )
    noted = LateFee.objects.filter(~Exists(billed), invoice__in=invoice_ids, state=FeeState.TO_BE_BILLED)
    all_fees = [*noted, *(fee for fee in fees if fee.invoice_id in set(invoice_ids))]
    mails = []
    for customer_id, told in letters.items():
        mail = _write(
            told,
            fees=[fee for fee in all_fees if fee.customer_id == customer_id],
            seller=seller,
            customer=customers[customer_id],
            as_of=as_of,
        )
        for _, notice in told:
            notice.mail = mail
        mails.append(mail)
    return mails


def _write(
    told: Sequence[tuple[Due, DunningNotice]],
    *,
    fees: Sequence[LateFee],
    seller: BillingEntity,
    customer: BillingEntity,
    as_of: date,
) -> DunningMail:
    recipient = customer.email or _address_when_issued(told)
    if not recipient:
        raise NoAddressForReminders(f"{customer} has no e-mail address.", customer=str(customer.pk))
    template = max((due.letter.template for due, _ in told), key=_SEVERITY.index)
    language = language_of(customer.language)
    letter = letter_of(
        language=language,
        seller=seller.legal_name or seller.name,
        customer=customer.legal_name or customer.name,
        written_on=as_of,
        claims=[_claim(due) for due, _ in told],
        fees=[(fee.amount, fee.currency) for fee in fees],
    )
    rendered = render(template, letter)
    key = uuid7()
    return DunningMail(
        id=key,
        seller=seller,
        customer=customer,
        written_on=as_of,
        template=template,
        language=language,
        recipient=recipient,
        reply_to=seller.email,
        sender_name=seller.legal_name or seller.name,
        message_id=f"<dunning.{key}@{settings.EMAIL_FROM.rpartition('@')[2]}>",
        subject=rendered.subject,
        text=rendered.text,
        html=rendered.html,
    )


def _address_when_issued(told: Sequence[tuple[Due, DunningNotice]]) -> str:
    addresses = ((due.invoice.snapshot.get("customer") or {}).get("email") for due, _ in told)
    return next((address for address in addresses if address), "")


def _claim(due: Due) -> Claim:
    return Claim(
        number=due.invoice.number,
        issued_on=due.invoice.issued_on,
        due_on=due.invoice.due_on,
        days_late=due.days_late,
        open_amount=due.open_amount,
        asked=due.collectable_amount,
        currency=due.invoice.currency,
    )
