from uuid import UUID

from django.db import transaction

from billing.dunning.errors import LateFeeBilled
from billing.dunning.models import LateFee, LateFeeClaim
from billing.dunning.states import FEE_MOVES
from billing.entities.models import BillingEntity
from billing.invoicing.models import Invoice
from billing.invoicing.states import InvoiceState
from billing.kernel import audit
from billing.kernel.errors import NotFound
from billing.kernel.states import next_state
from billing.kernel.versions import require_version


@transaction.atomic
def waive_late_fee(*, actor: str, fee_id: UUID, reason: str, version: int | None = None) -> LateFee:
    """Do without a late fee: it will not be billed. Its days stay charged, so nobody charges them again.

    A draft that it is on is taken back; the next drafting makes it anew without the fee. Raises NotFound,
    PreconditionFailed, IllegalMove, LateFeeBilled while it is on an issued invoice: that is credited, or voided.
    """
    known = LateFee.objects.filter(pk=fee_id).values_list("customer_id", flat=True)
    if not known:
        raise NotFound("There is no such late fee.")
    BillingEntity.objects.locked().get(pk=known[0])  # nobody drafts the customer's invoices meanwhile
    claims = LateFeeClaim.objects.filter(fee=fee_id, released_at__isnull=True)
    billing = Invoice.objects.locked().filter(pk__in=claims.values("line__invoice")).first()
    fee = LateFee.objects.locked().get(pk=fee_id)
    require_version(fee, version)
    fee.state = next_state(FEE_MOVES, action="waive", current=fee.state)
    if billing:
        _take_back(billing)
    fee.save(update_fields=["state"])
    fee.refresh_from_db()
    audit.record(
        actor=actor,
        action="late_fee.waived",
        subject=fee,
        reason=reason,
        detail={"amount": fee.amount, "currency": fee.currency},
    )
    return fee


def _take_back(billing: Invoice) -> None:
    if billing.state == InvoiceState.VOID:
        return  # in the moment before we had its lock
    if billing.state != InvoiceState.DRAFT:
        raise LateFeeBilled(
            f"It is on {billing.number}: credit it there, or void that invoice first.",
            invoice=str(billing.pk),
        )
    billing.delete()
