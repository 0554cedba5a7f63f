"""Letting somebody else decide while one is away: dated, limited, written down, and revocable."""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from approvals.errors import DelegationRefused
from approvals.kinds import EFFECTS
from approvals.models import ApprovalDelegation
from approvals.routing import DECIDE
from approvals.services.notifications import tell_delegate
from billing.access.models import User, UserKind
from billing.access.queries import acting_user
from billing.entities.reach import may
from billing.kernel import audit
from billing.kernel.errors import NotFound
from billing.kernel.money import Money

DAYS_MAX = 366


@transaction.atomic
def delegate_approvals(
    *,
    actor: str,
    delegate_id: UUID,
    starts_on: date,
    ends_on: date,
    reason: str,
    as_of: date,
    kinds: Sequence[str] = (),
    amount: Decimal | None = None,
    currency: str = "",
) -> ApprovalDelegation:
    """From `starts_on` until before `ends_on` (days in UTC, at most a year) the delegate may decide in the actor's
    place, requests of `kinds` (none: all) up to `amount` in `currency` (none: the actor's own limits). The
    delegate needs a role to decide of his own, and passes nothing on.

    Raises NotFound, DelegationRefused.
    """
    delegator = acting_user(actor)
    delegate = User.objects.filter(pk=delegate_id).first()
    if delegate is None:
        raise NotFound("There is no such user.")
    if delegator is None or not may(delegator, DECIDE):
        raise DelegationRefused("Only who may decide lets others do so.")
    if delegate.person_id == delegator.pk or delegate.kind != UserKind.PERSON:
        raise DelegationRefused("A delegate is another person.")
    if not delegate.is_active or not may(delegate, DECIDE):
        raise DelegationRefused(f"{delegate} holds no role to decide.")
    if not starts_on < ends_on or ends_on <= as_of or (ends_on - starts_on).days > DAYS_MAX:
        raise DelegationRefused(f"{starts_on} to {ends_on} is not a time to stand in, of at most a year.")
    if unknown := sorted(set(kinds) - EFFECTS.keys()):
        raise DelegationRefused(f"There is no kind '{unknown[0]}'.")
    if (amount is None) != (not currency) or (
        amount is not None and (amount < 0 or not Money(amount, currency).is_payable)
    ):
        raise DelegationRefused("A limit is an amount in a currency.")
    delegation = ApprovalDelegation.objects.create(
        delegator=delegator,
        delegate=delegate,
        starts_on=starts_on,
        ends_on=ends_on,
        kinds=sorted(set(kinds)),
        amount=amount,
        currency=currency,
        reason=reason,
    )
    audit.record(
        actor=actor,
        action="approvals.delegated",
        subject=delegation,
        reason=reason,
        detail={"delegate": delegate_id, "starts_on": starts_on, "ends_on": ends_on, "kinds": sorted(kinds)},
    )
    tell_delegate(delegation)
    return delegation


@transaction.atomic
def revoke_delegation(*, actor: str, delegation_id: UUID) -> ApprovalDelegation:
    """Take a delegation back at once; by either of the two. Doing it again changes nothing. Raises NotFound."""
    user = acting_user(actor)
    delegation = ApprovalDelegation.objects.locked().filter(pk=delegation_id).first()
    if delegation is None or user is None or user.pk not in {delegation.delegator_id, delegation.delegate_id}:
        raise NotFound("There is no such delegation of yours.")
    if delegation.revoked_at is None:
        delegation.revoked_at = timezone.now()
        delegation.save(update_fields=["revoked_at"])
        delegation.refresh_from_db()
        audit.record(actor=actor, action="approvals.delegation_revoked", subject=delegation)
    return delegation
