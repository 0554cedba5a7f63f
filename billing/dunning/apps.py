from django.apps import AppConfig

from billing.kernel.loading import load_declarations


class DunningConfig(AppConfig):
    name = "billing.dunning"
    label = "dunning"
    verbose_name = "Dunning"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        load_declarations(self)
