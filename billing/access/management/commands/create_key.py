from datetime import timedelta

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from billing.access import services
from billing.access.models import User
from billing.kernel.context import acting
from billing.kernel.errors import DomainError

ACTOR = "command:create_key"


class Command(BaseCommand):
    help = (
        "Create a key for a service account and show it, once. With --owner the account is made if there is none. "
        "Example: create_key --user erp@example.com --name ERP --scope entities:read --days 90"
    )

    def add_arguments(self, parser):
        parser.add_argument("--user", required=True, metavar="EMAIL", help="The service account.")
        parser.add_argument(
            "--owner", metavar="EMAIL", help="Who answers for an account that does not exist yet."
        )
        parser.add_argument("--name", required=True)
        parser.add_argument("--scope", action="append", required=True, help="May be given several times.")
        parser.add_argument("--network", action="append", default=[], help="CIDR it may be used from.")
        parser.add_argument("--days", type=int, default=90, help="How long it lives.")

    def handle(self, *, user, owner, name, scope, network, days, **options):
        try:
            with acting(actor=ACTOR):
                account = _account(user, owner, name)
                key, text = services.create_key(
                    actor=ACTOR,
                    user_id=account.pk,
                    name=name,
                    scopes=scope,
                    allowed_networks=network,
                    expires_at=timezone.now() + timedelta(days=days),
                )
        except DomainError as refusal:
            raise CommandError(refusal.detail) from refusal
        self.stdout.write(text)
        self.stderr.write("This is shown once.")
        self.stdout.write(f"key={key.pk} prefix={key.prefix} expires_at={key.expires_at:%Y-%m-%dT%H:%M:%SZ}")


def _account(email: str, owner_email: str | None, name: str) -> User:
    account = User.objects.filter(email=email.strip().lower()).first()
    if account is None and owner_email:
        owner = User.objects.filter(email=owner_email.strip().lower()).first()
        return services.create_service_account(
            actor=ACTOR, email=email, name=name, owner_id=owner.pk if owner else None
        )
    if account is None:
        raise CommandError(f"There is no account {email}; name its --owner to make one.")
    return account
