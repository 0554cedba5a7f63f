"""Credit notes above a limit: asked for with their terms, issued on the day the last consent is given."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db import connection
from django.db.models import Sum

from approvals import routing
from approvals.core.rules import in_base
from approvals.models import ApprovalEffect, ApprovalRequest
from approvals.services.requesting import SPLIT_WINDOW, request_approval, with_others
from approvals.states import RequestState
from billing.access.queries import acting_user
from billing.entities.queries import today_at
from billing.invoicing import services as invoicing
from billing.invoicing.models import CreditNote, Invoice
from billing.invoicing.states import CreditRemainder
from billing.kernel.audit import plain
from billing.kernel.errors import NotFound

CREDIT_NOTE = "credit_note"


def request_credit_note(
    *,
    actor: str,
    invoice_id: UUID,
    reason: str,
    at: datetime,
    lines: Mapping[UUID, Decimal] | None = None,
    net_amount: Decimal | None = None,
    remainder_to: str = CreditRemainder.BALANCE,
    comment: str = "",
) -> ApprovalRequest:
    """Ask for consent to a credit note with these terms, as `issue_credit_note` takes them. Its total, with tax, is
    the amount. Another request over the same invoice is superseded. Two transactions, so that the locks of the
    preview are gone before the request takes its own; within a greater one, its savepoint lets go of them.

    Raises what `preview_credit_note` and `request_approval` raise.
    """
    invoice = Invoice.objects.select_related("seller").filter(pk=invoice_id).first()
    if invoice is None:
        raise NotFound("There is no such invoice.")
    terms = {"reason": reason, "lines": lines, "net_amount": net_amount, "remainder_to": remainder_to}
    note, _ = invoicing.preview_credit_note(
        invoice_id=invoice_id, issued_on=today_at(invoice.seller), **terms
    )
    return request_approval(
        actor=actor,
        kind=CREDIT_NOTE,
        subject_id=invoice_id,
        title=f"Credit of {invoice.number}",
        entity_id=invoice.customer_id,
        amount=note.total_amount,
        currency=note.currency,
        terms=credit_terms(terms),
        at=at,
        unasked=credited_unasked(note, at=at),
        comment=comment,
    )


def needs_consent(note: CreditNote, *, actor: str, at: datetime) -> bool:
    """Whether a rule other than a fallback covers the note, together with what was credited to the customer and
    asked for in 24 hours. Without a known rate its amount is above every bound. Called in the transaction that
    issues it: credits of one customer with a limit wait for each other, so that no two miss one another in the sum."""
    entity = note.customer
    if not routing.has_limits(CREDIT_NOTE, entity):
        return False
    _one_after_the_other(entity.pk)
    user = acting_user(actor)
    base_currency = routing.base_currency_of(entity)
    rate = Decimal(1) if note.currency == base_currency else None
    request = ApprovalRequest(
        kind=CREDIT_NOTE,
        subject_id=note.invoice_id,
        entity=entity,
        amount=note.total_amount,
        currency=note.currency,
        rate=rate,
        base_amount=in_base(note.total_amount, rate, base_currency) if rate else None,
        base_currency=base_currency,
        requester_id=user.person_id if user else None,
    )
    request.matched_amount = with_others(request, at=at, unasked=credited_unasked(note, at=at))
    return routing.covering_rule(request) is not None


def _one_after_the_other(customer_id: UUID) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"credits of {customer_id}"])


def is_being_carried_out(note: CreditNote, terms: Mapping[str, object]) -> bool:
    """Whether a request for exactly this has just been approved. Only within that transaction is it approved and
    not carried out: the database lets nothing else commit."""
    return any(
        request.content["terms"] == credit_terms(terms)
        for request in ApprovalRequest.objects.filter(
            kind=CREDIT_NOTE,
            subject_id=note.invoice_id,
            entity=note.customer_id,
            amount=note.total_amount,
            currency=note.currency,
            state=RequestState.APPROVED,
            effect=None,
        )
    )


def credit_terms(terms: Mapping[str, object]) -> dict:
    lines = terms["lines"]
    return plain(
        {
            "reason": terms["reason"],
            "lines": {str(line): amount for line, amount in lines.items()} if lines else None,
            "net_amount": terms["net_amount"],
            "remainder_to": terms["remainder_to"],
        }
    )


def credited_unasked(note: CreditNote, *, at: datetime) -> Decimal:
    """What was credited to the customer in the window, in the note's currency, without a request of its own."""
    recent = CreditNote.objects.filter(
        customer=note.customer_id, currency=note.currency, created_at__gt=at - SPLIT_WINDOW
    )
    asked = ApprovalEffect.objects.filter(request__kind=CREDIT_NOTE, created_at__gt=at - SPLIT_WINDOW)
    consented = [outcome["credit_note"] for outcome in asked.values_list("outcome", flat=True)]
    unasked = recent.exclude(pk=note.pk).exclude(pk__in=consented)
    return unasked.aggregate(sum=Sum("total_amount"))["sum"] or Decimal(0)
