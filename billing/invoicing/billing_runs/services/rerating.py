from collections.abc import Sequence
from datetime import date
from uuid import UUID

from django.db import transaction
from django.db.models import Q, QuerySet

from billing.entities.models import BillingEntity
from billing.invoicing.drafting.services.drafts import draft_invoices
from billing.invoicing.errors import InvoiceHasSettlements, NothingToRerate
from billing.invoicing.issuing.services.void import void_invoice
from billing.invoicing.models import Invoice, InvoiceLine
from billing.invoicing.queries import made_anew
from billing.invoicing.states import InvoiceState
from billing.kernel import audit
from billing.kernel.errors import NotFound
from billing.kernel.versions import require_version
from billing.subscriptions import services as subscriptions


@transaction.atomic
def rerate_usage(
    *,
    actor: str,
    seller_id: UUID,
    customer_id: UUID,
    starts_on: date,
    ends_on: date,
    reason: str,
    as_of: date,
) -> list[Invoice]:
    """Rate anew, at today's prices and events, what the customer used in periods that start in [starts_on, ends_on).

    Every invoice with such usage: a draft is made anew; an issued one is voided and drafted anew, not issued.
    Returns the drafts. Raises InvoiceHasSettlements for one on which money or credit has moved, and then
    nothing changes; NothingToRerate if there is none; PriceMissing, TaxRateMissing.
    """
    found = Invoice.objects.filter(
        seller_id=seller_id,
        customer_id=customer_id,
        lines__derivation__from="usage",
        lines__service_starts_on__gte=starts_on,
        lines__service_starts_on__lt=ends_on,
    )
    wanted = found.exclude(state=InvoiceState.VOID).values("pk")
    return _rerate(seller_id, customer_id, wanted, actor=actor, reason=reason, as_of=as_of)


@transaction.atomic
def rerate_invoice(
    *, actor: str, invoice_id: UUID, reason: str, as_of: date, version: int | None = None
) -> list[Invoice]:
    """The same for the usage on one invoice. Raises NotFound, PreconditionFailed if it is no longer at `version`."""
    seen = Invoice.objects.filter(pk=invoice_id).first()
    if seen is None:
        raise NotFound("There is no such invoice.")
    return _rerate(
        seen.seller_id,
        seen.customer_id,
        [invoice_id],
        actor=actor,
        reason=reason,
        as_of=as_of,
        version=version,
    )


def _rerate(
    seller_id: UUID,
    customer_id: UUID,
    wanted: Sequence[UUID] | QuerySet,
    *,
    actor: str,
    reason: str,
    as_of: date,
    version: int | None = None,
) -> list[Invoice]:
    # All that voiding and drafting will lock, in the order of the tables, before either books anything.
    BillingEntity.objects.locked().get(pk=customer_id)
    subscriptions.roll_forward(actor=actor, seller_id=seller_id, entity_ids=[customer_id], as_of=as_of)
    drafts = Q(seller_id=seller_id, customer_id=customer_id) & made_anew(as_of=as_of)
    locked = set(Invoice.objects.locked().filter(drafts | Q(pk__in=wanted)).values_list("pk", flat=True))
    invoices = list(Invoice.objects.filter(pk__in=wanted).filter(pk__in=locked).order_by("pk"))
    if not invoices:
        raise NothingToRerate("No usage of that time is on an invoice.")
    require_version(invoices[0], version)
    before = {invoice.pk: _told(invoice) for invoice in invoices}
    for invoice in invoices:
        _require_open(invoice, has_usage=bool(before[invoice.pk]))
    for invoice in invoices:
        if invoice.state == InvoiceState.ISSUED:
            void_invoice(actor=actor, invoice_id=invoice.pk, voided_on=as_of, reason=reason)
    made = draft_invoices(actor=actor, seller_id=seller_id, customer_ids=[customer_id], as_of=as_of)
    after = [line for draft in made for line in _told(draft)]
    audit.record_all(
        [
            audit.line(
                actor=actor,
                action="usage.rerated",
                subject=invoice,
                reason=reason,
                detail={
                    "before": before[invoice.pk],
                    "after": [line for line in after if _key(line) in map(_key, before[invoice.pk])],
                    "drafts": [draft.pk for draft in made],
                },
            )
            for invoice in invoices
        ]
    )
    return made


def _require_open(invoice: Invoice, *, has_usage: bool) -> None:
    if not has_usage or invoice.state == InvoiceState.VOID:
        raise NothingToRerate(f"There is no usage to rate on {invoice}.")
    settled = invoice.paid_amount or invoice.credited_amount or invoice.written_off_amount
    if settled or invoice.state not in (InvoiceState.DRAFT, InvoiceState.ISSUED):
        raise InvoiceHasSettlements(
            f"{invoice} is settled, at least in part. Report a correction: it is billed as an adjustment."
        )


def _told(invoice: Invoice) -> list[dict]:
    lines = InvoiceLine.objects.filter(invoice=invoice, derivation__from="usage").select_related("product")
    return [
        {
            "invoice": str(invoice),
            "product": line.product.code,
            "description": line.description,
            "service_starts_on": str(line.service_starts_on),
            "quantity": line.derivation.get("quantity", str(line.quantity)),
            "exact": line.derivation["exact"],
            "net_amount": str(line.net_amount),
            "currency": line.currency,
        }
        for line in lines.order_by("position")
    ]


def _key(line: dict) -> tuple[str, str, str]:
    return line["product"], line["service_starts_on"], line["currency"]
