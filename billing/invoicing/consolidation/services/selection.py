"""What there is to consolidate: whose invoices a payer gathers, what they sum to, what is still missing.

A payer's group is judged by the day on which each invoice was issued: moving an entity later changes nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from uuid import UUID

from django.db import connection
from django.db.models import Q, QuerySet

from billing.invoicing.errors import ConsolidationTooLarge
from billing.invoicing.exchange_rates.queries import rates_to
from billing.invoicing.models import ExchangeRate, Invoice
from billing.invoicing.states import InvoiceState
from billing.kernel.money import LARGEST_AMOUNT, total_of

# Down from the payer, with the days on which each entity belonged: the relation's own days, cut by those of the
# one above. A standalone entity is not entered, so neither is what is below it. UNION, not UNION ALL: days only
# ever shrink, so that even a circle of relations (planned moves that were never made) comes to an end.
_MEMBERS = """
WITH RECURSIVE members (entity_id, days) AS (
    SELECT %(payer)s::uuid, daterange(%(starts_on)s::date, %(ends_on)s::date)
    UNION
    SELECT r.entity_id, m.days * daterange(r.starts_on, r.ends_on)
    FROM members m
    JOIN entity_relations r ON r.parent_id = m.entity_id AND daterange(r.starts_on, r.ends_on) && m.days
    JOIN billing_entities e ON e.id = r.entity_id AND e.consolidation = 'roll_up'
)
"""
# The open invoices of the group, each by its own day of issue, that are in no live consolidation.
_GATHERED = (
    _MEMBERS  # noqa: S608
    + """
SELECT i.id, i.currency FROM invoices i
WHERE i.seller_id = %(seller)s AND i.state = 'issued'
  AND EXISTS (SELECT FROM members m WHERE m.entity_id = i.customer_id AND i.issued_on <@ m.days)
  AND NOT EXISTS (SELECT FROM consolidated_children k WHERE k.invoice_id = i.id AND k.released_at IS NULL)
  AND (%(only)s::uuid[] IS NULL OR i.id = ANY(%(only)s::uuid[]))
"""
)
# Each total is rounded once, half away from zero as everywhere, to what the payer's currency has.
_CONVERTED = """
WITH converted AS (
    SELECT i.*, round(i.total_amount * r.rate, currency_exponent(%(currency)s)) AS converted_amount
    FROM invoices i
    JOIN unnest(%(currencies)s::text[], %(rates)s::numeric[]) AS r (currency, rate) ON r.currency = i.currency
    WHERE i.id = ANY(%(invoices)s::uuid[])
)
"""
_TOTALS = (
    _CONVERTED
    + """
SELECT currency, count(*), sum(net_amount), sum(tax_amount), sum(total_amount), sum(converted_amount)
FROM converted GROUP BY currency ORDER BY currency
"""
)
_IN_ORDER = (
    " FROM converted c JOIN billing_entities e ON e.id = c.customer_id"
    " ORDER BY e.path, c.issued_on, c.sequence, c.id"
)
_LISTED = (
    _CONVERTED
    + """
SELECT c.id, c.number, c.issued_on, e.id, e.code, e.name, c.currency, c.net_amount, c.tax_amount, c.total_amount,
       c.balance_amount, c.converted_amount
"""
    + _IN_ORDER
)
_INSERTED = (
    _CONVERTED
    + """
INSERT INTO consolidated_children (consolidated_invoice_id, invoice_id, customer_id, currency, net_amount, tax_amount,
                                   total_amount, settled_before_amount, converted_amount)
SELECT %(document)s, c.id, c.customer_id, c.currency, c.net_amount, c.tax_amount, c.total_amount,
       c.total_amount - c.balance_amount, c.converted_amount
"""
    + _IN_ORDER
)


@dataclass(frozen=True, kw_only=True)
class Span:
    """A payer's group, a seller, and the days of issue: half-open, and none after `issued_on`."""

    payer_id: UUID
    seller_id: UUID
    period_starts_on: date
    period_ends_on: date
    issued_on: date

    @property
    def last_on(self) -> date:
        """The last day on which a child may have been issued, and the day of the exchange rates."""
        return min(self.period_ends_on - timedelta(days=1), self.issued_on)

    @property
    def parameters(self) -> dict:
        return {
            "payer": self.payer_id,
            "seller": self.seller_id,
            "starts_on": self.period_starts_on,
            "ends_on": self.last_on + timedelta(days=1),
        }


@dataclass(frozen=True)
class CurrencyTotal:
    """The sum of the children in a currency, exact, and in the payer's at `rate` (None: it is the payer's)."""

    currency: str
    child_count: int
    net_amount: Decimal
    tax_amount: Decimal
    total_amount: Decimal
    converted_amount: Decimal
    rate: ExchangeRate | None


@dataclass(frozen=True)
class Child:
    """An invoice that would be gathered; `balance_amount` is what is open on it."""

    invoice_id: UUID
    number: str
    issued_on: date
    customer_id: UUID
    customer_code: str
    customer_name: str
    currency: str
    net_amount: Decimal
    tax_amount: Decimal
    total_amount: Decimal
    balance_amount: Decimal
    converted_amount: Decimal


@dataclass(frozen=True, kw_only=True)
class Gathering:
    """What was found in a span: totals per currency, and drafts of the group that belong there, too."""

    span: Span
    currency: str
    totals: list[CurrencyTotal]
    missing: list[Invoice]
    invoices: Sequence[UUID] = field(repr=False)

    @property
    def child_count(self) -> int:
        return sum(total.child_count for total in self.totals)

    @property
    def converted_amount(self) -> Decimal:
        """In the payer's currency: the sum of the children, each rounded once."""
        return total_of([total.converted_amount for total in self.totals])

    def children(self, limit: int | None = None) -> list[Child]:
        """In the order of the tree, then as they were issued; the first `limit` of them."""
        return [
            Child(*row) for row in _rows(_LISTED + " LIMIT %(limit)s", self._parameters | {"limit": limit})
        ]

    def insert_children(self, document_id: UUID) -> None:
        """All of them into `consolidated_children`, in one statement."""
        with connection.cursor() as cursor:
            cursor.execute(_INSERTED, self._parameters | {"document": document_id})

    @property
    def _parameters(self) -> dict:
        rates = {total.currency: total.rate for total in self.totals}
        return _parameters(self.invoices, self.currency, rates)


def gather(span: Span, *, currency: str, only: Sequence[UUID] | None = None) -> Gathering:
    """What there is (of the invoices `only`), converted to `currency`, the payer's.

    Raises ExchangeRateMissing, ConsolidationTooLarge for 10^15 and more.
    """
    found = _rows(_GATHERED, span.parameters | {"only": None if only is None else list(only)})
    invoices = [pk for pk, _ in found]
    rates = rates_to(currency, of={each for _, each in found}, on=span.last_on)
    totals = _rows(_TOTALS, _parameters(invoices, currency, rates))
    gathered = Gathering(
        span=span,
        currency=currency,
        totals=[CurrencyTotal(*row, rate=rates[row[0]]) for row in totals],
        missing=list(_drafts(span)),
        invoices=invoices,
    )
    if max([gathered.converted_amount, *(total.total_amount for total in gathered.totals)]) >= LARGEST_AMOUNT:
        raise ConsolidationTooLarge(f"It comes to {gathered.converted_amount} {currency}.")
    return gathered


def lock_candidates(span: Span) -> list[UUID]:
    """All that may be gathered, locked by key: what is being issued, voided or paid meanwhile is waited for.

    Drafts too: one that is just being issued is gathered once that is committed. What is drafted or issued
    later than this is left out as a whole.
    """
    wanted = Q(state=InvoiceState.DRAFT, period_starts_on__lt=span.period_ends_on) | Q(
        state=InvoiceState.ISSUED, issued_on__gte=span.period_starts_on, issued_on__lte=span.last_on
    )
    members = _members(span, "SELECT DISTINCT entity_id FROM members")
    candidates = Invoice.objects.locked().filter(wanted, seller_id=span.seller_id, customer_id__in=members)
    return list(candidates.values_list("pk", flat=True))


def _drafts(span: Span) -> QuerySet[Invoice]:
    """Drafts over time before the period's end, of who belongs to the group on its last day."""
    members = _members(span, "SELECT DISTINCT entity_id FROM members WHERE upper(days) = %(ends_on)s")
    drafts = Invoice.objects.filter(
        seller_id=span.seller_id,
        customer_id__in=members,
        state=InvoiceState.DRAFT,
        period_starts_on__lt=span.period_ends_on,
    )
    return drafts.select_related("customer").order_by("customer__code", "period_starts_on", "pk")


def _members(span: Span, wanted: str) -> list[UUID]:
    return [pk for (pk,) in _rows(_MEMBERS + wanted, span.parameters)]


def _parameters(invoices: Sequence[UUID], currency: str, rates: Mapping[str, ExchangeRate | None]) -> dict:
    return {
        "invoices": list(invoices),
        "currency": currency,
        "currencies": list(rates),
        "rates": [rate.rate if rate else Decimal(1) for rate in rates.values()],
    }


def _rows(statement: str, parameters: dict) -> list[tuple]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return cursor.fetchall()
