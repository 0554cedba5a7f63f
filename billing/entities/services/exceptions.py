"""Exceptions to the table of conflicting roles: dated, and allowed by a controller who is not the person."""

from datetime import date
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from billing.access.models import UserKind
from billing.access.queries import acting_user
from billing.access.roles import in_conflict
from billing.entities.errors import InvalidRoleException, RoleExceptionInUse, RolesConflict
from billing.entities.models import RoleException
from billing.entities.reach import may
from billing.entities.services.grants import locked_person, open_entity, require_no_conflicts
from billing.kernel import audit
from billing.kernel.advisory_locks import TREE_OF
from billing.kernel.errors import FourEyesRequired, NotFound
from billing.kernel.versions import require_version

APPROVE = "entities.approve_exception"
DAYS_MAX = 366


@transaction.atomic
def approve_exception(
    *,
    actor: str,
    person_id: UUID,
    role: str,
    other_role: str,
    entity_id: UUID,
    starts_on: date,
    ends_on: date,
    reason: str,
) -> RoleException:
    """Allow a person to hold two conflicting roles over the entity and all below it, from `starts_on` until before
    `ends_on` (at most a year). The roles are granted as any other, and end with the exception at the latest.

    Raises NotFound, UserInactive, EntityClosed, InvalidRoleException, FourEyesRequired for the person himself, for a command and
    for who is no controller there.
    """
    person = locked_person(person_id)
    entity = open_entity(entity_id)
    approver = acting_user(actor)
    if approver is None or approver.person_id == person.person_id or not may(approver, APPROVE, entity):
        raise FourEyesRequired("A controller who is somebody else allows this.")
    if person.kind != UserKind.PERSON:
        raise InvalidRoleException("Name the person who owns the service account.")
    if not in_conflict(role, other_role):
        raise InvalidRoleException("These roles do not conflict.")
    if not starts_on < ends_on or (ends_on - starts_on).days > DAYS_MAX:
        raise InvalidRoleException(f"{starts_on} to {ends_on} is not a time of at most a year.")
    if not reason.strip():
        raise InvalidRoleException("An exception says why.")
    first, second = sorted((role, other_role))
    exception = RoleException.objects.create(
        person=person,
        role=first,
        other_role=second,
        entity=entity,
        starts_on=starts_on,
        ends_on=ends_on,
        approved_by=approver,
        reason=reason,
    )
    audit.record(
        actor=actor,
        action="role_exception.approved",
        subject=exception,
        reason=reason,
        detail={"person": person.pk, "roles": [first, second], "starts_on": starts_on, "ends_on": ends_on},
    )
    return exception


@transaction.atomic
def revoke_exception(
    *, actor: str, exception_id: UUID, reason: str, version: int | None = None
) -> RoleException:
    """Take an exception back that no grant needs any more. Doing it again changes nothing.

    Raises NotFound, PreconditionFailed, RoleExceptionInUse.
    """
    found = RoleException.objects.select_related("person").filter(pk=exception_id).first()
    if found is None:
        raise NotFound("There is no such exception.")
    locked_person(found.person_id, active=False)
    TREE_OF["entities"].take(shared=True)
    exception = RoleException.objects.locked().get(pk=exception_id)
    require_version(exception, version)
    if exception.revoked_at is None:
        exception.revoked_at = timezone.now()
        try:
            require_no_conflicts(found.person, without=exception, now=exception.revoked_at)
        except RolesConflict as conflict:
            raise RoleExceptionInUse(conflict.detail) from conflict
        exception.save(update_fields=["revoked_at"])
        exception.refresh_from_db()
        audit.record(actor=actor, action="role_exception.revoked", subject=exception, reason=reason)
    return exception
