"""Pausing the dunning of an invoice, or of a part of it. What disputes and promises to pay stand on."""

from datetime import date
from decimal import Decimal
from uuid import UUID

from django.db import transaction
from django.db.models import Q, Sum

from billing.dunning.errors import HoldExceedsOpenAmount, InvalidHoldEndDate, InvoiceNotOpen
from billing.dunning.models import DunningPause
from billing.dunning.states import PauseKind
from billing.invoicing.models import Invoice
from billing.invoicing.states import InvoiceState
from billing.kernel import audit
from billing.kernel.errors import Invalid, NotFound
from billing.kernel.money import Money
from billing.kernel.versions import require_version


@transaction.atomic
def pause_dunning(
    *,
    actor: str,
    invoice_id: UUID,
    reason: str,
    as_of: date,
    amount: Decimal | None = None,
    ends_on: date | None = None,
    kind: str = PauseKind.OTHER,
) -> DunningPause:
    """From `as_of` until `ends_on` (exclusive; None: until it is resumed) no step asks for `amount` of the invoice.

    None is the whole invoice, whatever is open of it. `amount` is in the invoice's currency, tax included.
    The rest stays collectable. While all that is open is paused no step is due, and the days are not counted.
    Raises NotFound, InvoiceNotOpen, HoldExceedsOpenAmount (parts together never exceed what is open), InvalidHoldEndDate,
    Invalid (an amount that is none, a promise to pay without a day).
    """
    if kind not in PauseKind.values:
        raise Invalid(f"'{kind}' is no kind of pause.", known=PauseKind.values)
    if ends_on is None and kind == PauseKind.PROMISE_TO_PAY:
        raise Invalid("A promise to pay names the day until which it is waited for.", field="ends_on")
    if ends_on is not None and ends_on <= as_of:
        raise InvalidHoldEndDate(f"It would end on {ends_on}, and begins on {as_of}.")
    invoice = Invoice.objects.locked().filter(pk=invoice_id).first()
    if invoice is None:
        raise NotFound("There is no such invoice.")
    if invoice.state != InvoiceState.ISSUED:
        raise InvoiceNotOpen(f"{invoice} is {invoice.state}.")
    if amount is not None:
        _require_open(invoice, amount, as_of)
    pause = DunningPause.objects.create(
        invoice=invoice,
        customer_id=invoice.customer_id,
        kind=kind,
        amount=amount,
        currency=invoice.currency,
        reason=reason,
        starts_on=as_of,
        ends_on=ends_on,
    )
    audit.record(actor=actor, action="dunning.paused", subject=pause, reason=reason, detail=_said(pause))
    return pause


@transaction.atomic
def resume_dunning(
    *, actor: str, pause_id: UUID, as_of: date, reason: str, version: int | None = None
) -> DunningPause:
    """End a pause: from `as_of` its amount is asked for again, and days count again.

    Raises NotFound, InvalidHoldEndDate if it is over already, PreconditionFailed.
    """
    known = DunningPause.objects.filter(pk=pause_id).values_list("invoice_id", flat=True)
    if not known:
        raise NotFound("There is no such pause.")
    Invoice.objects.locked().get(pk=known[0])
    pause = DunningPause.objects.locked().get(pk=pause_id)
    require_version(pause, version)
    if pause.ends_on is not None and pause.ends_on <= as_of:
        raise InvalidHoldEndDate(f"It ended on {pause.ends_on}.")
    pause.ends_on = max(as_of, pause.starts_on)
    pause.save(update_fields=["ends_on"])
    pause.refresh_from_db()
    audit.record(actor=actor, action="dunning.resumed", subject=pause, reason=reason, detail=_said(pause))
    return pause


def _require_open(invoice: Invoice, amount: Decimal, as_of: date) -> None:
    if amount <= 0 or not Money(amount, invoice.currency).is_payable:
        raise Invalid(f"{amount} {invoice.currency} is no amount to pause.", field="amount")
    parts = DunningPause.objects.filter(
        Q(ends_on__isnull=True) | Q(ends_on__gt=as_of), invoice=invoice, amount__isnull=False
    )
    paused = parts.aggregate(total=Sum("amount"))["total"] or Decimal(0)
    if paused + amount > invoice.balance_amount:
        raise HoldExceedsOpenAmount(
            f"{invoice}: {invoice.balance_amount} {invoice.currency} is open, {paused} of it paused already.",
            open_amount=str(invoice.balance_amount),
            paused_amount=str(paused),
        )


def _said(pause: DunningPause) -> dict:
    return {
        "kind": pause.kind,
        "amount": pause.amount,
        "currency": pause.currency,
        "starts_on": pause.starts_on,
        "ends_on": pause.ends_on,
    }
