from collections.abc import Sequence
from datetime import date, timedelta
from itertools import groupby
from uuid import UUID

from django.db import transaction

from billing.entities.models import BillingEntity
from billing.invoicing.allocation.services.allocation import Policy, allocate, read_weights
from billing.invoicing.approval import proposed_issue
from billing.invoicing.errors import NegativeTotal, NothingToInvoice
from billing.invoicing.events import InvoiceIssued
from billing.invoicing.invoices.core.revenue_accounts import income_account
from billing.invoicing.invoices.services.numbering import fiscal_year_of, number_text, take_numbers
from billing.invoicing.issuing.hooks import GUARDS
from billing.invoicing.models import CostAllocation, Invoice
from billing.invoicing.states import INVOICE_MOVES
from billing.kernel import audit, events
from billing.kernel.approval import ApprovalRequired, require_approval
from billing.kernel.bulk import insert_rows, update_rows
from billing.kernel.errors import NotFound
from billing.kernel.models import AuditEntry
from billing.kernel.states import next_state
from billing.kernel.versions import require_version
from billing.ledger import services as ledger
from billing.ledger.accounts import RECEIVABLE, TAX_PAYABLE
from billing.ledger.postings import EntryDraft, credit, debit
from billing.ledger.queries import posting_day

NUMBERED = [
    "state",
    "fiscal_year",
    "sequence",
    "number",
    "issued_on",
    "due_on",
    "snapshot",
    "failure",
]


@transaction.atomic
def issue_invoice(*, actor: str, invoice_id: UUID, issued_on: date, version: int | None = None) -> Invoice:
    """Issue one draft; see `issue_invoices`. Raises NotFound, PreconditionFailed if it is no longer at `version`."""
    invoice = Invoice.objects.locked().filter(pk=invoice_id).first()
    if invoice is None:
        raise NotFound("There is no such invoice.")
    require_version(invoice, version)
    return issue_invoices(actor=actor, invoice_ids=[invoice_id], issued_on=issued_on)[0]


@transaction.atomic
def issue_invoices(*, actor: str, invoice_ids: Sequence[UUID], issued_on: date) -> list[Invoice]:
    """Turn drafts into claims: allocated to departments, booked, numbered without gap, never to change again.

    All or none. A total of zero is settled as it is issued.
    Raises IllegalMove, NothingToInvoice, NegativeTotal, GlCodeMissing, IssueDayBeforeLast, what the guards raise
    (CustomerNotActive, AdjustsDraft, …), and ApprovalRequired with those that are above a limit.
    """
    invoices = _in_order_of_issue(invoice_ids)
    for invoice in invoices:
        _require_issuable(invoice)
    for guard in GUARDS:
        guard(invoices)
    require_approval(*(proposed_issue(invoice, actor=actor) for invoice in invoices))
    allocations = _allocations(invoices)
    insert_rows([share for shares in allocations.values() for share in shares])
    _book(invoices, allocations, issued_on)
    _number(invoices, issued_on)
    audit.record_all([_said(invoice, actor) for invoice in invoices])
    events.publish_all(
        [InvoiceIssued(invoice_id=invoice.pk, entity_id=invoice.customer_id) for invoice in invoices]
    )
    return invoices


def issue_within_limits(
    *, actor: str, invoice_ids: Sequence[UUID], issued_on: date
) -> tuple[list[Invoice], set[UUID]]:
    """Issue those that need no approval; the ids of the others, which stay drafts. Raises what `issue_invoices`
    raises otherwise."""
    waiting: set[UUID] = set()
    while True:
        within = [pk for pk in invoice_ids if pk not in waiting]
        try:
            return issue_invoices(actor=actor, invoice_ids=within, issued_on=issued_on), waiting
        except ApprovalRequired as refusal:
            waiting |= {operation.subject_id for operation in refusal.operations}


def _in_order_of_issue(invoice_ids: Sequence[UUID]) -> list[Invoice]:
    """Locked, with all they need, in the order of their numbers: by customer, currency and period."""
    list(Invoice.objects.locked().filter(pk__in=invoice_ids).values_list("pk"))
    return sorted(
        Invoice.objects.filter(pk__in=invoice_ids)
        .select_related("seller", "customer")
        .prefetch_related("lines__product", "taxes"),
        key=lambda i: (i.seller.code, i.series, i.customer.code, i.currency, i.period_starts_on, i.pk),
    )


def _require_issuable(invoice: Invoice) -> None:
    next_state(INVOICE_MOVES, action="issue", current=invoice.state)
    if not invoice.lines.all():
        raise NothingToInvoice("The draft has no lines.")
    if invoice.total_amount < 0:
        raise NegativeTotal(
            f"The credits exceed the charges: {invoice.total_amount} {invoice.currency}.",
            total_amount=str(invoice.total_amount),
        )


def _allocations(invoices: list[Invoice]) -> dict[UUID, list[CostAllocation]]:
    policy = Policy.for_customers({invoice.customer_id: invoice.customer for invoice in invoices}.values())
    read_weights(policy, invoices)
    return {
        invoice.pk: allocate(
            invoice,
            lines=sorted(invoice.lines.all(), key=lambda line: line.position),
            taxes=list(invoice.taxes.all()),
            policy=policy,
        )
        for invoice in invoices
    }


def _book(invoices: list[Invoice], allocations: dict[UUID, list[CostAllocation]], issued_on: date) -> None:
    """An invoice on which nothing but zeros stand has nothing to book."""
    days = {
        seller_id: posting_day(entity_id=seller_id, day=issued_on)
        for seller_id in sorted({invoice.seller_id for invoice in invoices})
    }
    ledger.post_entries(
        [
            _booking(invoice, allocations[invoice.pk], posted_on=days[invoice.seller_id])
            for invoice in invoices
            if any(share.net_amount for share in allocations[invoice.pk])
        ]
    )


def _booking(invoice: Invoice, shares: list[CostAllocation], *, posted_on: date) -> EntryDraft:
    """Receivable against income by department, product and GL code, and tax by category."""
    customer = {"customer_id": invoice.customer_id}
    return EntryDraft(
        entity_id=invoice.seller_id,
        posted_on=posted_on,
        source=f"invoice:{invoice.pk}",
        event="issued",
        description=f"Invoice to {invoice.customer.name}"[:200],
        lines=(
            debit(RECEIVABLE, invoice.total_amount, invoice.currency, **customer),
            *(
                credit(
                    income_account(share.line),
                    share.net_amount,
                    invoice.currency,
                    department_id=share.department_id,
                    product_code=share.line.product_code,
                    gl_code=share.gl_code,
                    **customer,
                )
                for share in shares
            ),
            *(
                credit(TAX_PAYABLE, tax.tax_amount, invoice.currency, gl_code=tax.category, **customer)
                for tax in invoice.taxes.all()
            ),
        ),
    )


def _number(invoices: list[Invoice], issued_on: date) -> None:
    """Last of all, because the counter's row makes everybody wait."""
    for (seller, series), group in groupby(invoices, key=lambda i: (i.seller, i.series)):
        batch = list(group)
        year = fiscal_year_of(issued_on, starts_in=seller.fiscal_year_starts_in)
        numbers = take_numbers(
            seller_id=seller.pk, series=series, fiscal_year=year, issued_on=issued_on, count=len(batch)
        )
        for invoice, sequence in zip(batch, numbers, strict=True):
            action = "issue" if invoice.total_amount else "issue_settled"
            invoice.state = next_state(INVOICE_MOVES, action=action, current=invoice.state)
            invoice.fiscal_year, invoice.sequence = year, sequence
            invoice.number = number_text(series=series, fiscal_year=year, sequence=sequence)
            invoice.issued_on = issued_on
            invoice.due_on = issued_on + timedelta(days=invoice.customer.payment_terms_days)
            invoice.snapshot = _snapshot(invoice)
            invoice.failure = None
    update_rows(invoices, NUMBERED)


def _snapshot(invoice: Invoice) -> dict:
    snapshot = {
        "seller": party(invoice.seller),
        "customer": party(invoice.customer),
        "payment_terms_days": invoice.customer.payment_terms_days,
    }
    account = invoice.seller.bank_account
    return snapshot | {"account": account} if account else snapshot


def party(entity: BillingEntity) -> dict:
    """How a party stands on a document: frozen with it."""
    return {
        "code": entity.code,
        "name": entity.name,
        "legal_name": entity.legal_name or entity.name,
        "country": entity.country,
        "tax_id": entity.tax_id,
        "address": entity.address,
        "email": entity.email,
        "language": entity.language,
    }


def _said(invoice: Invoice, actor: str) -> AuditEntry:
    return audit.line(
        actor=actor,
        action="invoice.issued",
        subject=invoice,
        detail={"number": invoice.number, "total": invoice.total_amount, "currency": invoice.currency},
    )
