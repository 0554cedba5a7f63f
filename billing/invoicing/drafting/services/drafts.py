from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from itertools import chain, count
from uuid import UUID

from django.db import models, transaction
from django.db.models import Q

from billing.entities.models import BillingEntity
from billing.invoicing.discounts.services.application import DiscountTable
from billing.invoicing.drafting.hooks import SOURCES
from billing.invoicing.drafting.services.composition import Composed, compose
from billing.invoicing.drafting.services.one_off_lines import lines_as_they_stand
from billing.invoicing.drafting.services.usage_claims import release_usage
from billing.invoicing.errors import NotTheSeller
from billing.invoicing.invoices.core.draft_lines import NEXT, ONE_OFF, SUBSCRIPTIONS, DraftLine
from billing.invoicing.invoices.core.months import month_after
from billing.invoicing.models import DiscountUse, Invoice
from billing.invoicing.queries import made_anew
from billing.invoicing.services.taxing import TaxTable
from billing.invoicing.states import InvoiceState
from billing.kernel import audit
from billing.kernel.bulk import insert_rows
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
    subscription, one of all that subscriptions owe, and the one-off drafts whose day it is, as written. Drafting again makes the drafts anew under their
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
    previous, written = _take_back_drafts(seller=seller, customer_ids=list(customers), as_of=as_of)
    owed = [
        line for source in SOURCES for line in source(seller_id=seller.pk, customers=customers, as_of=as_of)
    ]
    made = written + _placed(owed)

    drafting = _Drafting(
        seller=seller,
        customers=customers,
        as_of=as_of,
        run_id=run_id,
        taxes=TaxTable.load(customer_ids=list(customers)),
        discounts=DiscountTable.load(customer_ids=list(customers), lines=made),
        previous=previous,
        taken=_keys_taken(seller=seller, customer_ids=list(customers), as_of=as_of, wanted=made),
    )
    composed, waiting = drafting.compose(made)
    release_usage([line.line_id for line in waiting if line.claim is None])
    Invoice.objects.bulk_create(done.invoice for done in composed)
    save_rows(composed)
    invoices = [done.invoice for done in composed]
    audit.record_all(
        [audit.line(actor=actor, action="invoice.drafted", subject=invoice) for invoice in invoices]
    )
    return invoices


def _take_back_drafts(
    *, seller: BillingEntity, customer_ids: list[UUID], as_of: date
) -> tuple[dict[Key, Invoice], list[DraftLine]]:
    """Delete the drafts with their lines and claims; their ids are used again.

    With them, what was written by hand on those that are due: it is composed anew, so that discounts and tax
    are those of the day of issue.
    """
    theirs = Invoice.objects.locked().filter(seller=seller, customer_id__in=customer_ids)
    drafts = list(theirs.filter(made_anew(as_of=as_of)))
    written = lines_as_they_stand(drafts)
    Invoice.objects.filter(pk__in=[draft.pk for draft in drafts]).delete()
    return {(draft.customer_id, draft.currency, _source_of(draft)): draft for draft in drafts}, written


def _source_of(invoice: Invoice) -> str:
    """There is one draft of all that is subscribed, whichever day it was made for."""
    key = invoice.billing_key
    return SUBSCRIPTIONS if key.startswith(f"{SUBSCRIPTIONS}:") else key


@dataclass(frozen=True)
class _Drafting:
    """What it takes to make invoices of lines."""

    seller: BillingEntity
    customers: Mapping[UUID, BillingEntity]
    as_of: date
    run_id: UUID | None
    taxes: TaxTable
    discounts: DiscountTable
    previous: Mapping[Key, Invoice]  # the drafts that were taken back
    taken: Mapping[tuple[UUID, str], set[str]]  # keys of the day's invoices, by customer and currency

    def compose(self, lines: Sequence[DraftLine]) -> tuple[list[Composed], list[DraftLine]]:
        """The invoices, and the lines that wait. What adjusts a line that waits, waits with it."""
        held: set[UUID] = set()
        while True:
            composed, waiting = self._compose([line for line in lines if line.line_id not in held])
            out = held | {line.line_id for line in waiting}
            more = {line.line_id for line in lines if out.intersection(line.adjusts)} - out
            if not more:
                return composed, [line for line in lines if line.line_id in out]
            held |= more

    def _compose(self, lines: Sequence[DraftLine]) -> tuple[list[Composed], list[DraftLine]]:
        """A credit to a month that has nothing to set it off against is carried to the next that is drafted."""
        composed: list[Composed] = []
        waiting: list[DraftLine] = []
        discounts = self.discounts.begin()
        carried: dict[tuple[UUID, str], list[DraftLine]] = {}
        for key, own in _by_invoice(lines).items():
            customer_id, currency, source = key
            before = [] if source == SUBSCRIPTIONS else carried.pop((customer_id, currency), [])
            done, left = compose(
                self._invoice(key),
                [*own, *before],
                taxes=self.taxes,
                discounts=discounts,
                as_of=self.as_of,
            )
            if done:
                composed.append(done)
            if source == SUBSCRIPTIONS:
                waiting += left
            elif left:
                carried[customer_id, currency] = left
        return composed, [*waiting, *chain.from_iterable(carried.values())]

    def _invoice(self, key: Key) -> Invoice:
        customer_id, currency, source = key
        customer = self.customers[customer_id]
        invoice = Invoice(
            seller=self.seller,
            customer=customer,
            currency=currency,
            billing_key=source,
            run_id=self.run_id,
        )
        if old := self.previous.get(key):
            invoice.id, invoice.version = old.pk, old.version + 1
        if source.startswith(f"{ONE_OFF}:"):
            invoice.issue_on = self.previous[key].issue_on
        elif source == SUBSCRIPTIONS:
            invoice.billing_key = _free_key(self.as_of, self.taken.get((customer_id, currency), set()))
        else:
            invoice.period_starts_on = date.fromisoformat(source.removeprefix("usage:"))
            invoice.period_ends_on = month_after(invoice.period_starts_on)
        return invoice


def _placed(lines: Sequence[DraftLine]) -> list[DraftLine]:
    """What has no invoice of its own goes to that of all that is subscribed, else to the last month of usage.

    With neither it makes the former.
    """
    keys: dict[tuple[UUID, str], set[str]] = defaultdict(set)
    for line in lines:
        keys[line.customer_id, line.currency].add(line.invoice_key)

    def place(line: DraftLine) -> str:
        others = keys[line.customer_id, line.currency] - {NEXT}
        return SUBSCRIPTIONS if SUBSCRIPTIONS in others else max(others, default=SUBSCRIPTIONS)

    return [replace(line, invoice_key=place(line)) if line.invoice_key == NEXT else line for line in lines]


def _by_invoice(lines: Sequence[DraftLine]) -> dict[Key, list[DraftLine]]:
    """By customer, currency and what is invoiced, months in their order."""
    found: dict[Key, list[DraftLine]] = {}
    for line in lines:
        found.setdefault((line.customer_id, line.currency, line.invoice_key), []).append(line)
    return {key: found[key] for key in sorted(found)}


def _free_key(as_of: date, taken: set[str]) -> str:
    """The day's own key, then #2, #3: more may become due after the day's invoice was issued."""
    first = f"{SUBSCRIPTIONS}:{as_of}"
    keys = (first if number == 1 else f"{first}#{number}" for number in count(1))
    return next(key for key in keys if key not in taken)


def _keys_taken(
    *, seller: BillingEntity, customer_ids: list[UUID], as_of: date, wanted: Sequence[DraftLine]
) -> dict[tuple[UUID, str], set[str]]:
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


def save_rows(composed: Sequence[Composed]) -> None:
    """What stands on the invoices, and what it bills and takes."""
    insert_rows([line for done in composed for line in done.lines])
    insert_rows([tax for done in composed for tax in done.taxes])
    claims: dict[type[models.Model], list[models.Model]] = defaultdict(list)
    for claim in chain.from_iterable(done.claims for done in composed):
        claims[type(claim)].append(claim)
    for table, rows in claims.items():
        table.objects.bulk_create(rows)
    DiscountUse.objects.bulk_create(use for done in composed for use in done.uses)
