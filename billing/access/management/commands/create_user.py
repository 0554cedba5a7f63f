import getpass
import os
import sys

from django.core.management.base import BaseCommand, CommandError

from billing.access import services
from billing.kernel.context import acting
from billing.kernel.errors import DomainError

ACTOR = "command:create_user"
VARIABLE = "BILLING_USER_PASSWORD"


class Command(BaseCommand):
    help = (
        "Create a person. The password comes from the prompt, from standard input (--password-stdin) or from "
        f"{VARIABLE}, never from the command line. Example: create_user --email ada@example.com --name 'Ada L.'"
    )

    def add_arguments(self, parser):
        parser.add_argument("--email", required=True)
        parser.add_argument("--name", required=True)
        parser.add_argument("--password-stdin", action="store_true", help="Read it from standard input.")

    def handle(self, *, email, name, password_stdin, **options):
        password = _password(from_stdin=password_stdin)
        try:
            with acting(actor=ACTOR):
                user = services.create_user(actor=ACTOR, email=email, name=name, password=password)
        except DomainError as refusal:
            raise CommandError(refusal.detail) from refusal
        self.stdout.write(f"user={user.pk} email={user.email}")


def _password(*, from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\n")
    if VARIABLE in os.environ:
        return os.environ[VARIABLE]
    first = getpass.getpass("Password: ")
    if first != getpass.getpass("Again: "):
        raise CommandError("The two passwords differ.")
    return first
