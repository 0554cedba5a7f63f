from django.apps import AppConfig


class KernelConfig(AppConfig):
    name = "billing.kernel"
    label = "kernel"
    verbose_name = "System"
    default_auto_field = "django.db.models.BigAutoField"
