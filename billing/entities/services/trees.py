"""Locks of the hierarchy. Whoever adds to a tree or moves in it waits for the one before.

The roots are locked first, in id order, then the entities themselves: a move carries whole subtrees
along, so a lock on the moved entity alone would let a rival work below it.
"""

from collections.abc import Iterable
from uuid import UUID

from billing.entities.errors import HierarchyChanged, HierarchyTooDeep, ParentNotActive
from billing.entities.models import BillingEntity, Department
from billing.entities.paths import DEPTH_MAX, depth_of
from billing.entities.states import EntityState
from billing.kernel.errors import NotFound


def lock_trees(entity_ids: Iterable[UUID]) -> dict[UUID, BillingEntity]:
    """The entities, locked behind their roots. Raises NotFound, HierarchyChanged."""
    wanted = set(entity_ids)
    roots = _roots_of(wanted)
    list(BillingEntity.objects.locked().filter(pk__in=roots))
    rows = {entity.pk: entity for entity in BillingEntity.objects.locked().filter(pk__in=wanted)}
    if len(rows) < len(wanted):
        raise NotFound("There is no such entity.")
    if _roots_of(wanted) != roots:
        raise HierarchyChanged("An entity was moved to another group meanwhile; try again.")
    return rows


def lock_parent(parent_id: UUID) -> BillingEntity:
    """The parent of something new, active and locked. Raises NotFound, ParentNotActive."""
    parent = lock_trees([parent_id])[parent_id]
    require_active(parent)
    return parent


def require_active(parent: BillingEntity) -> None:
    if parent.state != EntityState.ACTIVE:
        raise ParentNotActive(f"{parent.code} is {parent.state}.", state=parent.state)


def require_depth(above: BillingEntity | Department, levels: int) -> None:
    """`levels` more must fit below `above`. Raises HierarchyTooDeep."""
    if depth_of(above.path) + levels > DEPTH_MAX:
        raise HierarchyTooDeep(f"At most {DEPTH_MAX} levels.", depth_max=DEPTH_MAX)


def _roots_of(entity_ids: set[UUID]) -> set[UUID]:
    paths = BillingEntity.objects.filter(pk__in=entity_ids).values_list("path", flat=True)
    return {UUID(hex=path.split("/")[1]) for path in paths}
