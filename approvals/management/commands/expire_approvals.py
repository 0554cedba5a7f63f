from datetime import date

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from approvals import services
from approvals.queries import due_to_expire
from billing.kernel.context import acting

ACTOR = "command:expire_approvals"


class Command(BaseCommand):
    help = (
        "End the requests that nobody decided by their last day. Safe to run twice. "
        "Example: expire_approvals --as-of 2026-11-01"
    )

    def add_arguments(self, parser):
        parser.add_argument(
            "--as-of", type=date.fromisoformat, help="Act as if today (UTC) were this day (YYYY-MM-DD)."
        )
        parser.add_argument("--dry-run", action="store_true", help="Say which and change nothing.")

    def handle(self, *, as_of, dry_run, **options):
        as_of = as_of or timezone.now().date()
        if dry_run:
            due = due_to_expire(as_of=as_of).order_by("pk")
            for request in due:
                self.stdout.write(f"{request.pk} {request} expired on {request.expires_on}")
            self.stdout.write(f"due={len(due)} as_of={as_of}")
            return
        with acting(actor=ACTOR):
            done = services.expire_requests(actor=ACTOR, as_of=as_of)
        for request_id, error in done.failed.items():
            self.stderr.write(f"{request_id}: {error}")
        self.stdout.write(f"expired={done.expired} failed={len(done.failed)} as_of={as_of}")
        if done.failed:
            raise CommandError(f"{len(done.failed)} request(s) could not be ended; run it again.")
