from datetime import date

from django.core.management.base import BaseCommand
from django.utils import timezone

from billing.invoicing import queries, services
from billing.kernel.context import acting

ACTOR = "command:mark_past_due"


class Command(BaseCommand):
    help = (
        "Subscriptions charged on an overdue invoice fall past due; those paid for are active again. "
        "Safe to run twice. Example: mark_past_due --as-of 2026-11-01"
    )

    def add_arguments(self, parser):
        parser.add_argument(
            "--as-of", type=date.fromisoformat, help="Act as if today were this day (YYYY-MM-DD)."
        )
        parser.add_argument("--dry-run", action="store_true", help="Say who is late and change nothing.")

    def handle(self, *, as_of, dry_run, **options):
        as_of = as_of or timezone.now().date()
        if dry_run:
            late = queries.subscriptions_overdue(as_of=as_of).select_related("entity", "plan").order_by("pk")
            for subscription in late:
                self.stdout.write(f"{subscription.entity.code} {subscription} is {subscription.state}")
            self.stdout.write(f"late={len(late)} as_of={as_of}")
            return
        with acting(actor=ACTOR):
            reviewed = services.review_standing(actor=ACTOR, as_of=as_of)
        self.stdout.write(f"past_due={reviewed.past_due} recovered={reviewed.recovered} as_of={as_of}")
