from importlib import import_module

from django.apps import AppConfig


class InvoicingConfig(AppConfig):
    name = "billing.invoicing"
    label = "invoicing"
    verbose_name = "Invoicing"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        for what in ("verbs", "reactions"):
            import_module(f"billing.invoicing.{what}")
