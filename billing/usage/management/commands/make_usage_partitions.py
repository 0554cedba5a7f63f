from datetime import date

from django.core.management.base import BaseCommand
from django.utils import timezone

from billing.usage import services


class Command(BaseCommand):
    help = (
        "Make the partitions that usage of this month and the next ones is stored in. Safe to run twice; a worker "
        "does it daily. Example: make_usage_partitions --months 12"
    )

    def add_arguments(self, parser):
        parser.add_argument(
            "--as-of", type=date.fromisoformat, help="Act as if today were this day (YYYY-MM-DD)."
        )
        parser.add_argument("--months", type=int, choices=range(1, 121), metavar="1-120", default=3)

    def handle(self, *, as_of, months, **options):
        as_of = as_of or timezone.now().date()
        made = services.make_usage_partitions(as_of=as_of, months=months)
        self.stdout.write(f"made={made} as_of={as_of} months={months}")
