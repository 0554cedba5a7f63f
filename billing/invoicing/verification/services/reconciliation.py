"""The proof of an invoice: line → shares → GL code → ledger entry, with every sum beside what it must equal.

The figures of the books are read from the books, not derived from the invoice: that is what makes it a proof.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from django.db.models import Sum

from billing.invoicing.invoices.core.revenue_accounts import INCOME
from billing.invoicing.models import (
    CostAllocation,
    CreditApplication,
    CreditNote,
    CreditNoteLine,
    Invoice,
    InvoiceLine,
)
from billing.invoicing.states import InvoiceState
from billing.invoicing.verification.services.recalculation import Difference, differences_in
from billing.kernel.money import total_of
from billing.ledger.accounts import RECEIVABLE, TAX_PAYABLE, ChartAccount
from billing.ledger.models import JournalEntry, JournalLine

INCOME_CODES = {account.code for account in INCOME}
NOTHING = Decimal(0)


@dataclass(frozen=True, kw_only=True)
class Check:
    """Two figures that must be equal, each with where it was read."""

    name: str
    currency: str
    expected: Decimal
    found: Decimal

    @property
    def agrees(self) -> bool:
        return self.expected == self.found


@dataclass(frozen=True, kw_only=True)
class ProvenLine:
    line: InvoiceLine
    shares: list[CostAllocation]
    credited_net_amount: Decimal

    @property
    def net_amount(self) -> Decimal:
        return total_of([share.net_amount for share in self.shares])

    @property
    def tax_amount(self) -> Decimal:
        return total_of([share.tax_amount for share in self.shares])


@dataclass(frozen=True, kw_only=True)
class Place:
    """A department's cost under one GL code, and the revenue the books show for it."""

    department: object
    gl_code: str
    currency: str
    net_amount: Decimal
    tax_amount: Decimal
    booked_amount: Decimal


@dataclass(frozen=True, kw_only=True)
class Proof:
    invoice: Invoice
    lines: list[ProvenLine]
    places: list[Place]
    entries: list[JournalEntry]
    checks: list[Check]
    differences: list[Difference]  # of the lines, recomputed from events, prices and days

    @property
    def holds(self) -> bool:
        return not self.differences and all(check.agrees for check in self.checks)


def entries_of(invoice: Invoice) -> list[JournalEntry]:
    """What the books have about the invoice, its shares and its credit notes, with the lines and their accounts,
    oldest first."""
    shares = CostAllocation.objects.filter(invoice=invoice).values_list("pk", flat=True)
    notes = CreditNote.objects.filter(invoice=invoice).values_list("pk", flat=True)
    sources = [
        f"invoice:{invoice.pk}",
        *(f"allocation:{pk}" for pk in shares),
        *(f"credit_note:{pk}" for pk in notes),
    ]
    own = JournalEntry.objects.filter(source__in=sources)
    mirrors = JournalEntry.objects.filter(reverses__source__in=sources)
    return list(
        (own | mirrors).distinct().order_by("pk").prefetch_related("lines__account", "lines__department")
    )


def proof_of(invoice: Invoice) -> Proof:
    """A constant number of queries, whatever the size of the invoice. A draft has no shares and no entries."""
    shares = list(
        CostAllocation.objects.filter(invoice=invoice)
        .select_related("department", "reversed_by", "rule_version__rule")
        .order_by("pk")
    )
    entries = entries_of(invoice)
    booked = [line for entry in entries for line in entry.lines.all()]
    lines = _lines(invoice, shares)
    places = _places(shares, booked, invoice.currency)
    expected = _expected(invoice, lines) if invoice.number else None
    return Proof(
        invoice=invoice,
        lines=lines,
        places=places,
        entries=entries,
        checks=_checks(invoice, expected, lines, places, booked) if expected else [],
        differences=differences_in(invoice),
    )


def _lines(invoice: Invoice, shares: Sequence[CostAllocation]) -> list[ProvenLine]:
    by_line = defaultdict(list)
    for share in shares:
        by_line[share.line_id].append(share)
    credits = CreditNoteLine.objects.filter(line__invoice=invoice).values_list("line")
    credited = dict(credits.annotate(Sum("net_amount")))
    return [
        ProvenLine(line=line, shares=by_line[line.pk], credited_net_amount=credited.get(line.pk, NOTHING))
        for line in invoice.lines.order_by("position")
    ]


@dataclass(frozen=True, kw_only=True)
class _Expected:
    """What is left of an issued invoice by its documents: less what was credited, nothing once it is void."""

    net: Decimal
    tax: Decimal
    receivable: Decimal
    by_line: dict


def _expected(invoice: Invoice, lines: Sequence[ProvenLine]) -> _Expected:
    if invoice.state == InvoiceState.VOID:
        by_line = {proven.line.pk: NOTHING for proven in lines}
        return _Expected(net=NOTHING, tax=NOTHING, receivable=NOTHING, by_line=by_line)
    notes = CreditNote.objects.filter(invoice=invoice).aggregate(net=Sum("net_amount"), tax=Sum("tax_amount"))
    settled = CreditApplication.objects.filter(invoice=invoice, credit_note__invoice=invoice)
    return _Expected(
        net=invoice.net_amount - (notes["net"] or NOTHING),
        tax=invoice.tax_amount - (notes["tax"] or NOTHING),
        receivable=invoice.total_amount
        - (settled.aggregate(sum=Sum("amount"))["sum"] or NOTHING)
        - invoice.written_off_amount,
        by_line={p.line.pk: p.line.net_amount - p.credited_net_amount for p in lines},
    )


def _places(shares: Iterable[CostAllocation], booked: Iterable[JournalLine], currency: str) -> list[Place]:
    """By department and GL code, whatever was moved since: reversals count with their sign."""
    nets, taxes, revenue = defaultdict(list), defaultdict(list), defaultdict(list)
    departments = {}
    for share in shares:
        place = (share.department_id, share.gl_code)
        departments[share.department_id] = share.department
        nets[place].append(share.net_amount)
        taxes[place].append(share.tax_amount)
    for line in booked:
        if line.account.code in INCOME_CODES:
            departments.setdefault(line.department_id, line.department)
            revenue[line.department_id, line.gl_code].append(line.credit - line.debit)
    return [
        Place(
            department=departments[department_id],
            gl_code=gl_code,
            currency=currency,
            net_amount=total_of(nets[department_id, gl_code]),
            tax_amount=total_of(taxes[department_id, gl_code]),
            booked_amount=total_of(revenue[department_id, gl_code]),
        )
        for department_id, gl_code in sorted(
            nets.keys() | revenue.keys(), key=lambda place: (_code(departments[place[0]]), place[1])
        )
    ]


def _code(department) -> str:
    return department.code if department else ""


def _checks(
    invoice: Invoice,
    expected: _Expected,
    lines: Sequence[ProvenLine],
    places: Sequence[Place],
    booked: Sequence[JournalLine],
) -> list[Check]:
    compared = [
        (
            "The lines make the net of the invoice",
            invoice.net_amount,
            total_of([proven.line.net_amount for proven in lines]),
        ),
        *(
            (
                f"The shares make {'what is left of ' if proven.credited_net_amount else ''}"
                f"line {proven.line.position}",
                expected.by_line[proven.line.pk],
                proven.net_amount,
            )
            for proven in lines
        ),
        (
            "The shares make the tax of the invoice",
            expected.tax,
            total_of([proven.tax_amount for proven in lines]),
        ),
        *(
            (
                f"The books have {place.gl_code} of {_code(place.department)}",
                place.net_amount,
                place.booked_amount,
            )
            for place in places
        ),
        ("The books have the revenue", expected.net, -_balance(booked, *INCOME)),
        ("The books have the tax", expected.tax, -_balance(booked, TAX_PAYABLE)),
        ("The books have the receivable", expected.receivable, _balance(booked, RECEIVABLE)),
    ]
    return [
        Check(name=name, currency=invoice.currency, expected=expected, found=found)
        for name, expected, found in compared
    ]


def _balance(booked: Sequence[JournalLine], *accounts: ChartAccount) -> Decimal:
    """Debits minus credits."""
    codes = {account.code for account in accounts}
    return total_of([line.debit - line.credit for line in booked if line.account.code in codes])
