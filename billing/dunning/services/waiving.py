from uuid import UUID

from django.db import transaction

from billing.dunning.models import LateFee
from billing.dunning.states import FEE_MOVES
from billing.kernel import audit
from billing.kernel.errors import NotFound
from billing.kernel.states import next_state
from billing.kernel.versions import require_version


@transaction.atomic
def waive_late_fee(*, actor: str, fee_id: UUID, reason: str, version: int | None = None) -> LateFee:
    """Do without a late fee: it will not be billed. Its days stay charged, so nobody charges them again.

    Raises NotFound, PreconditionFailed, IllegalMove.
    """
    fee = LateFee.objects.locked().filter(pk=fee_id).first()
    if fee is None:
        raise NotFound("There is no such late fee.")
    require_version(fee, version)
    fee.state = next_state(FEE_MOVES, action="waive", current=fee.state)
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
