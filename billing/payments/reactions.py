"""What payments adds when others ask."""

from collections.abc import Iterable
from uuid import UUID

from django.db.models import Q

from billing.entities.hooks import has_documents
from billing.invoicing.models import Invoice
from billing.invoicing.verification.services.timeline import Moment, tells
from billing.kernel.models import AuditEntry, AuditKind
from billing.payments.models import Payment


@tells
def payments_of(invoice: Invoice) -> Iterable[Moment]:
    """Every act by which a payment settled the invoice or a part of it."""
    payments = {str(p.pk): p for p in Payment.objects.filter(applications__invoice=invoice).distinct()}
    said = AuditEntry.objects.filter(
        subject_type="payments", subject_id__in=list(payments), kind=AuditKind.VERB
    ).order_by("id")
    for line in said:
        parts = line.detail.get("applied") or [line.detail]
        for part in parts:
            if part.get("invoice") == str(invoice.pk):
                payment = payments[line.subject_id]
                yield Moment(
                    at=line.at,
                    kind="payment",
                    what="payment.applied",
                    who=line.actor,
                    detail={
                        "payment": line.subject_id,
                        "reference": payment.reference,
                        "amount": part["amount"],
                        "currency": payment.currency,
                    },
                )


@has_documents
def has_payments(entity_id: UUID) -> bool:
    """Made or received, also ahead of any invoice."""
    return Payment.objects.filter(Q(seller_id=entity_id) | Q(customer_id=entity_id)).exists()
