from django.contrib.auth.backends import ModelBackend

from billing.access.models import UserKind
from billing.access.permissions import PERMISSIONS
from billing.entities import reach


class GrantBackend(ModelBackend):
    """Django's permission questions, answered from role grants. Permissions are those that the apps declare."""

    def user_can_authenticate(self, user) -> bool:
        return user.is_active and user.kind == UserKind.PERSON

    def has_perm(self, user_obj, perm, obj=None) -> bool:
        return reach.may(user_obj, perm, obj)

    def has_module_perms(self, user_obj, app_label) -> bool:
        return any(reach.may(user_obj, name) for name in PERMISSIONS if name.startswith(f"{app_label}."))

    def get_all_permissions(self, user_obj, obj=None) -> set[str]:
        return {name for name in PERMISSIONS if reach.may(user_obj, name, obj)}
