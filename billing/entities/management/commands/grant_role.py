from datetime import date
from decimal import Decimal, InvalidOperation

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from billing.access.models import User
from billing.access.roles import Role
from billing.entities import services
from billing.entities.models import BillingEntity, Department
from billing.kernel.context import acting
from billing.kernel.errors import DomainError

ACTOR = "command:grant_role"


class Command(BaseCommand):
    help = (
        "Grant a role at once, audited as this command; conflicts of duties are refused all the same. "
        "Example: grant_role --user ada@example.com --role FC --entity ACME --limit EUR=10000"
    )

    def add_arguments(self, parser):
        parser.add_argument("--user", required=True, metavar="EMAIL")
        parser.add_argument("--role", required=True, choices=Role.values)
        parser.add_argument("--entity", required=True, metavar="CODE", help="And everything below it.")
        parser.add_argument("--department", metavar="CODE", help="Only this department and those below it.")
        parser.add_argument(
            "--limit", action="append", default=[], metavar="EUR=10000", help="Largest amount."
        )
        parser.add_argument("--until", type=date.fromisoformat, help="The first day without it (YYYY-MM-DD).")
        parser.add_argument("--reason", default="")

    def handle(self, *, user, role, entity, department, limit, until, reason, **options):
        try:
            with acting(actor=ACTOR):
                holder, place = user_by_email(user), entity_by_code(entity)
                part = _department(department, place) if department else None
                grant = services.grant_role(
                    actor=ACTOR,
                    user_id=holder.pk,
                    role=role,
                    entity_id=place.pk,
                    department_id=part.pk if part else None,
                    starts_on=timezone.now().date(),
                    ends_on=until,
                    limits=dict(map(_limit, limit)),
                    reason=reason,
                )
        except DomainError as refusal:
            raise CommandError(refusal.detail) from refusal
        self.stdout.write(f"grant={grant.pk} user={holder.email} role={role} entity={place.code}")


def user_by_email(email: str) -> User:
    user = User.objects.filter(email=email.strip().lower()).first()
    if user is None:
        raise CommandError(f"There is no user {email}.")
    return user


def entity_by_code(code: str) -> BillingEntity:
    entity = BillingEntity.objects.filter(code__iexact=code).first()
    if entity is None:
        raise CommandError(f"There is no entity {code}.")
    return entity


def _department(code: str, entity: BillingEntity) -> Department:
    department = Department.objects.filter(entity=entity, code__iexact=code).first()
    if department is None:
        raise CommandError(f"There is no department {code} in {entity.code}.")
    return department


def _limit(text: str) -> tuple[str, Decimal]:
    currency, _, amount = text.partition("=")
    try:
        return currency, Decimal(amount)
    except InvalidOperation as error:
        raise CommandError(f"'{text}' is not a limit such as EUR=10000.") from error
