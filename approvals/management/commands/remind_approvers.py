from datetime import date

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from approvals import services
from approvals.services.reminders import unchased
from billing.kernel.context import acting

ACTOR = "command:remind_approvers"


class Command(BaseCommand):
    help = (
        "Remind the approvers of requests that are due, and escalate what is overdue. Safe to run twice. "
        "Example: remind_approvers --as-of 2026-11-01"
    )

    def add_arguments(self, parser):
        parser.add_argument(
            "--as-of", type=date.fromisoformat, help="Act as if today (UTC) were this day (YYYY-MM-DD)."
        )
        parser.add_argument("--dry-run", action="store_true", help="Say which and change nothing.")

    def handle(self, *, as_of, dry_run, **options):
        as_of = as_of or timezone.now().date()
        if dry_run:
            due = unchased(as_of=as_of)
            for request in due:
                self.stdout.write(f"{request.pk} {request} due on {request.due_on}: {request.stage}")
            self.stdout.write(f"due={len(due)} as_of={as_of}")
            return
        with acting(actor=ACTOR):
            done = services.remind_approvers(actor=ACTOR, as_of=as_of)
        for request_id, error in done.failed.items():
            self.stderr.write(f"{request_id}: {error}")
        self.stdout.write(
            f"reminded={done.reminded} escalated={done.escalated} failed={len(done.failed)} as_of={as_of}"
        )
        if done.failed:
            raise CommandError(f"{len(done.failed)} request(s) could not be chased; run it again.")
