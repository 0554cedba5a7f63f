from django.apps import AppConfig
from django.contrib.admin.apps import SimpleAdminConfig
from django.utils.module_loading import autodiscover_modules


class ConfigConfig(AppConfig):
    name = "config"
    default = True
    verbose_name = "Billing back office"


class ConsoleConfig(SimpleAdminConfig):
    """Django's admin; the pages of an app stand in its package `console`."""

    def ready(self) -> None:
        super().ready()
        autodiscover_modules("admin", "console")
