from datetime import date

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from billing.entities import queries, services
from billing.kernel.context import acting

ACTOR = "command:apply_moves"


class Command(BaseCommand):
    help = "Make the planned moves in the hierarchy that are due. Safe to run twice. Example: apply_moves --dry-run"

    def add_arguments(self, parser):
        parser.add_argument(
            "--as-of", type=date.fromisoformat, help="Act as if today were this day (YYYY-MM-DD)."
        )
        parser.add_argument("--dry-run", action="store_true", help="Say what would move and change nothing.")

    def handle(self, *, as_of, dry_run, **options):
        as_of = as_of or timezone.now().date()
        if dry_run:
            due = queries.due_moves(as_of=as_of)
            for move in due:
                self.stdout.write(f"{move.entity.code} -> {move.parent.code} from {move.starts_on}")
            self.stdout.write(f"due={len(due)} as_of={as_of}")
            return
        with acting(actor=ACTOR):
            outcomes = services.apply_due_moves(actor=ACTOR, as_of=as_of)
        for outcome in outcomes:
            said = f"{outcome.code} -> {outcome.parent}"
            (self.stderr if outcome.error else self.stdout).write(
                f"{said}: {outcome.error}" if outcome.error else said
            )
        failed = sum(1 for outcome in outcomes if outcome.error)
        self.stdout.write(f"moved={len(outcomes) - failed} failed={failed} as_of={as_of}")
        if failed:
            raise CommandError(f"{failed} move(s) could not be made")
