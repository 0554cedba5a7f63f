"""Roles are granted by one person and confirmed by another; neither is the one who receives.

A service account stands for the person who owns it, here as everywhere. Commands are run by an operator
with the system in his hands: what they grant is confirmed at once, and the audit trail names the command.
"""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from billing.access.models import User, UserKind
from billing.access.queries import acting_user
from billing.access.roles import Role, in_conflict
from billing.entities.approval import proposed_grant
from billing.entities.errors import (
    DepartmentOfOtherEntity,
    DepartmentRequired,
    EntityClosed,
    GrantEnded,
    RoleNotForAccount,
    RolesConflict,
    UserInactive,
)
from billing.entities.events import GrantConfirmed, GrantRevoked
from billing.entities.models import BillingEntity, Department, RoleException, RoleGrant, RoleGrantLimit
from billing.entities.states import EntityState
from billing.kernel import audit
from billing.kernel.advisory_locks import TREE_OF
from billing.kernel.approval import require_approval
from billing.kernel.errors import FourEyesRequired, Invalid, NotFound
from billing.kernel.events import publish
from billing.kernel.money import Money
from billing.kernel.versions import require_version


@transaction.atomic
def grant_role(
    *,
    actor: str,
    user_id: UUID,
    role: str,
    entity_id: UUID,
    starts_on: date,
    department_id: UUID | None = None,
    ends_on: date | None = None,
    ends_at: datetime | None = None,
    limits: Mapping[str, Decimal] | None = None,
    reason: str = "",
) -> RoleGrant:
    """Grant `role` over the entity and all below it (or the department and all below that).

    Takes effect when somebody else confirms it; by a command, at once. Ends before `ends_on`, and at the
    latest at `ends_at`. `limits` is the largest amount per currency. Raises NotFound, UserInactive,
    RoleNotForAccount, DepartmentRequired, DepartmentOfOtherEntity, EntityClosed, FourEyesRequired, RolesConflict, Invalid.
    """
    user = locked_person(user_id)
    TREE_OF["entities"].take(shared=True)
    entity = open_entity(entity_id)
    department = _department(department_id, entity) if department_id else None
    granter = acting_user(actor)
    if granter is not None and granter.person_id == user.person_id:
        raise FourEyesRequired("Nobody grants a role to himself.")
    _require_role_fits(user, role, department)
    if ends_on is not None and ends_on <= starts_on:
        raise Invalid("A grant ends after it starts.", field="ends_on")
    now = timezone.now()
    grant = RoleGrant(
        user=user,
        role=role,
        entity=entity,
        department=department,
        starts_on=starts_on,
        ends_on=ends_on,
        ends_at=ends_at,
        granted_by=granter,
        confirmed_at=None if granter else now,
        reason=reason,
    )
    _require_no_conflict(grant, user, now=now)
    grant.save(force_insert=True)
    RoleGrantLimit.objects.bulk_create(
        RoleGrantLimit(grant=grant, currency=currency, amount=_limit(amount, currency))
        for currency, amount in sorted((limits or {}).items())
    )
    _record(grant, actor=actor, action="grant.created", reason=reason)
    if grant.confirmed_at:
        publish(GrantConfirmed(entity_id=entity.pk, grant_id=grant.pk))
    return grant


@transaction.atomic
def confirm_grant(*, actor: str, grant_id: UUID, version: int | None = None) -> RoleGrant:
    """Put a grant into effect: by somebody else than who granted it, and where a rule says so with further people's
    approval. Doing it again changes nothing. `version` is the one last seen (PreconditionFailed).

    Raises NotFound, GrantEnded, UserInactive, FourEyesRequired, RolesConflict, ApprovalRequired.
    """
    user = locked_person(_grant(grant_id).user_id)
    grant = RoleGrant.objects.locked().get(pk=grant_id)
    require_version(grant, version)
    now = timezone.now()
    if grant.revoked_at or _is_over(grant, now=now):
        raise GrantEnded("The grant has ended.")
    if grant.confirmed_at:
        return grant
    confirmer = acting_user(actor)
    involved = {user.person_id, grant.granted_by.person_id if grant.granted_by else None}
    if confirmer is None or confirmer.person_id in involved:
        raise FourEyesRequired("Somebody else must confirm this.")
    _require_no_conflict(grant, user, now=now)
    require_approval(proposed_grant(grant, actor=actor))
    grant.confirmed_by, grant.confirmed_at = confirmer, now
    grant.save(update_fields=["confirmed_by", "confirmed_at"])
    grant.refresh_from_db()
    _record(grant, actor=actor, action="grant.confirmed")
    publish(GrantConfirmed(entity_id=grant.entity_id, grant_id=grant.pk))
    return grant


@transaction.atomic
def revoke_grant(*, actor: str, grant_id: UUID, reason: str, version: int | None = None) -> RoleGrant:
    """Take a role away, with the next request of its holder. Doing it again changes nothing.

    Raises NotFound, PreconditionFailed.
    """
    _grant(grant_id)
    grant = RoleGrant.objects.locked().get(pk=grant_id)
    require_version(grant, version)
    if grant.revoked_at is None:
        grant.revoked_at = timezone.now()
        grant.save(update_fields=["revoked_at"])
        grant.refresh_from_db()
        _record(grant, actor=actor, action="grant.revoked", reason=reason)
        publish(GrantRevoked(entity_id=grant.entity_id, grant_id=grant.pk))
    return grant


def locked_person(user_id: UUID, *, active: bool = True) -> User:
    """The user, with every account of the same person locked: two grants that conflict cannot pass each other.

    Raises NotFound, and UserInactive unless those who left are as good.
    """
    person_id = User.objects.filter(pk=user_id).values_list("owner_id", flat=True).first() or user_id
    accounts = User.objects.locked().filter(Q(pk=person_id) | Q(owner=person_id))
    user = next((account for account in accounts if account.pk == user_id), None)
    if user is None:
        raise NotFound("There is no such user.")
    if active and not user.is_active:
        raise UserInactive(f"{user.name} is switched off.")
    return user


def _grant(grant_id: UUID) -> RoleGrant:
    grant = RoleGrant.objects.filter(pk=grant_id).first()
    if grant is None:
        raise NotFound("There is no such grant.")
    return grant


def open_entity(entity_id: UUID) -> BillingEntity:
    entity = BillingEntity.objects.filter(pk=entity_id).first()
    if entity is None:
        raise NotFound("There is no such entity.")
    if entity.state == EntityState.CLOSED:
        raise EntityClosed(f"{entity.code} is closed.")
    return entity


def _department(department_id: UUID, entity: BillingEntity) -> Department:
    department = Department.objects.filter(pk=department_id).first()
    if department is None:
        raise NotFound("There is no such department.")
    if department.entity_id != entity.pk:
        raise DepartmentOfOtherEntity(f"{department.code} is not a department of {entity.code}.")
    return department


def _require_role_fits(user: User, role: str, department: Department | None) -> None:
    if role not in Role.values:
        raise Invalid(f"'{role}' is not a role.", field="role")
    if (role == Role.SERVICE_ACCOUNT) != (user.kind == UserKind.SERVICE):
        raise RoleNotForAccount("Service accounts have the role SA, and only they have it.")
    if role == Role.BUDGET_OWNER and department is None:
        raise DepartmentRequired("Say which department.")


def _limit(amount: Decimal, currency: str) -> Decimal:
    if not amount.is_finite() or amount < 0 or not Money(amount, currency).is_payable:
        raise Invalid(f"{amount} {currency} is not a limit.", field="limits")
    return amount


def require_no_conflicts(person: User, *, without: RoleException, now: datetime) -> None:
    """Of all grants of the person, as if the exception were not there. Raises RolesConflict."""
    for grant in _grants_of_person(person):
        if not _is_over(grant, now=now):
            _require_no_conflict(grant, person, now=now, without=without)


def _require_no_conflict(
    grant: RoleGrant, user: User, *, now: datetime, without: RoleException | None = None
) -> None:
    """Static segregation of duties, over every account of the person, live, planned and unconfirmed alike."""
    for other in _grants_of_person(user).exclude(pk=grant.pk):
        if not in_conflict(grant.role, other.role) or _is_over(other, now=now) or not _overlap(grant, other):
            continue
        if not _is_excepted(grant, other, user, today=now.date(), without=without):
            raise RolesConflict(
                f"{Role(grant.role).label} conflicts with {Role(other.role).label}.", role=other.role
            )


def _is_excepted(
    one: RoleGrant, other: RoleGrant, user: User, *, today: date, without: RoleException | None
) -> bool:
    """Whether a controller allowed the two, on every day from `today` on which both hold."""
    role, other_role = sorted((one.role, other.role))
    exceptions = RoleException.objects.filter(
        person=user.person_id, role=role, other_role=other_role, revoked_at__isnull=True
    ).select_related("entity")
    first = max(one.starts_on, other.starts_on, today)
    ends = [end for end in (_ends_on(one), _ends_on(other)) if end is not None]
    narrower = max(one.entity.path, other.entity.path, key=len)
    return any(
        bool(ends)
        and exception.starts_on <= first
        and min(ends) <= exception.ends_on
        and narrower.startswith(exception.entity.path)
        for exception in exceptions
        if exception != without
    )


def _grants_of_person(user: User) -> QuerySet[RoleGrant]:
    return (
        RoleGrant.objects.filter(
            Q(user=user.person_id) | Q(user__owner=user.person_id), revoked_at__isnull=True
        )
        .select_related("entity", "department")
        .order_by("pk")
    )


def _is_over(grant: RoleGrant, *, now: datetime) -> bool:
    return (grant.ends_on is not None and grant.ends_on <= now.date()) or (
        grant.ends_at is not None and grant.ends_at <= now
    )


def _ends_on(grant: RoleGrant) -> date | None:
    """The first day on which it does not hold at any time."""
    by_minute = grant.ends_at.astimezone(UTC).date() + timedelta(days=1) if grant.ends_at else None
    return min((end for end in (grant.ends_on, by_minute) if end is not None), default=None)


def _overlap(one: RoleGrant, other: RoleGrant) -> bool:
    one_ends, other_ends = _ends_on(one), _ends_on(other)
    return (
        _nested(one.entity.path, other.entity.path)
        and (
            one.department is None
            or other.department is None
            or _nested(one.department.path, other.department.path)
        )
        and (one_ends is None or other.starts_on < one_ends)
        and (other_ends is None or one.starts_on < other_ends)
    )


def _nested(one: str, other: str) -> bool:
    return one.startswith(other) or other.startswith(one)


def _record(grant: RoleGrant, *, actor: str, action: str, reason: str = "") -> None:
    detail = {"user": grant.user_id, "role": grant.role, "department": grant.department_id}
    audit.record(actor=actor, action=action, subject=grant, reason=reason, detail=detail)
