from django.core.management.base import BaseCommand, CommandError

from approvals import services
from approvals.services.reassignment import waiting_for
from billing.access.models import User
from billing.kernel.context import acting

ACTOR = "command:reassign_approvals"


class Command(BaseCommand):
    help = (
        "Ask somebody else wherever a pending request waits for a person who leaves. Who has a part in a request "
        "or may not decide it is refused, and the request named. "
        "Example: reassign_approvals --from ada@example.com --to bob@example.com --reason 'Ada left'"
    )

    def add_arguments(self, parser):
        parser.add_argument("--from", dest="leaver", required=True, metavar="EMAIL")
        parser.add_argument("--to", dest="successor", required=True, metavar="EMAIL")
        parser.add_argument("--reason", required=True)
        parser.add_argument("--dry-run", action="store_true", help="Say which and change nothing.")

    def handle(self, *, leaver, successor, reason, dry_run, **options):
        one, other = _user(leaver), _user(successor)
        if dry_run:
            waiting = waiting_for(one.pk)
            for request in waiting:
                self.stdout.write(f"{request.pk} {request}")
            self.stdout.write(f"waiting={len(waiting)}")
            return
        with acting(actor=ACTOR):
            done = services.reassign_requests_of(actor=ACTOR, from_id=one.pk, to_id=other.pk, comment=reason)
        stayed = [item for item in done if item.refusal]
        for item in stayed:
            self.stderr.write(f"{item.request.pk} {item.request}: {item.refusal.detail}")
        self.stdout.write(f"handed_over={len(done) - len(stayed)} refused={len(stayed)}")
        if stayed:
            raise CommandError("Some requests stay where they are; hand them over to somebody else.")


def _user(email: str) -> User:
    user = User.objects.filter(email=email.strip().lower()).first()
    if user is None:
        raise CommandError(f"There is no user {email}.")
    return user
