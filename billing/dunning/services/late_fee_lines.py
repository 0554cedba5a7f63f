"""Late fees become lines of invoices, one for each."""

from collections.abc import Collection, Mapping
from datetime import date
from decimal import Decimal
from uuid import UUID

from django.db.models import QuerySet

from billing.dunning.core.clock import InterestPeriod
from billing.dunning.core.interest import interest_on
from billing.dunning.models import LateFee, LateFeeClaim
from billing.dunning.queries import unbilled_fees
from billing.dunning.states import FeeBasis
from billing.entities.models import BillingEntity
from billing.invoicing.drafting.core.line_wording import days_text, description
from billing.invoicing.invoices.core.draft_lines import NEXT, DraftLine, text
from billing.invoicing.models import LineKind
from billing.kernel.ids import uuid7
from billing.tax.core.tax import TaxTreatment

LATE_FEE = "late_fee"  # what a derivation says it is from


def late_fee_lines(
    *, seller_id: UUID, customers: Mapping[UUID, BillingEntity], as_of: date
) -> list[DraftLine]:
    """The customers' late fees charged by `as_of` that are neither waived nor on a live line, the oldest first.

    Each is a line of the customer's next invoice in its currency, outside the scope of tax: interest and
    compensation for late payment are no consideration for a supply (Court of Justice, B.A.Z. Bausystem, Case
    222/81, on what is Directive 2006/112/EC, Article 73 today; the amounts are those of Directive 2011/7/EU,
    Articles 3 and 6). There is no product and so no product's GL code: a mapping for tax category O, else the
    department, else the suspense account has it.
    """
    fees = unbilled_fees(seller_id=seller_id, as_of=as_of).filter(customer__in=list(customers))
    ordered = fees.select_related("invoice").order_by("customer_id", "charged_on", "pk")
    return [_draft_line(fee) for fee in ordered]


def late_payers(*, seller_id: UUID, as_of: date) -> QuerySet:
    """The ids of customers whose late fees have waited for an invoice since before the month of `as_of`.

    A fee waits for what else is billed. What is used and what is subscribed by the month is billed by then; a
    customer that has left, or subscribes by the year, gets an invoice for it.
    """
    fees = unbilled_fees(seller_id=seller_id, as_of=as_of)
    return fees.filter(charged_on__lt=as_of.replace(day=1)).values("customer_id")


def recomputed_fees(line_ids: Collection[UUID]) -> dict[UUID, Decimal]:
    """What the fees behind the lines come to by their days, amounts and rate, by line."""
    claims = LateFeeClaim.objects.filter(line__in=list(line_ids)).select_related("fee")
    return {claim.line_id: _recomputed(claim.fee) for claim in claims}


def _recomputed(fee: LateFee) -> Decimal:
    if fee.basis == FeeBasis.FLAT:
        return fee.amount
    interest_periods = [
        InterestPeriod(
            since=date.fromisoformat(one["since"]),
            until=date.fromisoformat(one["until"]),
            amount=Decimal(one["amount"]),
        )
        for one in fee.derivation["interest_periods"]
    ]
    return interest_on(interest_periods, percent=fee.percent, currency=fee.currency)


def _draft_line(fee: LateFee) -> DraftLine:
    line_id = uuid7()
    starts_on, ends_on = fee.days
    return DraftLine(
        line_id=line_id,
        customer_id=fee.customer_id,
        currency=fee.currency,
        invoice_key=NEXT,
        kind=LineKind.LATE_FEE,
        product_id=None,
        tax_category=TaxTreatment.OUTSIDE_SCOPE,
        gl_code="",
        description=_described(fee),
        quantity=Decimal(1),
        unit="",
        unit_price=fee.amount,
        exact=fee.amount,
        service_starts_on=starts_on,
        service_ends_on=ends_on,
        derivation=_derivation(fee),
        owed_on=fee.charged_on,
        claim=LateFeeClaim(fee=fee, line_id=line_id),
    )


def _described(fee: LateFee) -> str:
    if fee.basis == FeeBasis.FLAT:
        return f"Late fee for {fee.invoice.number}"
    percent = f"{text(fee.percent)} % a year"
    return description(f"Interest for late payment of {fee.invoice.number}", days_text(*fee.days), percent)


def _derivation(fee: LateFee) -> dict:
    exact = text(fee.amount)
    return {
        **fee.derivation,
        "from": LATE_FEE,
        "fee": str(fee.pk),
        "invoice": str(fee.invoice_id),
        "basis": fee.basis,
        "reference": fee.reference,
        "exact": exact,
        "rounding": "line",
        "shares": [{"department": None, "exact": exact}],
    }
