import json
from datetime import date

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from tqdm import tqdm

from billing.entities.models import BillingEntity
from billing.entities.queries import today_at
from billing.invoicing import services
from billing.invoicing.invoices.core.billing_horizon import require_near
from billing.invoicing.invoices.core.months import month, month_after
from billing.kernel.context import acting
from billing.kernel.errors import DomainError
from billing.kernel.money import round_half_up
from billing.kernel.statement_timeout import no_statement_timeout

ACTOR = "command:consolidate"


class Command(BaseCommand):
    help = (
        "Gather the open invoices that a payer's group was issued in a month into one consolidated invoice.\n"
        "Safe to run twice: what is gathered is not gathered again. Several payers may be named.\n"
        "Example: manage.py consolidate --seller ACME --payer NORTH --month 2026-10 --dry-run"
    )

    def add_arguments(self, parser):
        parser.add_argument("--seller", required=True, help="Code of the selling entity.")
        parser.add_argument("--payer", required=True, nargs="+", help="Code of who pays for its group.")
        parser.add_argument("--month", required=True, type=month, help="In which it was issued (YYYY-MM).")
        parser.add_argument("--issued-on", type=date.fromisoformat, help="YYYY-MM-DD; today.")
        parser.add_argument("--dry-run", action="store_true", help="Show what would be gathered, no more.")
        parser.add_argument("--allow-missing", action="store_true", help="Leave drafts of the group out.")
        parser.add_argument("--json", action="store_true", help="The result as one JSON object.")

    def handle(self, *, seller, payer, month, issued_on, dry_run, allow_missing, **options):
        selling = self._entity(seller)
        span = {
            "seller_id": selling.pk,
            "period_starts_on": month,
            "period_ends_on": month_after(month),
            "issued_on": issued_on or timezone.now().date(),
        }
        results = []
        with acting(actor=ACTOR), no_statement_timeout():
            for code in tqdm(payer, unit=" payers", file=self.stderr, disable=None):
                terms = {"payer_id": self._entity(code).pk, **span}
                try:
                    require_near(span["issued_on"], today=today_at(selling))
                    told = self._preview(**terms) if dry_run else self._consolidate(allow_missing, **terms)
                except DomainError as error:
                    told = {"failure": {"code": error.code, "detail": error.detail, **error.extra}}
                results.append({"payer": code, **told})
        self._say(results, as_json=options["json"])
        if failed := sum("failure" in result for result in results):
            raise CommandError(f"{failed} payer(s) could not be consolidated.")

    @staticmethod
    def _preview(**terms) -> dict:
        found = services.preview_consolidation(**terms)
        return {
            "invoices": found.child_count,
            "totals": {
                total.currency: str(round_half_up(total.total_amount, total.currency))
                for total in found.totals
            },
            "missing": [str(draft.pk) for draft in found.missing],
        }

    @staticmethod
    def _consolidate(allow_missing: bool, **terms) -> dict:
        made = services.consolidate_invoices(actor=ACTOR, allow_missing=allow_missing, **terms)
        totals = made.document.totals.order_by("currency")
        return {
            "number": made.document.number,
            "created": made.is_new,
            "invoices": made.document.child_count,
            "totals": {
                total.currency: str(round_half_up(total.total_amount, total.currency)) for total in totals
            },
            "missing": [str(draft.pk) for draft in made.missing],
        }

    def _say(self, results: list[dict], *, as_json: bool) -> None:
        if as_json:
            self.stdout.write(json.dumps({"payers": results}))
            return
        for result in results:
            if failure := result.get("failure"):
                self.stderr.write(f"{result['payer']}: {failure['detail']} ({failure['code']})")
                continue
            totals = ", ".join(f"{total} {currency}" for currency, total in result["totals"].items())
            what = result.get("number", "would gather")
            again = "" if result.get("created", True) else " (there already)"
            self.stdout.write(
                f"{result['payer']}: {what}{again}, {result['invoices']} invoices, {totals or 'nothing'}"
            )
            if result["missing"]:
                self.stderr.write(f"  left out, still drafts: {', '.join(result['missing'])}")

    @staticmethod
    def _entity(code: str) -> BillingEntity:
        found = BillingEntity.objects.filter(code__iexact=code).first()
        if found is None:
            raise CommandError(f"There is no entity with the code '{code}'.")
        return found
