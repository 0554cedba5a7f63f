"""A console of the kernel's pages alone, for people whose permissions the test says aloud."""

from django.contrib import admin
from django.contrib.auth import get_user_model
from django.urls import path

urlpatterns = [path("admin/", admin.site.urls)]


class Granted:
    """An authentication backend: everybody holds what PERMISSIONS lists, and on the objects in `ONLY`."""

    permissions: set[str] = set()
    only: set | None = None

    def authenticate(self, request, **credentials):
        return None

    def get_user(self, user_id):
        return get_user_model()._default_manager.filter(pk=user_id).first()

    def has_perm(self, user, perm, obj=None):
        return perm in self.permissions and (obj is None or self.only is None or obj.pk in self.only)

    def has_module_perms(self, user, app_label):
        return any(perm.startswith(f"{app_label}.") for perm in self.permissions)
