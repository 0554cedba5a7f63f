from django.apps import AppConfig


class EntitiesConfig(AppConfig):
    name = "billing.entities"
    label = "entities"
    verbose_name = "Entities"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self):
        from billing.entities import reactions, verbs  # noqa: F401  declares who may do what
