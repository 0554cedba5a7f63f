from datetime import date
from decimal import Decimal
from uuid import UUID

from django.db import transaction

from billing.entities.models import BillingEntity
from billing.invoicing.approval import proposed_refund
from billing.invoicing.errors import CreditExhausted, CreditOfAnotherAccount, CreditToBePaidBack
from billing.invoicing.issuing.services.settlement import credit_invoices
from billing.invoicing.models import CreditApplication, CreditNote, Invoice
from billing.invoicing.queries import live_consolidations
from billing.invoicing.states import CreditRemainder
from billing.kernel import audit
from billing.kernel.approval import require_approval
from billing.kernel.errors import Conflict, Invalid, NotFound
from billing.kernel.money import Money, round_half_up
from billing.kernel.versions import require_version
from billing.ledger import services as ledger
from billing.ledger.accounts import CUSTOMER_BALANCE, RECEIVABLE
from billing.ledger.postings import EntryDraft, credit, debit
from billing.ledger.queries import posting_day


@transaction.atomic
def apply_credit(
    *,
    actor: str,
    credit_note_id: UUID,
    invoice_id: UUID,
    amount: Decimal,
    applied_on: date,
    version: int | None = None,
) -> CreditNote:
    """Settle an open invoice, or a part of it, with what is left of a credit note.

    The invoice is the credited customer's or one of an entity below it, of the same seller and currency. One in a
    live consolidation is settled by credits of that one's payer, and by none of others.
    `version` is the credit note's. Raises NotFound, CreditExhausted, CreditToBePaidBack, CreditOfAnotherAccount,
    InvoiceOverpaid, IllegalMove, Invalid, PreconditionFailed.
    """
    invoice = Invoice.objects.locked().filter(pk=invoice_id).first()
    note = CreditNote.objects.locked().filter(pk=credit_note_id).first()
    if invoice is None or note is None:
        raise NotFound("There is no such invoice or credit note.")
    require_version(note, version)
    _require_applicable(note, invoice, amount, applied_on)

    credit_invoices(actor=actor, settlements={invoice.pk: amount})
    note.applied_amount += amount
    note.save(update_fields=["applied_amount"])
    application = CreditApplication.objects.create(
        credit_note=note,
        invoice=invoice,
        amount=amount,
        currency=note.currency,
        applied_on=posting_day(entity_id=note.seller_id, day=applied_on),
    )
    ledger.post_entries([_booking(application, note, invoice)])
    audit.record(
        actor=actor,
        action="credit.applied",
        subject=note,
        detail={
            "invoice": invoice.pk,
            "amount": round_half_up(amount, note.currency),
            "currency": note.currency,
        },
    )
    return note


@transaction.atomic
def redirect_credit(
    *, actor: str, credit_note_id: UUID, remainder_to: str, reason: str, version: int | None = None
) -> CreditNote:
    """Say anew whether what is left of a credit note is kept for other invoices or paid back.

    Saying what it is already changes nothing. Raises Conflict if nothing is left, Invalid, PreconditionFailed,
    ApprovalRequired.
    """
    note = CreditNote.objects.locked().get(pk=credit_note_id)
    require_version(note, version)
    if remainder_to not in CreditRemainder.values:
        raise Invalid(f"'{remainder_to}' is neither balance nor refund.")
    if not note.unapplied_amount:
        raise Conflict(f"Nothing is left of {note.number}.")
    if note.remainder_to != remainder_to:
        if remainder_to == CreditRemainder.REFUND:
            require_approval(proposed_refund(note, actor=actor, reason=reason))
        note.remainder_to = remainder_to
        note.save(update_fields=["remainder_to"])
        audit.record(
            actor=actor,
            action="credit.redirected",
            subject=note,
            reason=reason,
            detail={"remainder_to": remainder_to},
        )
    return note


def _require_applicable(note: CreditNote, invoice: Invoice, amount: Decimal, applied_on: date) -> None:
    if amount <= 0 or not Money(amount, note.currency).is_payable:
        raise Invalid(f"{amount} is not an amount of {note.currency} that can be applied.")
    if (note.seller_id, note.currency) != (invoice.seller_id, invoice.currency):
        raise CreditOfAnotherAccount(f"{note.number} does not settle {invoice}.")
    _require_debtor(invoice, note)
    if note.remainder_to == CreditRemainder.REFUND:
        raise CreditToBePaidBack(f"{note.number} is to be paid back. Keep it on the balance first.")
    if amount > note.unapplied_amount:
        raise CreditExhausted(
            f"{note.unapplied_amount} {note.currency} are left of {note.number}, not {amount}.",
            unapplied=str(note.unapplied_amount),
        )
    if applied_on < note.issued_on or (invoice.issued_on and applied_on < invoice.issued_on):
        raise Invalid("A credit settles an invoice once both exist.")


def _require_debtor(invoice: Invoice, note: CreditNote) -> None:
    document = live_consolidations([invoice.pk]).get(invoice.pk)
    if document is not None and document.payer_id != note.customer_id:
        raise CreditOfAnotherAccount(f"{invoice} is part of {document}: credits of its payer settle it.")
    paths = dict(
        BillingEntity.objects.filter(pk__in={invoice.customer_id, note.customer_id}).values_list("pk", "path")
    )
    if document is None and not paths[invoice.customer_id].startswith(paths[note.customer_id]):
        raise CreditOfAnotherAccount(f"{note.number} does not settle {invoice}.")


def _booking(application: CreditApplication, note: CreditNote, invoice: Invoice) -> EntryDraft:
    return EntryDraft(
        entity_id=note.seller_id,
        posted_on=application.applied_on,
        source=f"credit_application:{application.pk}",
        event="applied",
        description=f"Credit {note.number} to {invoice.number}",
        lines=[
            debit(CUSTOMER_BALANCE, application.amount, note.currency, customer_id=note.customer_id),
            credit(RECEIVABLE, application.amount, note.currency, customer_id=invoice.customer_id),
        ],
    )
