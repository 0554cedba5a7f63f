from importlib import import_module

from django.apps import AppConfig


class DunningConfig(AppConfig):
    name = "billing.dunning"
    label = "dunning"
    verbose_name = "Dunning"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        for what in ("verbs", "reactions"):
            import_module(f"billing.dunning.{what}")
