"""References to entities and departments in a body: by id, and only to what the sender may see.

What exists elsewhere and what exists nowhere is the same error.
"""

from django.db.models import QuerySet
from rest_framework.permissions import SAFE_METHODS

from billing.access.models import User
from billing.entities import queries
from billing.entities.reach import accounts_within
from billing.kernel.api.fields import IdField


class _ReferenceField(IdField):
    """Turns an id into the object; out goes the id."""

    default_error_messages = {"not_found": "There is no such object."}

    def __init__(self, *, permission: str | None = None, **kwargs):
        self.permission = permission
        super().__init__(**kwargs)

    def within(self, user: User) -> QuerySet:
        raise NotImplementedError

    def to_internal_value(self, data: object):
        found = self.within(self.context["request"].user).filter(pk=super().to_internal_value(data)).first()
        if found is None:
            self.fail("not_found")
        return found

    def to_representation(self, value: object) -> str:
        return str(getattr(value, "pk", value))

    def permissions(self, view_permission: str) -> set[str]:
        """Seeing it is enough, and so is being allowed to do there what is being done (keys that only write)."""
        doing = self.permission or getattr(self.context.get("view"), "acting_permission", None)
        return {view_permission, doing} - {None}


class EntityField(_ReferenceField):
    def within(self, user: User) -> QuerySet:
        return union(queries.entities_for, user, self.permissions(queries.VIEW_ENTITY))


class DepartmentField(_ReferenceField):
    def within(self, user: User) -> QuerySet:
        found = union(queries.departments_for, user, self.permissions(queries.VIEW_DEPARTMENT))
        return found.select_related("entity")


class ColleagueField(_ReferenceField):
    """An active person with a role over an entity the sender may see."""

    def within(self, user: User) -> QuerySet:
        entities = union(queries.entities_for, user, self.permissions(queries.VIEW_ENTITY))
        return queries.colleagues_of(entities)


class AccountField(_ReferenceField):
    """A person or service account that holds a role where the sender may do what he is doing."""

    default_error_messages = {"not_found": "There is no such account."}

    def within(self, user: User) -> QuerySet:
        return accounts_within(
            User.objects.all(), user, self.permission or self.context["view"].acting_permission
        )


def union(query, user: User, permissions: set[str]) -> QuerySet:
    """The rows that `user` has any of the permissions for."""
    first, *others = sorted(permissions)
    found = query(user, first)
    for permission in others:
        found = found | query(user, permission)
    return found


def seen_or_done(query, view, view_permission: str) -> QuerySet:
    """What a view works on: what the sender may see and, for a write, also what he may write unseen."""
    return union(query, view.request.user, {view_permission} | ({view.acting_permission} - {None}))


class ActingPermission:
    """For a viewset: the permission of a write, None for reads. It decides what can be referred to."""

    @property
    def acting_permission(self) -> str | None:
        return None if self.request.method in SAFE_METHODS else self.action_permissions.get(self.action)
