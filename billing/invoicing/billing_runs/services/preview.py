from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from uuid import UUID

from django.conf import settings
from django.db import transaction

from billing.invoicing.drafting.services.drafts import draft_invoices
from billing.invoicing.invoices.services.numbering import number_text
from billing.invoicing.issuing.services.issue import issue_within_limits
from billing.invoicing.models import Invoice
from billing.invoicing.queries import customers_due
from billing.kernel.errors import DomainError, Unavailable
from billing.kernel.retrying import retrying


@dataclass
class BillingPreview:
    """What a run would issue to the first `customers_seen` of `customers_due` customers, by code.

    `waiting` are drafts that it would leave: they are above a limit, so approval by others issues them.
    """

    customers_due: int
    customers_seen: int
    invoices: list[Invoice] = field(default_factory=list)
    waiting: list[Invoice] = field(default_factory=list)
    refused: dict[UUID, DomainError] = field(default_factory=dict)


def preview_billing(*, seller_id: UUID, as_of: date, customers_max: int | None = None) -> BillingPreview:
    """What a run would issue, what it would leave to approval, and which customers it could not bill and why.
    Changes nothing.

    With `customers_max` only so many customers are tried, the first by code: a person waits for it. Numbers
    are those the invoices would have if nobody else issued meanwhile. Raises NotTheSeller, Unavailable.
    """
    due = list(customers_due(seller_id=seller_id, as_of=as_of).values_list("pk", flat=True))
    seen = due[:customers_max]
    preview = BillingPreview(customers_due=len(due), customers_seen=len(seen))
    for start in range(0, len(seen), settings.BILLING_RUN_CHUNK):
        _try(preview, seller_id, seen[start : start + settings.BILLING_RUN_CHUNK], as_of)
    return preview


def _try(preview: BillingPreview, seller_id: UUID, customer_ids: Sequence[UUID], as_of: date) -> None:
    """As the run does it: all at once, and what is refused as a whole in halves."""
    try:
        issued, waiting = _issued(seller_id, customer_ids, as_of)
    except Unavailable:
        raise
    except DomainError as error:
        if len(customer_ids) == 1:
            preview.refused[customer_ids[0]] = error
            return
        half = len(customer_ids) // 2
        for part in (customer_ids[:half], customer_ids[half:]):
            _try(preview, seller_id, part, as_of)
    else:
        preview.invoices += _numbered_after(preview.invoices, issued)
        preview.waiting += waiting


def _numbered_after(before: list[Invoice], previewed: list[Invoice]) -> list[Invoice]:
    """Each part was numbered as if it were the first to come."""
    taken = Counter(invoice.series for invoice in before)
    for invoice in previewed:
        invoice.sequence += taken[invoice.series]
        invoice.number = number_text(
            series=invoice.series, fiscal_year=invoice.fiscal_year, sequence=invoice.sequence
        )
    return previewed


@retrying
@transaction.atomic
def _issued(
    seller_id: UUID, customer_ids: Sequence[UUID], as_of: date
) -> tuple[list[Invoice], list[Invoice]]:
    """And what waits for approval. Undone for each part, so that nobody who issues waits for the numbers until the
    whole is seen."""
    drafts = draft_invoices(actor="preview", seller_id=seller_id, customer_ids=customer_ids, as_of=as_of)
    ids = [draft.pk for draft in drafts]
    invoices, above = issue_within_limits(actor="preview", invoice_ids=ids, issued_on=as_of)
    waiting = Invoice.objects.filter(pk__in=above).select_related("customer")
    ordered = list(waiting.order_by("customer__code", "currency", "period_starts_on", "pk")) if above else []
    transaction.set_rollback(True)
    return invoices, ordered
