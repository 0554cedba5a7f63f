from django.apps import AppConfig
from django.core.checks import Tags, register


class KernelConfig(AppConfig):
    name = "billing.kernel"
    label = "kernel"
    verbose_name = "System"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self):
        from billing.kernel.isolation import check_isolation

        register(check_isolation, Tags.database)
