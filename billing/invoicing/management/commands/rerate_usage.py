import json
from datetime import date

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from billing.entities.models import BillingEntity
from billing.entities.queries import today_at
from billing.invoicing import services
from billing.invoicing.invoices.core.billing_horizon import require_near
from billing.invoicing.invoices.core.months import month, month_after
from billing.kernel.context import acting
from billing.kernel.errors import DomainError
from billing.kernel.statement_timeout import no_statement_timeout

ACTOR = "command:rerate_usage"


class Command(BaseCommand):
    help = (
        "Rate a customer's usage of a month anew, at today's prices and events: drafts are made anew, issued\n"
        "invoices are voided and drafted anew. Settled ones are refused, and then nothing changes.\n"
        'Example: manage.py rerate_usage --seller ACME --customer NORTH --month 2026-10 --reason "price corrected"'
    )

    def add_arguments(self, parser):
        parser.add_argument("--seller", required=True, help="Code of the selling entity.")
        parser.add_argument("--customer", required=True, help="Code of the customer.")
        parser.add_argument(
            "--month", required=True, type=month, help="In which it was used, or its period began (YYYY-MM)."
        )
        parser.add_argument("--reason", required=True, help="Why; kept in the audit trail.")
        parser.add_argument("--as-of", type=date.fromisoformat, help="The day to void and draft on (today).")
        parser.add_argument("--json", action="store_true", help="The result as one JSON object.")

    def handle(self, *, seller, customer, month, reason, as_of, **options):
        as_of = as_of or timezone.now().date()
        with acting(actor=ACTOR), no_statement_timeout():
            try:
                require_near(as_of, today=today_at(self._entity(seller)))
                drafts = services.rerate_usage(
                    actor=ACTOR,
                    seller_id=self._entity(seller).pk,
                    customer_id=self._entity(customer).pk,
                    starts_on=month,
                    ends_on=month_after(month),
                    reason=reason,
                    as_of=as_of,
                )
            except DomainError as error:
                raise CommandError(f"{error.detail} ({error.code})") from error
        told = [
            {
                "id": str(draft.pk),
                "for": draft.billing_key,
                "total": str(draft.total_amount),
                "currency": draft.currency,
            }
            for draft in drafts
        ]
        if options["json"]:
            self.stdout.write(json.dumps({"drafts": told}))
            return
        for draft in told:
            self.stdout.write(f"{draft['id']} {draft['for']}: {draft['total']} {draft['currency']}")
        self.stdout.write(f"drafts={len(told)} as_of={as_of}")

    def _entity(self, code: str) -> BillingEntity:
        found = BillingEntity.objects.filter(code__iexact=code).first()
        if found is None:
            raise CommandError(f"There is no entity with the code '{code}'.")
        return found
