"""What may be read. Everything for a user goes through `reach.visible`."""

from datetime import date
from uuid import UUID

from django.db.models import F, Q, QuerySet
from django.db.models.functions import Length

from billing.access.models import User
from billing.entities.models import BillingEntity, Department, EntityRelation, RoleGrant
from billing.entities.reach import visible

VIEW_ENTITY = "entities.view_billingentity"
VIEW_DEPARTMENT = "entities.view_department"
VIEW_GRANT = "entities.view_rolegrant"


def entities_for(user: User, verb: str = VIEW_ENTITY) -> QuerySet[BillingEntity]:
    """The entities `user` may see (or may say another `verb` to)."""
    return visible(BillingEntity.objects.all(), user=user, verb=verb, entity="")


def departments_for(user: User, verb: str = VIEW_DEPARTMENT) -> QuerySet[Department]:
    return visible(Department.objects.all(), user=user, verb=verb, department="self")


def grants_for(user: User) -> QuerySet[RoleGrant]:
    return visible(RoleGrant.objects.all(), user=user, verb=VIEW_GRANT)


def ancestors(entity: BillingEntity) -> QuerySet[BillingEntity]:
    """Everything above `entity`, the root first."""
    return BillingEntity.objects.filter(pk__in=_ids_above(entity)).order_by("path")


def subtree(entity: BillingEntity) -> QuerySet[BillingEntity]:
    """`entity` and everything below it, parents before children."""
    return BillingEntity.objects.filter(path__startswith=entity.path).order_by("path")


def seller_of(entity: BillingEntity) -> BillingEntity | None:
    """Who sells to `entity`: the nearest selling entity above it, not itself. One query."""
    above = BillingEntity.objects.filter(pk__in=_ids_above(entity), is_seller=True)
    return above.order_by(Length("path").desc()).first()


def entity_tree(entity: BillingEntity, user: User) -> dict:
    """`entity` and what `user` may see below it, nested, in one query.

    Each node has id, code, name, state, consolidation, currency, depth (1 for a root) and `children` by code.
    """
    rows = (
        entities_for(user)
        .filter(path__startswith=entity.path)
        .order_by("path")
        .values("id", "parent_id", "path", "code", "name", "state", "consolidation", "currency")
    )
    nodes: dict[UUID, dict] = {}
    for row in rows:
        row["depth"] = row.pop("path").count("/") - 1
        node = nodes[row["id"]] = row | {"children": []}
        above = nodes.get(row["parent_id"])
        if above is not None:
            above["children"].append(node)
    for node in nodes.values():
        node["children"].sort(key=lambda child: child["code"].lower())
    return nodes[entity.pk]


def due_moves(*, as_of: date) -> QuerySet[EntityRelation]:
    """Relations in force on `as_of` that the hierarchy does not show yet, the oldest first."""
    return (
        EntityRelation.objects.filter(Q(ends_on__isnull=True) | Q(ends_on__gt=as_of), starts_on__lte=as_of)
        .filter(Q(entity__parent__isnull=True) | ~Q(parent=F("entity__parent")))
        .select_related("entity", "parent")
        .order_by("starts_on", "pk")
    )


def _ids_above(entity: BillingEntity) -> list[UUID]:
    return [UUID(hex=part) for part in entity.path.strip("/").split("/")[:-1]]
