"""What a customer owes a seller: the statement of account of a period, and what was open on any day.

Movements are those of the books (accounts 1100 and 2300 of the customer), so that opening + movements = closing by
what was booked, and a statement of days gone by comes out the same whenever it is made, unless something was
booked into them since. Open items are made of the documents, and come to the closing balance of the same day.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from uuid import UUID

from django.db import connection
from django.db.models import F, QuerySet, Sum

from billing.entities.models import BillingEntity
from billing.invoicing.models import CreditApplication, CreditNote, Invoice
from billing.kernel.money import total_of
from billing.ledger.accounts import BAD_DEBT, CUSTOMER_BALANCE, RECEIVABLE
from billing.ledger.models import JournalLine
from billing.payments.models import Payment, PaymentApplication

NOTHING = Decimal(0)
ACCOUNTS = (RECEIVABLE.code, CUSTOMER_BALANCE.code)
AGES = (30, 60, 90)  # days overdue up to which a column of the ageing goes; one more is for what is older


@dataclass(frozen=True, kw_only=True)
class Movement:
    """A booking on the customer's account. `debit` is what it owes more, `credit` what it owes less."""

    day: date
    kind: str  # of the document: invoice, credit_note, payment; what became of it is the event
    event: str
    reference: str
    description: str
    currency: str
    debit: Decimal
    credit: Decimal
    balance: Decimal


@dataclass(frozen=True, kw_only=True)
class OpenItem:
    """What was open of a document at the end of a day: less than zero for credits and payments not applied."""

    kind: str
    id: UUID
    reference: str
    day: date
    due_on: date | None
    currency: str
    amount: Decimal
    open_amount: Decimal


@dataclass(frozen=True, kw_only=True)
class Age:
    """What was overdue by up to so many days ("overdue_30": 1 to 30), not due yet, or not applied."""

    label: str
    currency: str
    amount: Decimal


@dataclass(frozen=True, kw_only=True)
class Balance:
    """What a customer owed at the end of a day, in one currency: receivable less what is not applied."""

    currency: str
    receivable_amount: Decimal
    overdue_amount: Decimal
    unapplied_amount: Decimal

    @property
    def balance_amount(self) -> Decimal:
        return self.receivable_amount - self.unapplied_amount


@dataclass(frozen=True, kw_only=True)
class Statement:
    """Of [starts_on, ends_on), in one currency. Positive balances are owed by the customer."""

    seller: BillingEntity
    customer: BillingEntity
    currency: str
    starts_on: date
    ends_on: date
    opening_balance: Decimal
    movements: list[Movement]
    closing_balance: Decimal
    open_items: list[OpenItem]
    ageing: list[Age]

    @property
    def debit_amount(self) -> Decimal:
        return total_of([movement.debit for movement in self.movements])

    @property
    def credit_amount(self) -> Decimal:
        return total_of([movement.credit for movement in self.movements])


def statement_of(
    *, seller: BillingEntity, customer: BillingEntity, currency: str, starts_on: date, ends_on: date
) -> Statement:
    """A constant number of queries, whatever the length. The closing balance is read by itself, not added up."""
    lines = _booked(seller, customer, currency)
    opening = _balance(lines.filter(entry__posted_on__lt=starts_on))
    items = open_items(seller=seller, customer=customer, currency=currency, as_of=ends_on - timedelta(days=1))
    return Statement(
        seller=seller,
        customer=customer,
        currency=currency,
        starts_on=starts_on,
        ends_on=ends_on,
        opening_balance=opening,
        movements=_movements(
            lines.filter(entry__posted_on__gte=starts_on, entry__posted_on__lt=ends_on), opening, currency
        ),
        closing_balance=_balance(lines.filter(entry__posted_on__lt=ends_on)),
        open_items=items,
        ageing=ageing_of(items, currency=currency, as_of=ends_on - timedelta(days=1)),
    )


def currencies_of(*, seller: BillingEntity, customer: BillingEntity) -> list[str]:
    """In which the customer ever owed the seller something."""
    lines = JournalLine.objects.filter(entity=seller, customer=customer, account__code__in=ACCOUNTS)
    return sorted(lines.values_list("currency", flat=True).distinct())


def ageing_of(items: Sequence[OpenItem], *, currency: str, as_of: date) -> list[Age]:
    """Not due, then by days overdue, then what is not applied of payments and credits. Sums to the balance."""
    labels = ["not_due", *(f"overdue_{days}" for days in AGES), "overdue_more", "unapplied"]
    amounts = dict.fromkeys(labels, NOTHING)
    for item in items:
        amounts[_age(item, as_of)] += item.open_amount
    return [Age(label=label, currency=currency, amount=amount) for label, amount in amounts.items()]


def _age(item: OpenItem, as_of: date) -> str:
    if item.due_on is None:
        return "unapplied"
    late = (as_of - item.due_on).days
    if late <= 0:
        return "not_due"
    return next((f"overdue_{days}" for days in AGES if late <= days), "overdue_more")


def _booked(seller: BillingEntity, customer: BillingEntity, currency: str) -> QuerySet[JournalLine]:
    return JournalLine.objects.filter(
        entity=seller, customer=customer, currency=currency, account__code__in=ACCOUNTS
    )


def _balance(lines: QuerySet[JournalLine]) -> Decimal:
    return lines.aggregate(balance=Sum(F("debit") - F("credit")))["balance"] or NOTHING


def _movements(lines: QuerySet[JournalLine], opening: Decimal, currency: str) -> list[Movement]:
    """One per entry that moves the balance: what only changes its place on the account is left out."""
    entries = list(
        lines.values(
            "entry_id",
            day=F("entry__posted_on"),
            source=F("entry__source"),
            event=F("entry__event"),
            description=F("entry__description"),
            reversed_source=F("entry__reverses__source"),
        )
        .annotate(moved=Sum(F("debit") - F("credit")))
        .exclude(moved=0)
        .order_by("day", "entry_id")
    )
    references = _references([entry["reversed_source"] or entry["source"] for entry in entries])
    balance, found = opening, []
    for entry in entries:
        kind, reference = references[entry["reversed_source"] or entry["source"]]
        balance += entry["moved"]
        found.append(
            Movement(
                day=entry["day"],
                kind=kind,
                event=entry["event"],
                reference=reference,
                description=entry["description"],
                currency=currency,
                debit=max(entry["moved"], NOTHING),
                credit=max(-entry["moved"], NOTHING),
                balance=balance,
            )
        )
    return found


def _references(sources: Sequence[str]) -> dict[str, tuple[str, str]]:
    """The kind and number of the document behind each source: a query per kind."""
    by_kind: dict[str, set[str]] = {}
    for source in sources:
        kind, _, pk = source.partition(":")
        by_kind.setdefault(kind, set()).add(pk)
    readers = {
        "invoice": ("invoice", Invoice.objects.all(), "number"),
        "credit_note": ("credit_note", CreditNote.objects.all(), "number"),
        "payment": ("payment", Payment.objects.all(), "reference"),
        "payment_application": ("payment", PaymentApplication.objects.all(), "payment__reference"),
        "credit_application": ("credit_note", CreditApplication.objects.all(), "credit_note__number"),
    }
    found = dict.fromkeys(sources, ("entry", ""))
    for kind in by_kind.keys() & readers.keys():
        shown, rows, name = readers[kind]
        for pk, reference in rows.filter(pk__in=by_kind[kind]).values_list("pk", name):
            found[f"{kind}:{pk}"] = (shown, reference)
    return found


_ITEMS = f"""
    SELECT 'invoice' AS kind, i.id, i.number AS reference, i.issued_on AS day, i.due_on, i.currency, i.total_amount AS amount,
           i.total_amount - paid.amount - credited.amount - lost.amount AS open_amount
    FROM invoices i
    JOIN journal_entries e ON e.source = 'invoice:' || i.id AND e.event = 'issued' AND e.posted_on <= %(as_of)s,
    LATERAL (SELECT coalesce(sum(amount), 0) AS amount FROM payment_applications a
              WHERE a.invoice_id = i.id AND a.applied_on <= %(as_of)s) paid,
    LATERAL (SELECT coalesce(sum(amount), 0) AS amount FROM credit_applications a
              WHERE a.invoice_id = i.id AND a.applied_on <= %(as_of)s) credited,
    LATERAL (SELECT coalesce(sum(l.debit - l.credit), 0) AS amount
               FROM journal_entries w JOIN journal_lines l ON l.entry_id = w.id
               JOIN ledger_accounts c ON c.id = l.account_id
              WHERE w.source = 'invoice:' || i.id AND c.code = '{BAD_DEBT.code}' AND w.posted_on <= %(as_of)s) lost
    WHERE i.seller_id = %(seller)s AND i.customer_id = %(customer)s
      AND NOT EXISTS (SELECT FROM journal_entries r WHERE r.reverses_id = e.id AND r.posted_on <= %(as_of)s)
    UNION ALL
    SELECT 'credit_note', n.id, n.number, n.issued_on, NULL, n.currency, -n.total_amount, used.amount - n.total_amount
    FROM credit_notes n
    JOIN journal_entries e ON e.source = 'credit_note:' || n.id AND e.event = 'issued' AND e.posted_on <= %(as_of)s,
    LATERAL (SELECT coalesce(sum(amount), 0) AS amount FROM credit_applications a
              WHERE a.credit_note_id = n.id AND a.applied_on <= %(as_of)s) used
    WHERE n.seller_id = %(seller)s AND n.customer_id = %(customer)s
    UNION ALL
    SELECT 'payment', p.id, p.reference, p.received_on, NULL, p.currency, -p.amount, used.amount - p.amount
    FROM payments p
    JOIN journal_entries e ON e.source = 'payment:' || p.id AND e.event = 'received' AND e.posted_on <= %(as_of)s,
    LATERAL (SELECT coalesce(sum(amount), 0) AS amount FROM payment_applications a
              WHERE a.payment_id = p.id AND a.applied_on <= %(as_of)s) used
    WHERE p.seller_id = %(seller)s AND p.customer_id = %(customer)s
"""  # noqa: S608
_OPEN_ITEMS = f"""
SELECT * FROM ({_ITEMS}) AS items
WHERE open_amount <> 0 AND currency = %(currency)s ORDER BY due_on NULLS LAST, day, reference, id
"""  # noqa: S608
_BALANCES = f"""
SELECT currency,
       coalesce(sum(open_amount) FILTER (WHERE kind = 'invoice'), 0) AS receivable_amount,
       coalesce(sum(open_amount) FILTER (WHERE kind = 'invoice' AND due_on < %(as_of)s), 0) AS overdue_amount,
       coalesce(-sum(open_amount) FILTER (WHERE kind <> 'invoice'), 0) AS unapplied_amount
FROM ({_ITEMS}) AS items GROUP BY currency ORDER BY currency
"""  # noqa: S608


def open_items(
    *, seller: BillingEntity, customer: BillingEntity, currency: str, as_of: date
) -> list[OpenItem]:
    """What was open at the end of `as_of`, the oldest due first; what is not applied comes last. One query."""
    found = _read(_OPEN_ITEMS, seller=seller.pk, customer=customer.pk, as_of=as_of, currency=currency)
    return [OpenItem(**row) for row in found]


def balances_of(*, seller: BillingEntity, customer: BillingEntity, as_of: date) -> list[Balance]:
    """By currency, at the end of `as_of`. One query."""
    return [Balance(**row) for row in _read(_BALANCES, seller=seller.pk, customer=customer.pk, as_of=as_of)]


def _read(query: str, **asked) -> list[dict]:
    with connection.cursor() as cursor:
        cursor.execute(query, asked)
        names = [column.name for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
