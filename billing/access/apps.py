from importlib import import_module

from django.apps import AppConfig
from django.contrib.auth.signals import user_logged_in

from billing.kernel.loading import load_declarations


class AccessConfig(AppConfig):
    name = "billing.access"
    label = "access"
    verbose_name = "Access"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        load_declarations(self)
        # The one signal here: every way to sign in sends it, and Django has no other door.
        user_logged_in.connect(
            import_module("billing.access.sessions").note_sign_in, dispatch_uid="note_sign_in"
        )
