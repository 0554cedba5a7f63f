from datetime import date

from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from billing.dunning import services
from billing.dunning.models import DunningNotice
from billing.dunning.queries import customers_to_see, sellers_with_policies
from billing.dunning.queries.plan import plan_dunning
from billing.dunning.states import ItemState
from billing.entities.models import BillingEntity
from billing.entities.queries import today_at
from billing.kernel.context import acting
from billing.kernel.errors import Unavailable
from billing.kernel.statement_timeout import no_statement_timeout

ACTOR = "command:run_dunning"
CHUNK = 500


class Command(BaseCommand):
    help = (
        "Take every dunning step that is due. Safe to run twice, and to run again after it was killed.\n"
        "Example: manage.py run_dunning --seller ACME --as-of 2026-11-01"
    )

    def add_arguments(self, parser):
        parser.add_argument(
            "--as-of",
            type=date.fromisoformat,
            help="Act as if today were this day (YYYY-MM-DD; today where the seller is).",
        )
        parser.add_argument("--seller", help="Code of one selling entity; all of them without it.")
        parser.add_argument("--dry-run", action="store_true", help="Say what is due and change nothing.")

    def handle(self, *, as_of, seller, dry_run, **options):
        failed = 0
        with acting(actor=ACTOR), no_statement_timeout():
            for entity in self._sellers(seller):
                day = as_of or today_at(entity)
                if dry_run:
                    self._preview(entity, day)
                    continue
                try:
                    failed += self._run(entity, day)
                except Unavailable as error:
                    raise CommandError(f"{entity.code}: {error.detail} Run it again to go on.") from error
        if failed:
            raise CommandError(
                f"{failed} customer(s) could not be reminded; correct the cause and run again."
            )

    def _sellers(self, code: str | None) -> list[BillingEntity]:
        sellers = sellers_with_policies()
        if code is None:
            return list(sellers)
        if found := list(sellers.filter(code__iexact=code)):
            return found
        raise CommandError(f"There is no seller with a dunning policy and the code '{code}'.")

    def _run(self, seller: BillingEntity, as_of: date) -> int:
        with tqdm(desc=seller.code, unit=" customers", file=self.stderr, disable=None) as bar:

            def progress(done: int, total: int) -> None:
                bar.total = total
                bar.update(done - bar.n)

            run = services.run_dunning(actor=ACTOR, seller_id=seller.pk, as_of=as_of, progress=progress)
        failures = run.items.filter(state=ItemState.FAILED).select_related("customer")
        for item in failures.order_by("customer__code"):
            self.stderr.write(f"  {item.customer.code}: {item.failure['detail']} ({item.failure['code']})")
        noticed = DunningNotice.objects.filter(case__seller=seller, noticed_on=as_of)
        taken = noticed.filter(outcome="taken").count()
        skipped = noticed.filter(outcome="skipped").count()
        self.stdout.write(
            f"{seller.code}: taken={taken} skipped={skipped} failed={len(failures)} as_of={as_of}"
        )
        return len(failures)

    def _preview(self, seller: BillingEntity, as_of: date) -> None:
        concerned = list(customers_to_see(seller_id=seller.pk, as_of=as_of))
        due = 0
        for start in range(0, len(concerned), CHUNK):
            chunk = concerned[start : start + CHUNK]
            codes = {customer.pk: customer.code for customer in chunk}
            for one in plan_dunning(seller_id=seller.pk, customers=chunk, as_of=as_of):
                for step in one.take:
                    due += 1
                    self.stdout.write(
                        f"{codes[one.invoice.customer_id]} {one.invoice}: {step.what}, {one.days_late} days late,"
                        f" {one.collectable_amount} {one.invoice.currency}"
                    )
        self.stdout.write(f"{seller.code}: due={due} as_of={as_of} dry_run=True")
