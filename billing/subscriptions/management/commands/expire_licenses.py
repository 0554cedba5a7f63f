from datetime import UTC, datetime

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from billing.kernel.context import acting
from billing.subscriptions import queries, services

ACTOR = "command:expire_licenses"


def instant(text: str) -> datetime:
    given = datetime.fromisoformat(text)
    return given if given.tzinfo else given.replace(tzinfo=UTC)


class Command(BaseCommand):
    help = (
        "Expire the licences whose last day is over where their entity is. Safe to run twice. "
        "Example: expire_licenses --dry-run"
    )

    def add_arguments(self, parser):
        parser.add_argument(
            "--as-of",
            help="Act as if it were this instant (2026-03-01T00:05:00+01:00); a day alone is its midnight in UTC.",
        )
        parser.add_argument(
            "--dry-run", action="store_true", help="Say what would expire and change nothing."
        )

    def handle(self, *, as_of, dry_run, **options):
        try:
            as_of = instant(as_of) if as_of else timezone.now()
        except ValueError:
            raise CommandError(f"--as-of: '{as_of}' is no instant and no day.") from None
        if dry_run:
            due = queries.licenses_over(as_of=as_of).select_related("entity", "product").order_by("pk")
            for license in due:
                self.stdout.write(f"{license.entity.code} {license.product.code} ended on {license.ends_on}")
            self.stdout.write(f"due={len(due)} as_of={as_of:%Y-%m-%dT%H:%M:%S%z}")
            return
        with acting(actor=ACTOR):
            expired = services.expire_licenses(actor=ACTOR, as_of=as_of)
        self.stdout.write(f"expired={expired} as_of={as_of:%Y-%m-%dT%H:%M:%S%z}")
