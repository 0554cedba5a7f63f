from django.apps import AppConfig

from billing.kernel.loading import load_declarations


class LedgerConfig(AppConfig):
    name = "billing.ledger"
    label = "ledger"
    verbose_name = "Ledger"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        load_declarations(self)
