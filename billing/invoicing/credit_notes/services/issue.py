from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from uuid import UUID

from django.db import transaction
from django.db.models import Sum

from billing.invoicing.approval import proposed_credit, proposed_refund
from billing.invoicing.credit_notes.core import credit_amounts
from billing.invoicing.errors import (
    CreditExceedsInvoice,
    LineOfAnotherInvoice,
    NotCreditable,
    NothingToCredit,
    RefundRequiresApproval,
)
from billing.invoicing.events import CreditNoteIssued
from billing.invoicing.invoices.core.revenue_accounts import income_account
from billing.invoicing.invoices.services.numbering import fiscal_year_of, number_text, take_numbers
from billing.invoicing.issuing.services.settlement import credit_invoices
from billing.invoicing.models import (
    AllocationBasis,
    CostAllocation,
    CreditApplication,
    CreditNote,
    CreditNoteLine,
    CreditNoteTax,
    Invoice,
    InvoiceLine,
    InvoiceTax,
)
from billing.invoicing.queries import live_allocations
from billing.invoicing.states import CreditRemainder, InvoiceState
from billing.kernel import audit, events
from billing.kernel.approval import is_refused, require_approval
from billing.kernel.errors import Invalid
from billing.kernel.money import Money, round_half_up, total_of
from billing.kernel.versions import require_version
from billing.ledger import services as ledger
from billing.ledger.accounts import CUSTOMER_BALANCE, RECEIVABLE, TAX_PAYABLE
from billing.ledger.postings import EntryDraft, credit, debit
from billing.ledger.queries import posting_day

Row = tuple[str, Decimal]  # tax category and percent


@transaction.atomic
def issue_credit_note(
    *,
    actor: str,
    invoice_id: UUID,
    issued_on: date,
    reason: str,
    lines: Mapping[UUID, Decimal] | None = None,
    net_amount: Decimal | None = None,
    remainder_to: str = CreditRemainder.BALANCE,
    version: int | None = None,
) -> CreditNote:
    """Take back what is left of an issued or paid invoice, a net amount of it, or net amounts of its lines.

    `lines` are nets by line, of the line's sign; `net_amount` is spread over the lines in proportion to what is
    left of them, by largest remainder; neither: all that is left. Both are in the invoice's currency. The tax
    and the shares of departments go back with it, cumulatively, so that the notes over an invoice sum to it
    exactly (`billing.invoicing.credit_notes.core.credit_amounts`). What is open on the invoice is settled first; the rest is the
    customer's balance, kept or to be paid back (`remainder_to`). `version` is the invoice's.

    Raises NotCreditable, NothingToCredit, CreditExceedsInvoice, LineOfAnotherInvoice, Invalid,
    IssueDayBeforeLast, PreconditionFailed, ApprovalRequired, RefundRequiresApproval.
    """
    terms = {"issued_on": issued_on, "reason": reason, "lines": lines, "net_amount": net_amount}
    note, _ = _issue(invoice_id, actor=actor, remainder_to=remainder_to, version=version, **terms)
    return note


@transaction.atomic
def preview_credit_note(*, invoice_id: UUID, **terms) -> "tuple[CreditNote, CreditParts]":
    """What `issue_credit_note` would do with the same terms, by doing it and taking it back. Raises what it raises."""
    made = _issue(invoice_id, actor="preview", is_preview=True, **terms)
    transaction.set_rollback(True)
    return made


def _issue(
    invoice_id: UUID,
    *,
    actor: str,
    issued_on: date,
    reason: str,
    lines: Mapping[UUID, Decimal] | None = None,
    net_amount: Decimal | None = None,
    remainder_to: str = CreditRemainder.BALANCE,
    version: int | None = None,
    is_preview: bool = False,
) -> "tuple[CreditNote, CreditParts]":
    invoice = Invoice.objects.locked().select_related("seller").get(pk=invoice_id)
    require_version(invoice, version)
    _require_creditable(invoice, issued_on, reason, remainder_to)
    billed = _billed(invoice)
    amounts = _wanted(billed, lines, net_amount)
    note = CreditNote(
        seller=invoice.seller,
        customer_id=invoice.customer_id,
        invoice=invoice,
        currency=invoice.currency,
        issued_on=issued_on,
        reason=reason,
        remainder_to=remainder_to,
        snapshot=invoice.snapshot,
    )
    parts = _parts(note, billed, amounts)
    note.net_amount = total_of([tax.taxable_amount for tax in parts.taxes])
    note.tax_amount = total_of([tax.tax_amount for tax in parts.taxes])
    note.total_amount = note.net_amount + note.tax_amount
    if note.total_amount <= 0:
        raise NothingToCredit(f"The lines come to {note.total_amount} {note.currency}.")
    settled = min(note.total_amount, invoice.balance_amount)
    note.applied_amount = settled
    if not is_preview:
        _require_refund_within_limits(note, actor=actor)
        terms = {"lines": lines, "net_amount": net_amount, "remainder_to": remainder_to, "reason": reason}
        require_approval(proposed_credit(note, invoice, actor=actor, terms=terms))

    if settled:
        credit_invoices(actor=actor, settlements={invoice.pk: settled})
    CostAllocation.objects.bulk_create(parts.shares)
    posted_on = posting_day(entity_id=invoice.seller_id, day=issued_on)
    ledger.post_entries([_booking(note, invoice, parts, settled=settled, posted_on=posted_on)])
    _number(note)
    note.save(force_insert=True)
    CreditNoteLine.objects.bulk_create(parts.lines)
    CreditNoteTax.objects.bulk_create(parts.taxes)
    if settled:
        CreditApplication.objects.create(
            credit_note=note, invoice=invoice, amount=settled, currency=note.currency, applied_on=posted_on
        )
    _tell(note, invoice, actor=actor)
    return note, parts


def _require_creditable(invoice: Invoice, issued_on: date, reason: str, remainder_to: str) -> None:
    if invoice.state not in {InvoiceState.ISSUED, InvoiceState.PAID}:
        raise NotCreditable(f"The invoice is {invoice.state}; only an issued or paid one can be credited.")
    if issued_on < invoice.issued_on:
        raise Invalid(f"{invoice.number} was issued on {invoice.issued_on}; it cannot be credited before.")
    if not reason.strip():
        raise Invalid("A credit note says why.")
    if remainder_to not in CreditRemainder.values:
        raise Invalid(f"'{remainder_to}' is neither balance nor refund.")


def _require_refund_within_limits(note: CreditNote, *, actor: str) -> None:
    """Approval to a credit is none to paying it back: that is asked for once the note is there."""
    if note.remainder_to != CreditRemainder.REFUND or not note.unapplied_amount:
        return
    if is_refused(proposed_refund(note, actor=actor, reason=note.reason)):
        raise RefundRequiresApproval(
            f"{note.unapplied_amount} {note.currency} would be paid back, which needs approval of its own. Keep it on"
            " the customer's balance, then ask for paying it back on the page of the credit note."
        )


@dataclass(frozen=True)
class _Billed:
    """An issued invoice as the credits see it: what it charged, who bears it, what was taken back before."""

    invoice: Invoice
    lines: list[InvoiceLine]
    taxes: dict[Row, InvoiceTax]
    shares: dict[UUID, list[CostAllocation]]  # by line, in the order they were posted
    credited: dict[UUID, Decimal]  # nets by line

    @property
    def left(self) -> dict[UUID, Decimal]:
        return credit_amounts.left_of({line.pk: line.net_amount for line in self.lines}, self.credited)


def _billed(invoice: Invoice) -> _Billed:
    shares = defaultdict(list)
    for share in live_allocations(invoice=invoice).filter(credit_note=None).select_related("department"):
        shares[share.line_id].append(share)
    credited = (
        CreditNoteLine.objects.filter(line__invoice=invoice).values_list("line").annotate(Sum("net_amount"))
    )
    return _Billed(
        invoice=invoice,
        lines=list(invoice.lines.select_related("product").order_by("position")),
        taxes={(tax.category, tax.percent): tax for tax in invoice.taxes.all()},
        shares=shares,
        credited=dict(credited),
    )


def _wanted(
    billed: _Billed, lines: Mapping[UUID, Decimal] | None, net_amount: Decimal | None
) -> dict[UUID, Decimal]:
    """The nets to take back by line, none of them zero."""
    invoice, left = billed.invoice, billed.left
    if lines is not None and net_amount is not None:
        raise Invalid("Name the lines or an amount, not both.")
    if lines is not None:
        if stranger := lines.keys() - {line.pk for line in billed.lines}:
            raise LineOfAnotherInvoice(f"{invoice.number} has no line {min(stranger)}.")
        if wrong := [a for a in lines.values() if not a or not Money(a, invoice.currency).is_payable]:
            raise Invalid(f"{wrong[0]} is not an amount of {invoice.currency} that can be credited.")
        wanted = dict(lines)
    elif net_amount is not None:
        wanted = _spread(net_amount, left, invoice)
    else:
        wanted = left
    if not wanted:
        raise NothingToCredit(f"Nothing is left of {invoice.number} to be credited.")
    return wanted


def _spread(net_amount: Decimal, left: Mapping[UUID, Decimal], invoice: Invoice) -> dict[UUID, Decimal]:
    if net_amount <= 0 or not Money(net_amount, invoice.currency).is_payable:
        raise Invalid(f"{net_amount} is not an amount of {invoice.currency} that can be credited.")
    whole = total_of(list(left.values()))
    if net_amount > whole:
        raise CreditExceedsInvoice(
            f"{whole} {invoice.currency} net is left of {invoice.number}, not {net_amount}.", left=str(whole)
        )
    return credit_amounts.spread(net_amount, left, invoice.currency)


@dataclass(frozen=True)
class CreditParts:
    """What a note takes back: by line, by tax category, and by department."""

    lines: list[CreditNoteLine]
    taxes: list[CreditNoteTax]
    shares: list[CostAllocation]


def _parts(note: CreditNote, billed: _Billed, amounts: Mapping[UUID, Decimal]) -> CreditParts:
    rows: dict[Row, list[InvoiceLine]] = defaultdict(list)
    for line in billed.lines:
        rows[line.tax_category, line.tax_percent].append(line)
    parts = CreditParts(
        lines=[
            CreditNoteLine(credit_note=note, line=line, net_amount=amounts[line.pk], currency=note.currency)
            for line in billed.lines
            if line.pk in amounts
        ],
        taxes=[],
        shares=[],
    )
    for key in sorted(rows):
        if amounts.keys() & {line.pk for line in rows[key]}:
            _credit_row(note, billed, billed.taxes[key], rows[key], amounts, parts)
    return parts


def _credit_row(
    note: CreditNote,
    billed: _Billed,
    tax: InvoiceTax,
    lines: Sequence[InvoiceLine],
    amounts: Mapping[UUID, Decimal],
    parts: CreditParts,
) -> None:
    row = credit_amounts.BilledRow(
        percent=tax.percent,
        tax=tax.tax_amount,
        lines=[
            credit_amounts.BilledLine(
                net=line.net_amount,
                shares=[
                    credit_amounts.BilledShare(net=share.net_amount, tax=share.tax_amount)
                    for share in billed.shares[line.pk]
                ],
            )
            for line in lines
        ],
    )
    zero = Decimal(0)
    try:
        taken = credit_amounts.credit(
            row,
            before=[billed.credited.get(line.pk, zero) for line in lines],
            amounts=[amounts.get(line.pk, zero) for line in lines],
            currency=note.currency,
        )
    except credit_amounts.CreditExceeds as error:
        raise CreditExceedsInvoice(
            f"Together with what was credited before, {error} of {billed.invoice.number} would be taken back."
        ) from error
    parts.taxes.append(
        CreditNoteTax(
            credit_note=note,
            category=tax.category,
            percent=tax.percent,
            taxable_amount=taken.net,
            tax_amount=taken.tax,
            currency=note.currency,
            exemption_reason=tax.exemption_reason,
        )
    )
    for line, back in zip(lines, taken.shares, strict=True):
        parts.shares.extend(
            _share_back(note, line, share, part)
            for share, part in zip(billed.shares[line.pk], back, strict=True)
            if part.net or part.tax
        )


def _share_back(
    note: CreditNote, line: InvoiceLine, share: CostAllocation, part: credit_amounts.BilledShare
) -> CostAllocation:
    return CostAllocation(
        line=line,
        invoice_id=share.invoice_id,
        entity_id=share.entity_id,
        department=share.department,
        gl_code=share.gl_code,
        net_amount=-part.net,
        tax_amount=-part.tax,
        currency=share.currency,
        gl_source=share.gl_source,
        gl_mapping_id=share.gl_mapping_id,
        basis=AllocationBasis.CREDIT,
        credit_note=note,
        reason=note.reason,
    )


def _booking(
    note: CreditNote, invoice: Invoice, parts: CreditParts, *, settled: Decimal, posted_on: date
) -> EntryDraft:
    """Revenue and tax where they were booked, against the receivable it settles and the customer's balance."""
    customer = {"customer_id": note.customer_id}
    lines = {line.line_id: line.line for line in parts.lines}
    return EntryDraft(
        entity_id=note.seller_id,
        posted_on=posted_on,
        source=f"credit_note:{note.pk}",
        event="issued",
        description=f"Credit of {invoice.number}",
        lines=(
            *(
                debit(
                    income_account(lines[share.line_id]),
                    -share.net_amount,
                    note.currency,
                    department_id=share.department_id,
                    product_code=lines[share.line_id].product_code,
                    gl_code=share.gl_code,
                    **customer,
                )
                for share in parts.shares
                if share.net_amount
            ),
            *(
                debit(TAX_PAYABLE, tax.tax_amount, note.currency, gl_code=tax.category, **customer)
                for tax in parts.taxes
            ),
            credit(RECEIVABLE, settled, note.currency, **customer),
            credit(CUSTOMER_BALANCE, note.total_amount - settled, note.currency, **customer),
        ),
    )


def _number(note: CreditNote) -> None:
    """Last of all, because the counter's row makes everybody wait."""
    year = fiscal_year_of(note.issued_on, starts_in=note.seller.fiscal_year_starts_in)
    [note.sequence] = take_numbers(
        seller_id=note.seller_id, series=note.series, fiscal_year=year, issued_on=note.issued_on
    )
    note.fiscal_year = year
    note.number = number_text(series=note.series, fiscal_year=year, sequence=note.sequence)


def _tell(note: CreditNote, invoice: Invoice, *, actor: str) -> None:
    audit.record(
        actor=actor,
        action="credit_note.issued",
        subject=note,
        reason=note.reason,
        detail={
            "number": note.number,
            "invoice": invoice.number,
            "total": round_half_up(note.total_amount, note.currency),
            "currency": note.currency,
        },
    )
    events.publish(
        CreditNoteIssued(credit_note_id=note.pk, invoice_id=invoice.pk, entity_id=note.customer_id)
    )
