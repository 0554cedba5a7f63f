"""Who reaches what. The one tenant filter, `visible`, and the one question, `may`.

A grant is read live on every request: a role taken away is gone with the next one.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from itertools import groupby
from uuid import UUID

from django.db.models import Q, QuerySet
from django.utils import timezone

from billing.access.models import ApiKey, User
from billing.access.permissions import PERMISSIONS
from billing.entities.models import BillingEntity, Department, RoleGrant


@dataclass(frozen=True)
class Reach:
    """One live grant: a role over an entity subtree, perhaps narrowed to a department subtree."""

    role: str
    entity_path: str
    department_path: str | None
    limits: tuple[tuple[str, Decimal], ...]  # currency, amount

    def covers(self, entity_path: str, department_path: str | None) -> bool:
        """`department_path` is None for what has no department by nature, "" for what names none.

        A grant that is narrowed to a department reaches the entity itself, and nothing below it.
        """
        if self.department_path is None:
            return entity_path.startswith(self.entity_path)
        if department_path is None:
            return entity_path == self.entity_path
        return department_path.startswith(self.department_path)


def reaches(user: User) -> list[Reach]:
    """The user's live grants; read once per user object, and a request makes a new one."""
    if not hasattr(user, "_reaches"):
        user._reaches = _read_reaches(user)
    return user._reaches


def read_reaches(users: Iterable[User]) -> None:
    """Read the live grants of many at once, for questions about each of them: one query."""
    by_user = {user.pk: [] for user in users}
    for user_id, reach in _read(live_grants().filter(user_id__in=by_user)):
        by_user[user_id].append(reach)
    for user in users:
        user._reaches = by_user[user.pk]


def live_grants_of(user: User) -> QuerySet[RoleGrant]:
    """The grants of `user` that are in effect now."""
    return live_grants().filter(user_id=user.pk)


def live_grants() -> QuerySet[RoleGrant]:
    """The grants that are in effect now."""
    now = timezone.now()
    today = now.date()
    return RoleGrant.objects.filter(
        Q(ends_on__isnull=True) | Q(ends_on__gt=today),
        Q(ends_at__isnull=True) | Q(ends_at__gt=now),
        starts_on__lte=today,
        confirmed_at__isnull=False,
        revoked_at__isnull=True,
    ).order_by("pk")


def _read_reaches(user: User) -> list[Reach]:
    return [reach for _, reach in _read(live_grants_of(user))]


def _read(grants: QuerySet[RoleGrant]) -> list[tuple[UUID, Reach]]:
    """By user. One row per grant and limit, without making models of them: every request starts with this."""
    rows = grants.values_list(
        "pk", "user_id", "role", "entity__path", "department__path", "limits__currency", "limits__amount"
    )
    return [
        (
            user_id,
            Reach(
                *grant,
                limits=tuple((currency, amount) for *_, currency, amount in limited if currency is not None),
            ),
        )
        for (_, user_id, *grant), limited in groupby(rows, key=lambda row: row[:5])
    ]


def reaches_for(user: User, permission: str) -> list[Reach]:
    """The live grants under which `user` has `permission` somewhere. None for an undeclared permission."""
    declared = PERMISSIONS.get(permission)
    if declared is None or not user.is_authenticated or not user.is_active:
        return []
    scopes = getattr(user, "key_scopes", None)
    return [reach for reach in reaches(user) if declared.allows(reach.role, scopes)]


def visible(
    queryset: QuerySet, *, user: User, permission: str, entity: str = "entity", department: str = ""
) -> QuerySet:
    """Only the rows within reach of `user` for `permission`. Everything else does not exist for them.

    `entity` is the lookup of the row's entity ("" on entities themselves), `department` that of its
    department ("" if it has none; "self" on departments themselves).
    """
    within = Q(pk__in=[])
    for reach in reaches_for(user, permission):
        if reach.department_path is None:
            within |= Q(**{_path(entity, "startswith"): reach.entity_path})
        elif department:
            own = "" if department == "self" else department
            within |= Q(**{_path(own, "startswith"): reach.department_path})
        elif _reaches_up(reach, permission):
            within |= Q(**{_path(entity, "exact"): reach.entity_path})
    return queryset.filter(within)


def _path(lookup: str, how: str) -> str:
    return f"{lookup}__path__{how}" if lookup else f"path__{how}"


def _reaches_up(reach: Reach, permission: str) -> bool:
    """From its department to the entity itself a narrowed grant only looks, and its owner not even that."""
    return permission.partition(".")[2].startswith("view_") and reach.role not in PERMISSIONS[permission].own


def may(user: User, permission: str, obj: object = None) -> bool:
    """Does `user` have `permission` for `obj`? Without an object: anywhere at all?"""
    granted = reaches_for(user, permission)
    if obj is None or not granted:
        return bool(granted)
    if isinstance(obj, User | ApiKey):
        return _may_to_account(granted, permission, obj if isinstance(obj, User) else obj.user)
    return bool(_roles_at(granted, permission, obj))


def may_at(user: User, permission: str, entity_path: str, department_path: str | None = None) -> bool:
    """Does `user` have `permission` for what is at these paths? For objects that are only known by their path."""
    place = entity_path, department_path
    return any(_covers(reach, permission, place) for reach in reaches_for(user, permission))


def only_proposes(user: User, permission: str, obj: object) -> bool:
    """True if what `user` does here is a proposal that somebody else confirms."""
    roles = _roles_at(reaches_for(user, permission), permission, obj)
    return bool(roles) and roles <= PERMISSIONS[permission].proposers


def limit_at(user: User, permission: str, obj: object, currency: str) -> Decimal | None:
    """The largest amount for which `user` has `permission` here. None: no limit. Zero: nothing in this currency.

    A grant without any limit has none; a grant with limits covers only the currencies it names.
    """
    place = _place(obj)
    largest = Decimal(0)
    for reach in reaches_for(user, permission):
        if _covers(reach, permission, place):
            if not reach.limits:
                return None
            largest = max(largest, dict(reach.limits).get(currency, Decimal(0)))
    return largest


def accounts_within(queryset: QuerySet[User], user: User, permission: str) -> QuerySet[User]:
    """Of these accounts, those that hold a role within reach of `user`, or whose owner does."""
    within = Q(pk__in=[])
    for reach in reaches_for(user, permission):
        if reach.department_path is None:
            within |= Q(entity__path__startswith=reach.entity_path)
    holders = RoleGrant.objects.filter(within, revoked_at__isnull=True).values("user")
    return queryset.filter(Q(pk__in=holders) | Q(owner__in=holders))


def _may_to_account(granted: list[Reach], permission: str, account: User) -> bool:
    """Seeing an account takes one of its roles within reach; doing something to it takes them all."""
    grants = RoleGrant.objects.filter(revoked_at__isnull=True).order_by()
    paths = list(grants.filter(user=account).values_list("entity__path", flat=True))
    if not paths and account.owner_id:
        paths = list(grants.filter(user=account.owner_id).values_list("entity__path", flat=True))
    inside = [
        any(path.startswith(reach.entity_path) for reach in granted if reach.department_path is None)
        for path in paths
    ]
    looks_only = permission.partition(".")[2].startswith("view_")
    return any(inside) if looks_only else bool(inside) and all(inside)


def _roles_at(granted: list[Reach], permission: str, obj: object) -> set[str]:
    place = _place(obj)
    return {reach.role for reach in granted if _covers(reach, permission, place)}


def _covers(reach: Reach, permission: str, place: tuple[str, str | None]) -> bool:
    entity_path, department_path = place
    narrowed_to_less = reach.department_path is not None and department_path is None
    return reach.covers(entity_path, department_path) and (
        not narrowed_to_less or _reaches_up(reach, permission)
    )


def _place(obj: object) -> tuple[str, str | None]:
    """The paths of the entity and the department an object belongs to, as `Reach.covers` takes them."""
    if isinstance(obj, BillingEntity):
        return obj.path, None
    if isinstance(obj, Department):
        return _entity_path(obj), obj.path
    if not hasattr(obj, "department_id"):
        return _entity_path(obj), None
    return _entity_path(obj), obj.department.path if obj.department_id else ""


def _entity_path(obj: object) -> str:
    known = obj._state.fields_cache.get("entity")
    if known is not None:
        return known.path
    return BillingEntity.objects.values_list("path", flat=True).get(pk=obj.entity_id)
