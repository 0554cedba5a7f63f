from django.apps import AppConfig


class SubscriptionsConfig(AppConfig):
    name = "billing.subscriptions"
    label = "subscriptions"
    verbose_name = "Catalogue"
    default_auto_field = "django.db.models.BigAutoField"
