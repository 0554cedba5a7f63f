from dataclasses import dataclass, replace
from datetime import date
from uuid import UUID

from django.db import transaction
from django.db.models import Max
from django.db.models.functions import Length
from django.utils import timezone

from billing.entities import queries
from billing.entities.errors import (
    EntityClosed,
    HierarchyLoop,
    MoveBeforePreviousMove,
    MovePlanned,
    NoMovePlanned,
)
from billing.entities.events import EntityMoved
from billing.entities.models import BillingEntity, EntityRelation
from billing.entities.paths import SEGMENT, depth_of
from billing.entities.services.move_conflicts import require_no_role_conflict
from billing.entities.services.trees import lock_trees, require_active, require_depth
from billing.entities.states import EntityState
from billing.kernel import audit
from billing.kernel.errors import DomainError, Invalid
from billing.kernel.events import publish
from billing.kernel.retrying import retrying
from billing.kernel.versions import require_version


@transaction.atomic
def move_entity(
    *,
    actor: str,
    entity_id: UUID,
    parent_id: UUID,
    effective_on: date,
    as_of: date,
    reason: str,
    version: int | None = None,
) -> BillingEntity:
    """Place an entity, with all below it, under another parent from `effective_on`.

    Up to `as_of` (today) it happens now; later, it is planned and `apply_move` does it on the day. Documents
    keep what they were issued with. Raises NotFound, PreconditionFailed, EntityClosed, ParentNotActive,
    HierarchyLoop, HierarchyTooDeep, HierarchyChanged, RolesConflict, MovePlanned, MoveBeforePreviousMove, Invalid.
    """
    rows = lock_trees({entity_id, parent_id})
    entity, parent = rows[entity_id], rows[parent_id]
    require_version(entity, version)
    if entity.state == EntityState.CLOSED:
        raise EntityClosed(f"{entity.code} is closed.")
    if entity.parent_id == parent.pk:
        raise Invalid(f"{entity.code} is below {parent.code} already.", field="parent_id")
    _require_place(entity, parent)
    require_no_role_conflict(
        entity, parent, on=effective_on if effective_on > as_of else _not_after_today(as_of)
    )
    _rewrite_relations(entity, parent, effective_on=effective_on, as_of=as_of)
    detail = {"from": entity.parent_id, "to": parent.pk, "effective_on": effective_on}
    if effective_on > as_of:
        audit.record(actor=actor, action="entity.move_planned", subject=entity, reason=reason, detail=detail)
        return entity
    return _switch(entity, parent, actor=actor, effective_on=effective_on, reason=reason)


@transaction.atomic
def cancel_move(*, actor: str, entity_id: UUID, reason: str) -> BillingEntity:
    """Take back a planned move that has not happened, be it that its day has come and it was refused. Raises NotFound,
    NoMovePlanned."""
    entity = lock_trees([entity_id])[entity_id]
    planned = EntityRelation.objects.locked().filter(entity=entity, ends_on=None).first()
    if planned is None or planned.parent_id == entity.parent_id:
        raise NoMovePlanned(f"No move of {entity.code} is planned.")
    day = planned.starts_on
    planned.delete()
    EntityRelation.objects.filter(entity=entity, ends_on=day).update(ends_on=None)
    audit.record(
        actor=actor,
        action="entity.move_canceled",
        subject=entity,
        reason=reason,
        detail={"effective_on": day},
    )
    return entity


@retrying
@transaction.atomic
def apply_move(*, actor: str, entity_id: UUID, as_of: date) -> BillingEntity:
    """Do the move that was planned for `as_of` or earlier. If it is done already, nothing changes.

    Raises NotFound, ParentNotActive, HierarchyLoop, HierarchyTooDeep, HierarchyChanged, RolesConflict: roles may have
    been granted since it was planned.
    """
    due = queries.due_moves(as_of=as_of).filter(entity=entity_id).first()
    if due is None:
        return lock_trees([entity_id])[entity_id]
    rows = lock_trees({entity_id, due.parent_id})
    entity, parent = rows[entity_id], rows[due.parent_id]
    if not queries.due_moves(as_of=as_of).filter(pk=due.pk).exists():
        return entity  # a rival was faster
    _require_place(entity, parent)
    require_no_role_conflict(entity, parent, on=_not_after_today(as_of))
    return _switch(entity, parent, actor=actor, effective_on=due.starts_on, reason="planned move")


@dataclass(frozen=True)
class MoveOutcome:
    code: str
    parent: str
    effective_on: date
    error: str = ""


def apply_due_moves(*, actor: str, as_of: date) -> list[MoveOutcome]:
    """Do every move that was planned for `as_of` or earlier, each in its own transaction.

    One that cannot be made is reported and stops no other. Running again does what is left.
    """
    outcomes = []
    for due in queries.due_moves(as_of=as_of):
        outcome = MoveOutcome(due.entity.code, due.parent.code, due.starts_on)
        try:
            apply_move(actor=actor, entity_id=due.entity_id, as_of=as_of)
        except DomainError as refusal:
            outcome = replace(outcome, error=refusal.detail)
        outcomes.append(outcome)
    return outcomes


def _not_after_today(as_of: date) -> date:
    """What happens now is judged by the database too, which knows no other day than today (UTC)."""
    return min(as_of, timezone.now().date())


def _require_place(entity: BillingEntity, parent: BillingEntity) -> None:
    if parent.path.startswith(entity.path):
        raise HierarchyLoop(f"{parent.code} is {entity.code} or below it.")
    require_active(parent)
    below = BillingEntity.objects.filter(path__startswith=entity.path)
    deepest = below.aggregate(length=Max(Length("path")))["length"]
    require_depth(parent, deepest // SEGMENT - depth_of(entity.path) + 1)


def _rewrite_relations(
    entity: BillingEntity, parent: BillingEntity, *, effective_on: date, as_of: date
) -> None:
    present = EntityRelation.objects.locked().filter(entity=entity, ends_on=None).first()
    if present is not None:
        if present.parent_id != entity.parent_id:
            raise MovePlanned(
                f"A move on {present.starts_on} is planned.", effective_on=str(present.starts_on)
            )
        if effective_on < present.starts_on:
            raise MoveBeforePreviousMove(
                f"{entity.code} is where it is since {present.starts_on}.", since=str(present.starts_on)
            )
        if effective_on == present.starts_on and effective_on <= as_of:
            # It never was there for a day: the audit trail remembers, the history does not.
            present.parent = parent
            present.save(update_fields=["parent"])
            return
        present.ends_on = effective_on
        present.save(update_fields=["ends_on"])
    EntityRelation.objects.create(entity=entity, parent=parent, starts_on=effective_on)


def _switch(
    entity: BillingEntity, parent: BillingEntity, *, actor: str, effective_on: date, reason: str
) -> BillingEntity:
    old_parent_id = entity.parent_id
    entity.parent = parent
    entity.save(update_fields=["parent"])
    entity.refresh_from_db()
    audit.record(
        actor=actor,
        action="entity.moved",
        subject=entity,
        reason=reason,
        detail={"from": old_parent_id, "to": parent.pk, "effective_on": effective_on},
    )
    publish(
        EntityMoved(
            entity_id=entity.pk,
            old_parent_id=old_parent_id,
            new_parent_id=parent.pk,
            effective_on=effective_on,
        )
    )
    return entity
