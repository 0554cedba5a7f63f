from cryptography.fernet import Fernet
from django.core.management.base import BaseCommand


class Command(BaseCommand):
    help = "Print a new key. Put it first in FIELD_ENCRYPTION_KEYS, then run rotate_secrets."
    requires_system_checks = ()

    def handle(self, **options):
        self.stdout.write(Fernet.generate_key().decode())
