"""The sample company, loaded through the services."""

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from billing.access.roles import Role
from billing.kernel.context import acting
from config.sample import accounts
from config.sample.company import PEOPLE
from config.sample.loading import ACTOR, OtherData, load, make_key


class Command(BaseCommand):
    help = (
        "Load the sample company and print how to sign in. Safe to run twice, and to run again after it was "
        "killed; refuses a database that holds other data, and production."
    )

    def handle(self, **options):
        if not settings.DEMO_ALLOWED:
            raise CommandError("Sample data does not belong into production.")
        try:
            load(say=lambda step: self.stderr.write(f"  {step}"))
        except OtherData:
            raise CommandError(
                "This database holds other data: the sample company needs an empty one."
            ) from None
        with acting(actor=ACTOR):
            make_key()
        self.stdout.write("\n".join(_sign_ins()))


def _sign_ins() -> list[str]:
    password = accounts.kept(accounts.password_file())
    people = [f"  {person.email:<26} {Role(person.role).label.lower()}" for person in PEOPLE if person.shown]
    shown = password or "unknown: its file is gone (manage.py changepassword sets a new one)"
    return [
        "Sign in with one of",
        *people,
        f"Password           {shown}",
        f"API key            {accounts.kept(accounts.key_file())}",
    ]
