from datetime import date

from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from billing.entities.models import BillingEntity
from billing.invoicing import services
from billing.invoicing.queries import without_document
from billing.kernel.context import acting
from billing.kernel.errors import Unavailable
from billing.kernel.statement_timeout import no_statement_timeout

ACTOR = "command:render_documents"


class Command(BaseCommand):
    help = (
        "Make the PDFs of issued invoices that have none yet. Safe to run twice, and to run again after it was killed.\n"
        "Example: manage.py render_documents --seller ACME --issued-from 2026-10-01 --issued-to 2026-11-01"
    )

    def add_arguments(self, parser):
        parser.add_argument("--seller", required=True, help="Code of the selling entity.")
        parser.add_argument("--issued-from", type=date.fromisoformat, help="First day of issue (YYYY-MM-DD).")
        parser.add_argument(
            "--issued-to", type=date.fromisoformat, help="Day of issue to stop before (YYYY-MM-DD)."
        )
        parser.add_argument("--dry-run", action="store_true", help="Say how many there are and make none.")

    def handle(self, *, seller, issued_from, issued_to, dry_run, **_):
        entity = BillingEntity.objects.filter(is_seller=True, code__iexact=seller).first()
        if entity is None:
            raise CommandError(f"There is no selling entity with the code '{seller}'.")
        chosen = {"seller_id": entity.pk, "issued_from": issued_from, "issued_to": issued_to}
        if dry_run:
            self.stdout.write(f"missing={without_document(**chosen).count()}")
            return
        with acting(actor=ACTOR), no_statement_timeout():
            try:
                done = self._render(entity.code, chosen)
            except Unavailable as error:
                raise CommandError(f"{error.detail} Run it again to go on.") from error
        self.stdout.write(f"rendered={done.rendered} failed={done.failed}")
        for number, failure in sorted(done.failures.items()):
            self.stderr.write(f"  {number}: {failure['detail']} ({failure['code']})")
        if done.failed:
            raise CommandError(
                f"{done.failed} document(s) could not be made; correct the cause and run again."
            )

    def _render(self, code: str, chosen: dict) -> services.Rendered:
        with tqdm(desc=code, unit=" documents", file=self.stderr, disable=None) as bar:

            def progress(done: int, total: int) -> None:
                bar.total = total
                bar.update(done - bar.n)

            return services.render_missing_documents(actor=ACTOR, progress=progress, **chosen)
