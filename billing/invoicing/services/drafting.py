from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from itertools import count
from uuid import UUID

from django.db import transaction
from django.db.models import Q

from billing.entities.models import BillingEntity
from billing.invoicing.errors import NotTheSeller
from billing.invoicing.models import ChargeClaim, Invoice, InvoiceLine, InvoiceTax
from billing.invoicing.queries import FROM_SOURCES
from billing.invoicing.services.composing import Composed, compose
from billing.invoicing.services.taxing import TaxTable
from billing.invoicing.sources.charges import charge_lines
from billing.invoicing.sources.claiming import release_usage
from billing.invoicing.sources.making import SUBSCRIPTIONS, DraftLine
from billing.invoicing.sources.usage import usage_lines
from billing.invoicing.states import InvoiceState
from billing.kernel import audit
from billing.subscriptions import services as subscriptions

Key = tuple[UUID, str, str]  # customer, currency, what is invoiced


@transaction.atomic
def draft_invoices(
    *,
    actor: str,
    seller_id: UUID,
    customer_ids: Sequence[UUID],
    as_of: date,
    run_id: UUID | None = None,
) -> list[Invoice]:
    """Draft everything the customers owe by `as_of`, after rolling their subscriptions forward to it.

    Per customer and currency: one invoice for each month before that of `as_of` with usage outside a
    subscription, and one of all that subscriptions owe. Drafting again makes the drafts anew under their
    old ids; issued invoices are never touched. Usage that came too late for its invoice goes to the next,
    and a credit that would make a total negative waits for it.
    Raises NotTheSeller, PriceMissing, TaxRateMissing, and then nothing is drafted.
    """
    seller = BillingEntity.objects.get(pk=seller_id)
    if not seller.is_seller:
        raise NotTheSeller(f"{seller} does not sell.")
    # Everything about one customer's invoices happens one after the other.
    customers = {c.pk: c for c in BillingEntity.objects.locked().filter(pk__in=customer_ids)}
    subscriptions.roll_forward(actor=actor, entity_ids=list(customers), seller_id=seller.pk, as_of=as_of)
    previous = _take_back_drafts(seller=seller, customer_ids=list(customers))
    made = charge_lines(seller_id=seller.pk, customer_ids=list(customers), as_of=as_of)
    made += usage_lines(seller_id=seller.pk, customers=customers, as_of=as_of)

    taxes = TaxTable.load()
    numbers = _numbers_taken(seller=seller, customer_ids=list(customers), as_of=as_of, wanted=made)
    composed: list[Composed] = []
    waiting: list[DraftLine] = []
    for key, lines in _by_invoice(made).items():
        invoice = _invoice(key, lines, seller=seller, customers=customers, as_of=as_of, numbers=numbers)
        invoice.run_id = run_id
        if old := previous.get(key):
            invoice.id, invoice.version = old.pk, old.version + 1
        done, left = compose(invoice, lines, taxes=taxes, as_of=as_of)
        waiting += left
        if done:
            composed.append(done)
    release_usage([line.line_id for line in waiting if line.charge_id is None])
    _write(composed)
    invoices = [done.invoice for done in composed]
    audit.record_all(
        [audit.line(actor=actor, action="invoice.drafted", subject=invoice) for invoice in invoices]
    )
    return invoices


def _take_back_drafts(*, seller: BillingEntity, customer_ids: list[UUID]) -> dict[Key, Invoice]:
    """Delete the drafts with their lines and claims; their ids are used again."""
    drafts = list(
        Invoice.objects.locked().filter(
            FROM_SOURCES, seller=seller, customer_id__in=customer_ids, state=InvoiceState.DRAFT
        )
    )
    Invoice.objects.filter(pk__in=[draft.pk for draft in drafts]).delete()
    return {(draft.customer_id, draft.currency, _source_of(draft)): draft for draft in drafts}


def _source_of(invoice: Invoice) -> str:
    """There is one draft of all that is subscribed, whichever day it was made for."""
    key = invoice.billing_key
    return SUBSCRIPTIONS if key.startswith(f"{SUBSCRIPTIONS}:") else key


def _by_invoice(lines: Sequence[DraftLine]) -> dict[Key, list[DraftLine]]:
    """In the order of customers and currencies; what is charged stands before what was used."""
    found: dict[Key, list[DraftLine]] = {}
    for line in lines:
        found.setdefault((line.customer_id, line.currency, line.invoice_key), []).append(line)
    return {key: found[key] for key in sorted(found, key=lambda key: (str(key[0]), key[1], key[2]))}


def _invoice(
    key: Key,
    lines: Sequence[DraftLine],
    *,
    seller: BillingEntity,
    customers: Mapping[UUID, BillingEntity],
    as_of: date,
    numbers: Mapping[tuple[UUID, str], set[str]],
) -> Invoice:
    customer_id, currency, source = key
    invoice = Invoice(seller=seller, customer=customers[customer_id], currency=currency, billing_key=source)
    if source == SUBSCRIPTIONS:
        invoice.billing_key = _free_key(as_of, numbers.get((customer_id, currency), set()))
    else:
        invoice.period_starts_on = date.fromisoformat(source.removeprefix("usage:"))
        invoice.period_ends_on = month_after(invoice.period_starts_on)
    return invoice


def _free_key(as_of: date, taken: set[str]) -> str:
    """The day's own key, then #2, #3: more may become due after the day's invoice was issued."""
    first = f"{SUBSCRIPTIONS}:{as_of}"
    keys = (first if number == 1 else f"{first}#{number}" for number in count(1))
    return next(key for key in keys if key not in taken)


def _numbers_taken(
    *, seller: BillingEntity, customer_ids: list[UUID], as_of: date, wanted: Sequence[DraftLine]
) -> dict[tuple[UUID, str], set[str]]:
    """The keys of the day's live invoices, by customer and currency."""
    if not any(line.invoice_key == SUBSCRIPTIONS for line in wanted):
        return {}
    day = f"{SUBSCRIPTIONS}:{as_of}"
    live = Invoice.objects.filter(
        Q(billing_key=day) | Q(billing_key__startswith=f"{day}#"),
        seller=seller,
        customer_id__in=customer_ids,
    ).exclude(state=InvoiceState.VOID)
    taken: dict[tuple[UUID, str], set[str]] = {}
    for customer_id, currency, key in live.values_list("customer_id", "currency", "billing_key"):
        taken.setdefault((customer_id, currency), set()).add(key)
    return taken


def month_after(first: date) -> date:
    return (first + timedelta(days=31)).replace(day=1)


def _write(composed: Sequence[Composed]) -> None:
    Invoice.objects.bulk_create(done.invoice for done in composed)
    InvoiceLine.objects.bulk_create(line for done in composed for line in done.lines)
    InvoiceTax.objects.bulk_create(tax for done in composed for tax in done.taxes)
    ChargeClaim.objects.bulk_create(
        ChargeClaim(charge_id=charge_id, line_id=line_id)
        for done in composed
        for line_id, charge_id in done.charges.items()
    )
