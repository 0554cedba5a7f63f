from datetime import timedelta

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from billing.access.roles import Role
from billing.entities import services
from billing.entities.management.commands.grant_role import entity_by_code, user_by_email
from billing.kernel.context import acting
from billing.kernel.errors import DomainError

ACTOR = "command:break_glass"
MINUTES = 60


class Command(BaseCommand):
    help = (
        f"In an emergency: a role for {MINUTES} minutes, with its reason in the audit trail. "
        "Example: break_glass --user ada@example.com --role FC --entity ACME --reason 'Month end, CFO is ill'"
    )

    def add_arguments(self, parser):
        parser.add_argument("--user", required=True, metavar="EMAIL")
        parser.add_argument("--role", required=True, choices=Role.values)
        parser.add_argument("--entity", required=True, metavar="CODE")
        parser.add_argument("--reason", required=True)

    def handle(self, *, user, role, entity, reason, **options):
        if not reason.strip():
            raise CommandError("Say why.")
        now = timezone.now()
        try:
            with acting(actor=ACTOR):
                grant = services.grant_role(
                    actor=ACTOR,
                    user_id=user_by_email(user).pk,
                    role=role,
                    entity_id=entity_by_code(entity).pk,
                    starts_on=now.date(),
                    ends_at=now + timedelta(minutes=MINUTES),
                    reason=reason,
                )
        except DomainError as refusal:
            raise CommandError(refusal.detail) from refusal
        self.stdout.write(f"grant={grant.pk} ends_at={grant.ends_at:%Y-%m-%dT%H:%M:%SZ}")
