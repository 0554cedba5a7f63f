from django.apps import AppConfig

from billing.kernel.loading import load_declarations


class EntitiesConfig(AppConfig):
    name = "billing.entities"
    label = "entities"
    verbose_name = "Entities"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        load_declarations(self)
