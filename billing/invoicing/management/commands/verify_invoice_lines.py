import dataclasses
import json

from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from billing.invoicing.invoices.core.months import month, month_after
from billing.invoicing.models import Invoice, InvoiceLine
from billing.invoicing.verification.services.recalculation import Difference, recompute


class Command(BaseCommand):
    help = (
        "Recompute every line of the invoices issued in a month from the stored events, prices and days.\n"
        "Exit code 1 on any difference. Example: manage.py verify_invoice_lines --month 2026-10 --seller ACME"
    )

    def add_arguments(self, parser):
        parser.add_argument("--month", type=month, help="In which the invoices were issued (YYYY-MM).")
        parser.add_argument("--seller", help="Code of one selling entity; all of them without it.")
        parser.add_argument("--invoice", help="One invoice by its number, whenever it was issued.")
        parser.add_argument("--json", action="store_true", help="The result as one JSON object.")

    def handle(self, *, month, seller, invoice, **options):
        if not (month or invoice):
            raise CommandError("Say which: --month 2026-10, or --invoice INV-2026-000001.")
        invoices = Invoice.objects.exclude(number=None)
        if month:
            invoices = invoices.filter(issued_on__gte=month, issued_on__lt=month_after(month))
        if seller:
            invoices = invoices.filter(seller__code__iexact=seller)
        if invoice:
            invoices = invoices.filter(number=invoice)
            if not invoices.exists():
                raise CommandError(f"There is no such invoice with the number '{invoice}'.")
        found: list[Difference] = []
        done = 0
        total = InvoiceLine.objects.filter(invoice__in=invoices.values("pk")).count()
        with tqdm(total=total, unit=" lines", file=self.stderr, disable=None) as bar:
            for count, differences in recompute(invoices):
                done += count
                found += differences
                bar.update(count)
        self._say(done, found, as_json=options["json"])
        if found:
            raise CommandError(f"{len(found)} difference(s): the lines named do not come out as stored.")

    def _say(self, lines: int, found: list[Difference], *, as_json: bool) -> None:
        if as_json:
            told = {"lines": lines, "differences": [dataclasses.asdict(each) for each in found]}
            self.stdout.write(json.dumps(told, default=str))
            return
        for each in found:
            self.stdout.write(
                f"{each.invoice} line {each.position}: {each.what} is {each.stored}, "
                f"recomputed {each.recomputed} ({each.why})"
            )
        self.stdout.write(f"lines={lines} differences={len(found)}")
