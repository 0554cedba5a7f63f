"""What may be read. Everything for a user goes through `reach.visible`."""

from datetime import date
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db.models import Case, CharField, F, Q, QuerySet, Value, When
from django.db.models.functions import Length
from django.utils import timezone

from billing.access.models import User, UserKind
from billing.entities.models import BillingEntity, Department, EntityRelation, RoleException, RoleGrant
from billing.entities.paths import depth_of
from billing.entities.reach import may, visible
from billing.entities.states import ExceptionState, GrantState

VIEW_ENTITY = "entities.view_billingentity"
VIEW_DEPARTMENT = "entities.view_department"
VIEW_GRANT = "entities.view_rolegrant"
VIEW_EXCEPTION = "entities.view_roleexception"


def entities_for(user: User, permission: str = VIEW_ENTITY) -> QuerySet[BillingEntity]:
    """The entities for which `user` has `permission`."""
    return visible(BillingEntity.objects.all(), user=user, permission=permission, entity="")


def departments_for(user: User, permission: str = VIEW_DEPARTMENT) -> QuerySet[Department]:
    return visible(Department.objects.all(), user=user, permission=permission, department="self")


def of_entities_within(
    queryset: QuerySet, user: User, permission: str, entity_id: str = "entity_id"
) -> QuerySet:
    """Of the kernel's rows, which name an entity by id, those whose entity is within reach of `user`."""
    return queryset.filter(**{f"{entity_id}__in": entities_for(user, permission).values("pk")})


def grants_for(user: User, permission: str = VIEW_GRANT) -> QuerySet[RoleGrant]:
    return visible(RoleGrant.objects.all(), user=user, permission=permission, department="department")


def exceptions_for(user: User) -> QuerySet[RoleException]:
    return visible(RoleException.objects.all(), user=user, permission=VIEW_EXCEPTION)


def grants_with_state(grants: QuerySet[RoleGrant]) -> QuerySet[RoleGrant]:
    """With `state`, what each is now (UTC days). Active are those of `reach.live_grants`."""
    now = timezone.now()
    return grants.annotate(
        state=_first_of(
            (Q(revoked_at__isnull=False), GrantState.REVOKED),
            (Q(ends_on__lte=now.date()) | Q(ends_at__lte=now), GrantState.OVER),
            (Q(confirmed_at__isnull=True), GrantState.PROPOSED),
            (Q(starts_on__gt=now.date()), GrantState.PLANNED),
            otherwise=GrantState.ACTIVE,
        )
    )


def exceptions_with_state(exceptions: QuerySet[RoleException]) -> QuerySet[RoleException]:
    """With `state`, what each is today (UTC)."""
    today = timezone.now().date()
    return exceptions.annotate(
        state=_first_of(
            (Q(revoked_at__isnull=False), ExceptionState.REVOKED),
            (Q(ends_on__lte=today), ExceptionState.OVER),
            (Q(starts_on__gt=today), ExceptionState.PLANNED),
            otherwise=ExceptionState.ACTIVE,
        )
    )


def _first_of(*cases: tuple[Q, str], otherwise: str) -> Case:
    known = (When(condition, then=Value(state.value)) for condition, state in cases)
    return Case(*known, default=Value(otherwise.value), output_field=CharField())


def colleagues_of(entities: QuerySet[BillingEntity]) -> QuerySet[User]:
    """Active persons who hold a role over one of the entities."""
    holders = RoleGrant.objects.filter(
        entity__in=entities.values("pk"), revoked_at__isnull=True, confirmed_at__isnull=False
    )
    return User.objects.filter(pk__in=holders.values("user"), kind=UserKind.PERSON, is_active=True)


def ending(text: str) -> str:
    """The last four signs of a tax id or an account. Of something that short, nothing."""
    return f"****{text[-4:]}" if len(text) > 4 else "****" if text else ""


def confidential(entity: BillingEntity, user: User) -> dict[str, object]:
    """Tax id and bank account as `user` may see them: whole, their endings, or neither."""
    if may(user, "entities.view_tax_id", entity):
        return {"tax_id": entity.tax_id, "bank_account": entity.bank_account}
    if may(user, "entities.view_tax_id_ending", entity):
        account = {
            part: ending(text) if part == "iban" else text for part, text in entity.bank_account.items()
        }
        return {"tax_id": ending(entity.tax_id), "bank_account": account}
    return {}


def today_at(entity: BillingEntity) -> date:
    """The present business day of the entity, in its own time zone. For the edges of the system, not for rules."""
    return timezone.now().astimezone(ZoneInfo(entity.time_zone)).date()


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
    What lies below something invisible hangs on the nearest visible entity above it.
    """
    rows = (
        entities_for(user)
        .filter(path__startswith=entity.path)
        .order_by("path")
        .values("id", "path", "code", "name", "state", "consolidation", "currency")
    )
    line: list[tuple[str, dict]] = []  # from `entity` down to the present row: parents come before children
    for row in rows:
        path = row.pop("path")
        node = row | {"depth": depth_of(path), "children": []}
        while line and not path.startswith(line[-1][0]):
            _sort_children(line.pop()[1])
        if line:
            line[-1][1]["children"].append(node)
        line.append((path, node))
    for _, node in line:
        _sort_children(node)
    return line[0][1]


def _sort_children(node: dict) -> None:
    node["children"].sort(key=lambda child: child["code"].lower())


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
