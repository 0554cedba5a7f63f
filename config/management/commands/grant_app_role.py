from django.core.management.base import BaseCommand, CommandError
from django.db import connection, transaction

from billing.kernel.advisory_locks import APP_ROLE
from config import database_roles


class Command(BaseCommand):
    help = (
        "Let a role do what web and worker processes need, and nothing else. Run it as the owner of the tables "
        "after every migrate. Example: manage.py migrate && manage.py grant_app_role --role billing_app"
    )

    def add_arguments(self, parser):
        parser.add_argument("--role", required=True, help="An existing role that owns nothing.")
        parser.add_argument("--dry-run", action="store_true", help="Print the statements, change nothing.")

    def handle(self, *, role, dry_run, **options):
        if unfit := database_roles.why_unfit(role):
            raise CommandError(unfit)
        statements = database_roles.statements(role)
        if dry_run:
            for statement in statements:
                self.stdout.write(f"{statement.as_string(connection.connection)};")
        else:
            self._grant(role, statements)
        restricted = sum("UPDATE" not in granted for granted in database_roles.privileges().values())
        self.stdout.write(
            f"role={role} tables={len(database_roles.privileges())} without_update={restricted} dry_run={dry_run}"
        )

    @transaction.atomic
    def _grant(self, role, statements):
        APP_ROLE.take()
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
        if wrong := list(database_roles.differences(role)):
            raise CommandError("Nothing was changed: " + "; ".join(wrong))
