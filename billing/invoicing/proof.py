"""The proof of an invoice: line → shares → GL code → ledger entry, with every sum beside what it must equal.

The figures of the books are read from the books, not derived from the invoice: that is what makes it a proof.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from billing.invoicing.models import CostAllocation, Invoice, InvoiceLine
from billing.invoicing.recomputing import Difference, differences_in
from billing.invoicing.states import InvoiceState
from billing.kernel.money import total_of
from billing.ledger.accounts import RECEIVABLE, REVENUE, TAX_PAYABLE, ChartAccount
from billing.ledger.models import JournalEntry, JournalLine

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
    """What the books have about the invoice and its shares, with the lines and their accounts, oldest first."""
    shares = CostAllocation.objects.filter(invoice=invoice).values_list("pk", flat=True)
    sources = [f"invoice:{invoice.pk}", *(f"allocation:{pk}" for pk in shares)]
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
    return Proof(
        invoice=invoice,
        lines=lines,
        places=places,
        entries=entries,
        checks=_checks(invoice, lines, places, booked) if invoice.number else [],
        differences=differences_in(invoice),
    )


def _lines(invoice: Invoice, shares: Sequence[CostAllocation]) -> list[ProvenLine]:
    by_line = defaultdict(list)
    for share in shares:
        by_line[share.line_id].append(share)
    return [ProvenLine(line=line, shares=by_line[line.pk]) for line in invoice.lines.order_by("position")]


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
        if line.account.code == REVENUE.code:
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
    invoice: Invoice, lines: Sequence[ProvenLine], places: Sequence[Place], booked: Sequence[JournalLine]
) -> list[Check]:
    """A void invoice's shares and bookings are all taken back: there every figure but the lines is nothing."""
    void = invoice.state == InvoiceState.VOID
    net, tax = (NOTHING, NOTHING) if void else (invoice.net_amount, invoice.tax_amount)
    compared = [
        (
            "The lines make the net of the invoice",
            invoice.net_amount,
            total_of([proven.line.net_amount for proven in lines]),
        ),
        *(
            (
                f"The shares make line {proven.line.position}",
                NOTHING if void else proven.line.net_amount,
                proven.net_amount,
            )
            for proven in lines
        ),
        ("The shares make the tax of the invoice", tax, total_of([proven.tax_amount for proven in lines])),
        *(
            (
                f"The books have {place.gl_code} of {_code(place.department)}",
                place.net_amount,
                place.booked_amount,
            )
            for place in places
        ),
        ("The books have the revenue", net, -_balance(booked, REVENUE)),
        ("The books have the tax", tax, -_balance(booked, TAX_PAYABLE)),
        ("The books have the receivable", net + tax, _balance(booked, RECEIVABLE)),
    ]
    return [
        Check(name=name, currency=invoice.currency, expected=expected, found=found)
        for name, expected, found in compared
    ]


def _balance(booked: Sequence[JournalLine], account: ChartAccount) -> Decimal:
    """Debits minus credits."""
    return total_of([line.debit - line.credit for line in booked if line.account.code == account.code])
