"""Which customers are reminded by which policy."""

from datetime import date
from uuid import UUID

from django.db import transaction
from django.db.models import Q

from billing.dunning.errors import (
    AssignmentOverlaps,
    InvalidAssignmentEndDate,
    PolicyNotActive,
    PolicyOfAnotherSeller,
)
from billing.dunning.models import DunningAssignment, DunningPolicy
from billing.dunning.states import PolicyState
from billing.entities.models import BillingEntity
from billing.kernel import audit
from billing.kernel.errors import NotFound
from billing.kernel.versions import require_version


@transaction.atomic
def assign_policy(
    *, actor: str, customer_id: UUID, policy_id: UUID, starts_on: date, ends_on: date | None = None
) -> DunningAssignment:
    """From `starts_on` until `ends_on` (exclusive) the customer and all below it go by the policy's code.

    The nearest assignment above a customer counts. It is for cases opened from now on. Raises NotFound,
    PolicyNotActive, PolicyOfAnotherSeller, InvalidAssignmentEndDate, AssignmentOverlaps.
    """
    if ends_on is not None and ends_on <= starts_on:
        raise InvalidAssignmentEndDate("It ends after the day on which it starts.")
    customer = BillingEntity.objects.locked().filter(pk=customer_id).first()
    policy = DunningPolicy.objects.select_related("seller").filter(pk=policy_id).first()
    if customer is None or policy is None:
        raise NotFound("There is no such customer or policy.")
    if policy.state != PolicyState.ACTIVE:
        raise PolicyNotActive(f"{policy} is {policy.state}.")
    if customer.pk == policy.seller_id or not customer.path.startswith(policy.seller.path):
        raise PolicyOfAnotherSeller(f"{policy.seller} does not sell to {customer}.")
    others = DunningAssignment.objects.filter(
        Q(ends_on__isnull=True) | Q(ends_on__gt=starts_on), customer=customer, seller_id=policy.seller_id
    )
    if other := (others if ends_on is None else others.filter(starts_on__lt=ends_on)).first():
        raise AssignmentOverlaps(f"{customer.code} has another from {other.starts_on} on.")
    assignment = DunningAssignment.objects.create(
        seller_id=policy.seller_id, customer=customer, policy=policy, starts_on=starts_on, ends_on=ends_on
    )
    audit.record(
        actor=actor, action="dunning_policy.assigned", subject=assignment, detail={"policy": policy.code}
    )
    return assignment


@transaction.atomic
def end_assignment(
    *, actor: str, assignment_id: UUID, ends_on: date, reason: str, version: int | None = None
) -> DunningAssignment:
    """Let it end on a day (exclusive) before the one on which it would. Raises NotFound, InvalidAssignmentEndDate,
    PreconditionFailed."""
    known = DunningAssignment.objects.filter(pk=assignment_id).values_list("customer_id", flat=True)
    if not known:
        raise NotFound("There is no such assignment.")
    BillingEntity.objects.locked().get(pk=known[0])
    assignment = DunningAssignment.objects.locked().get(pk=assignment_id)
    require_version(assignment, version)
    if ends_on <= assignment.starts_on or (assignment.ends_on and ends_on >= assignment.ends_on):
        raise InvalidAssignmentEndDate(
            f"It runs from {assignment.starts_on} to {assignment.ends_on or 'further notice'}:"
            " it can only end between these days."
        )
    assignment.ends_on = ends_on
    assignment.save(update_fields=["ends_on"])
    assignment.refresh_from_db()
    audit.record(actor=actor, action="dunning_assignment.ended", subject=assignment, reason=reason)
    return assignment
