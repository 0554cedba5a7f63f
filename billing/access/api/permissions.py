"""Default deny: an action that names no permission is refused to everyone."""

from rest_framework.permissions import BasePermission

from billing.access.models import User
from billing.kernel.errors import NotAllowed


class ActionPermission(BasePermission):
    """The view's `action_permissions` names one permission per action. First: is it granted anywhere (403)?
    Then, with the object at hand: is it granted there?"""

    def has_permission(self, request, view) -> bool:
        permission = self._verb(view)
        return request.user.is_authenticated and (permission is None or request.user.has_perm(permission))

    def has_object_permission(self, request, view, obj) -> bool:
        permission = self._verb(view)
        return permission is None or request.user.has_perm(permission, obj)

    @staticmethod
    def _verb(view) -> str | None:
        """None only for views that say `signed_in_is_enough` (who am I)."""
        if getattr(view, "signed_in_is_enough", False):
            return None
        action = getattr(view, "action", None) or view.request.method.lower()
        return view.action_permissions.get(action, "nobody.may")


def require(user: User, permission: str, obj: object) -> None:
    """For operations on an object that the URL does not name (an entity in the body). Raises NotAllowed."""
    if not user.has_perm(permission, obj):
        raise NotAllowed("You may not do this here.", permission=permission)
