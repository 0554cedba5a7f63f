from importlib import import_module

from django.apps import AppConfig


class PaymentsConfig(AppConfig):
    name = "billing.payments"
    label = "payments"
    verbose_name = "Payments"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        for what in ("verbs", "controls", "reactions"):
            import_module(f"billing.payments.{what}")
