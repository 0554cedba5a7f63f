from django.core.management.base import BaseCommand

from billing.subscriptions.signing import new_key


class Command(BaseCommand):
    help = "Print a new key. Append it to LICENSE_SIGNING_KEYS; once every product knows it, put it first."
    requires_system_checks = ()

    def handle(self, **options):
        self.stdout.write(new_key())
