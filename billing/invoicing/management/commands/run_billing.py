import json
from collections import defaultdict
from datetime import date
from decimal import Decimal

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from tqdm import tqdm

from billing.entities.models import BillingEntity
from billing.entities.queries import today_at
from billing.invoicing import services
from billing.invoicing.billing_runs.console.tables import AWAITS
from billing.invoicing.billing_runs.queries import NOTHING_MORE, figures_of
from billing.invoicing.billing_runs.services.runs import progress_of
from billing.invoicing.errors import TooFarAhead
from billing.invoicing.invoices.core.billing_horizon import require_near
from billing.invoicing.management.processes import continue_in_processes
from billing.invoicing.states import RunItemState
from billing.kernel.approval import ApprovalRequired
from billing.kernel.context import acting
from billing.kernel.errors import Unavailable
from billing.kernel.money import round_half_up
from billing.kernel.statement_timeout import no_statement_timeout

ACTOR = "command:run_billing"
WORKERS_MAX = 32


class Command(BaseCommand):
    help = (
        "Draft and issue everything that is due. Safe to run twice, and to run again after it was killed.\n"
        "Example: manage.py run_billing --seller ACME --as-of 2026-11-01"
    )

    def add_arguments(self, parser):
        parser.add_argument(
            "--as-of",
            type=date.fromisoformat,
            help="Bill what was used before this day's month, and issue on this day (YYYY-MM-DD; today).",
        )
        parser.add_argument("--seller", help="Code of one selling entity; all of them without it.")
        parser.add_argument(
            "--dry-run", action="store_true", help="Show what would be issued and change nothing."
        )
        parser.add_argument(
            "--workers", type=int, default=1, help="Processes that bill at the same time (1 to 32; 1)."
        )
        parser.add_argument("--json", action="store_true", help="The result as one JSON object.")

    def handle(self, *, as_of, seller, dry_run, workers, **options):
        if not 1 <= workers <= WORKERS_MAX:
            raise CommandError(f"--workers takes 1 to {WORKERS_MAX}.")
        as_of = as_of or timezone.now().date()
        results = []
        with acting(actor=ACTOR):
            for entity in self._sellers(seller):
                self._require_near(entity, as_of)
                try:
                    results.append(
                        self._preview(entity, as_of) if dry_run else self._run(entity, as_of, workers)
                    )
                except Unavailable as error:
                    raise CommandError(f"{entity.code}: {error.detail} Run it again to go on.") from error
        self._say(results, as_of, as_json=options["json"])
        if failed := sum(len(result["failures"]) for result in results):
            raise CommandError(f"{failed} customer(s) could not be billed; correct the cause and run again.")

    def _sellers(self, code: str | None):
        sellers = BillingEntity.objects.filter(is_seller=True).order_by("code")
        if code is None:
            return list(sellers)
        if found := list(sellers.filter(code__iexact=code)):
            return found
        raise CommandError(f"There is no selling entity with the code '{code}'.")

    def _require_near(self, seller: BillingEntity, as_of: date) -> None:
        try:
            require_near(as_of, today=today_at(seller))
        except TooFarAhead as error:
            raise CommandError(error.detail) from error

    def _run(self, seller: BillingEntity, as_of: date, workers: int) -> dict:
        with no_statement_timeout():
            run = services.start_billing_run(actor=ACTOR, seller_id=seller.pk, as_of=as_of)
        due = figures_of(run).pending
        with tqdm(desc=seller.code, unit=" customers", file=self.stderr, disable=None) as bar:

            def progress(done: int, total: int) -> None:
                bar.total = total
                bar.update(done - bar.n)

            if workers > 1 and due:
                continue_in_processes(
                    actor=ACTOR,
                    run_id=run.pk,
                    workers=workers,
                    look=lambda: progress(*progress_of(run)),
                )
            with no_statement_timeout():
                run = services.continue_billing_run(actor=ACTOR, run_id=run.pk, progress=progress)
        return self._result(
            seller,
            list(run.invoices.exclude(number=None)),
            list(run.invoices.filter(failure__code=ApprovalRequired.code).select_related("customer")),
            {
                item.customer.code: item.failure
                for item in run.items.filter(state=RunItemState.FAILED).select_related("customer")
            },
            due=due,
        ) | {"run": str(run.pk), "state": run.state}

    def _preview(self, seller: BillingEntity, as_of: date) -> dict:
        with no_statement_timeout():
            preview = services.preview_billing(seller_id=seller.pk, as_of=as_of)
        codes = dict(BillingEntity.objects.filter(pk__in=preview.refused).values_list("pk", "code"))
        return self._result(
            seller,
            preview.invoices,
            preview.waiting,
            {
                codes[pk]: {"code": error.code, "detail": error.detail}
                for pk, error in preview.refused.items()
            },
            due=preview.customers_due,
        )

    @staticmethod
    def _result(
        seller: BillingEntity, invoices: list, waiting: list, failures: dict[str, dict], *, due: int
    ) -> dict:
        totals: dict[str, Decimal] = defaultdict(Decimal)
        for invoice in invoices:
            totals[invoice.currency] += invoice.total_amount
        return {
            "seller": seller.code,
            "customers_due": due,
            "invoices": len(invoices),
            "totals": {
                currency: str(round_half_up(total, currency)) for currency, total in sorted(totals.items())
            },
            "waiting": [
                {
                    "customer": invoice.customer.code,
                    "total": str(round_half_up(invoice.total_amount, invoice.currency)),
                    "currency": invoice.currency,
                }
                for invoice in waiting
            ],
            "failures": failures,
        }

    def _say(self, results: list[dict], as_of: date, *, as_json: bool) -> None:
        if as_json:
            self.stdout.write(json.dumps({"as_of": str(as_of), "sellers": results}))
            return
        for result in results:
            totals = ", ".join(f"{total} {currency}" for currency, total in result["totals"].items())
            nothing = "" if result["customers_due"] else f"{NOTHING_MORE} "
            self.stdout.write(
                f"{result['seller']}: {nothing}{result['invoices']} invoices{totals and f', {totals}'}"
            )
            for draft in result["waiting"]:
                self.stdout.write(f"  {draft['customer']}: {draft['total']} {draft['currency']} {AWAITS}")
            for customer, failure in sorted(result["failures"].items()):
                self.stderr.write(f"  {customer}: {failure['detail']} ({failure['code']})")
        issued = sum(result["invoices"] for result in results)
        failed = sum(len(result["failures"]) for result in results)
        waiting = sum(len(result["waiting"]) for result in results)
        self.stdout.write(f"issued={issued} failed={failed} waiting={waiting} as_of={as_of}")
