"""Who reaches what. The one tenant filter, `visible`, and the one question, `may`.

A grant is read live on every request: a role taken away is gone with the next one.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from django.db.models import Q, QuerySet
from django.utils import timezone

from billing.access.models import User
from billing.access.verbs import VERBS
from billing.entities.models import BillingEntity, Department, RoleGrant
from billing.kernel.errors import NotAllowed


@dataclass(frozen=True)
class Reach:
    """One live grant: a role over an entity subtree, perhaps narrowed to a department subtree."""

    role: str
    entity_path: str
    department_path: str | None
    limits: tuple[tuple[str, Decimal], ...]  # currency, amount

    def covers(self, entity_path: str, department_path: str | None) -> bool:
        return entity_path.startswith(self.entity_path) and (
            self.department_path is None
            or department_path is None
            or department_path.startswith(self.department_path)
        )


def reaches(user: User) -> list[Reach]:
    """The user's live grants; read once per user object, and a request makes a new one."""
    if not hasattr(user, "_reaches"):
        user._reaches = _live_grants(user)
    return user._reaches


def _live_grants(user: User) -> list[Reach]:
    now = timezone.now()
    today = now.date()
    grants = (
        RoleGrant.objects.filter(
            Q(ends_on__isnull=True) | Q(ends_on__gt=today),
            Q(ends_at__isnull=True) | Q(ends_at__gt=now),
            user_id=user.pk,
            starts_on__lte=today,
            confirmed_at__isnull=False,
            revoked_at__isnull=True,
        )
        .select_related("entity", "department")
        .prefetch_related("limits")
        .order_by("pk")
    )
    return [
        Reach(
            role=grant.role,
            entity_path=grant.entity.path,
            department_path=grant.department.path if grant.department else None,
            limits=tuple((limit.currency, limit.amount) for limit in grant.limits.all()),
        )
        for grant in grants
    ]


def reaches_for(user: User, verb: str) -> list[Reach]:
    """The live grants under which `user` may say `verb` somewhere. None for an undeclared verb."""
    declared = VERBS.get(verb)
    if declared is None or not user.is_authenticated or not user.is_active:
        return []
    scopes = getattr(user, "key_scopes", None)
    return [reach for reach in reaches(user) if declared.allows(reach.role, scopes)]


def visible(
    queryset: QuerySet, *, user: User, verb: str, entity: str = "entity", department: str = ""
) -> QuerySet:
    """Only the rows within reach of `user` for `verb`. Everything else does not exist for them.

    `entity` is the lookup of the row's entity ("" on entities themselves), `department` that of its
    department ("" if it has none; "self" on departments themselves).
    """
    declared = VERBS.get(verb)
    within = Q(pk__in=[])
    for reach in reaches_for(user, verb):
        part = Q(**{_path(entity): reach.entity_path})
        if reach.department_path is not None:
            if department:
                part &= Q(**{_path("" if department == "self" else department): reach.department_path})
            elif reach.role in declared.own:
                continue
        within |= part
    return queryset.filter(within)


def _path(lookup: str) -> str:
    return f"{lookup}__path__startswith" if lookup else "path__startswith"


def may(user: User, verb: str, obj: object = None) -> bool:
    """May `user` say `verb` to `obj`? Without an object: anywhere at all?"""
    granted = reaches_for(user, verb)
    if obj is None or not granted:
        return bool(granted)
    entity_path, department_path = _place(obj)
    return any(reach.covers(entity_path, department_path) for reach in granted)


def only_proposes(user: User, verb: str, obj: object) -> bool:
    """True if what `user` does here is a proposal that somebody else confirms."""
    entity_path, department_path = _place(obj)
    roles = {reach.role for reach in reaches_for(user, verb) if reach.covers(entity_path, department_path)}
    return bool(roles) and roles <= VERBS[verb].proposers


def require_within(user: User, verb: str, places: Iterable[object]) -> None:
    """Every one of `places` must be within reach for `verb`. Raises NotAllowed."""
    for place in places:
        if not may(user, verb, place):
            raise NotAllowed("You may not do this here.", verb=verb)


def _place(obj: object) -> tuple[str, str | None]:
    """The paths of the entity and (if there is one) the department an object belongs to."""
    if isinstance(obj, BillingEntity):
        return obj.path, None
    if isinstance(obj, Department):
        return _entity_path(obj.entity_id), obj.path
    department = getattr(obj, "department", None)
    return _entity_path(obj.entity_id), department.path if department else None


def _entity_path(entity_id: UUID) -> str:
    return BillingEntity.objects.values_list("path", flat=True).get(pk=entity_id)
