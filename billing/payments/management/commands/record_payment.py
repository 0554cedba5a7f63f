from datetime import date
from decimal import Decimal, InvalidOperation

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from billing.entities.models import BillingEntity
from billing.entities.queries import seller_of
from billing.invoicing.models import ConsolidatedInvoice, Invoice
from billing.kernel.context import acting
from billing.kernel.errors import DomainError
from billing.kernel.money import round_half_up
from billing.payments import services
from billing.payments.states import PaymentMethodKind

ACTOR = "command:record_payment"


class Command(BaseCommand):
    help = (
        "Record money that arrived and settle invoices with it, the oldest due first unless one is named. "
        "The same reference twice is one payment. "
        "Example: record_payment --customer ACME --amount 119.00 --currency EUR --reference 'wire 4711'"
    )

    def add_arguments(self, parser):
        parser.add_argument("--customer", required=True, help="The code of the entity that paid.")
        parser.add_argument("--seller", help="The code of the entity that was paid; the nearest above it.")
        parser.add_argument("--amount", type=_amount, required=True)
        parser.add_argument("--currency", required=True)
        parser.add_argument("--reference", required=True, help="The bank's or the cheque's own reference.")
        parser.add_argument(
            "--method", choices=PaymentMethodKind.values, default=PaymentMethodKind.BANK_TRANSFER
        )
        parser.add_argument("--received-on", type=date.fromisoformat, help="YYYY-MM-DD; today.")
        parser.add_argument(
            "--invoice", help="The number of the one invoice, or consolidated one, it is for."
        )

    def handle(self, *, customer, seller, invoice, amount, currency, received_on, **options):
        today = timezone.now().date()
        payer = self._entity(customer)
        paid = self._entity(seller) if seller else seller_of(payer)
        if paid is None:
            raise CommandError(f"There is no seller above '{customer}'; name one with --seller.")
        try:
            with acting(actor=ACTOR):
                payment = services.record_payment(
                    actor=ACTOR,
                    seller_id=paid.pk,
                    customer_id=payer.pk,
                    amount=amount,
                    currency=currency.upper(),
                    received_on=received_on or today,
                    method=options["method"],
                    reference=options["reference"],
                    as_of=today,
                    **(self._meant_for(paid, invoice, amount) if invoice else {}),
                )
        except DomainError as error:
            raise CommandError(error.detail) from error
        applied = round_half_up(payment.applied_amount, payment.currency)
        on_balance = round_half_up(payment.amount - payment.applied_amount, payment.currency)
        self.stdout.write(f"payment={payment.pk} applied={applied} on_balance={on_balance}")

    @staticmethod
    def _entity(code: str) -> BillingEntity:
        if found := BillingEntity.objects.filter(code__iexact=code).first():
            return found
        raise CommandError(f"There is no entity '{code}'.")

    @staticmethod
    def _meant_for(seller: BillingEntity, number: str, amount: Decimal) -> dict:
        if found := Invoice.objects.filter(seller=seller, number=number).first():
            return {"applications": [(found.pk, amount)]}
        if document := ConsolidatedInvoice.objects.filter(seller=seller, number=number).first():
            return {"consolidated_invoice_id": document.pk}
        raise CommandError(f"There is no invoice '{number}' of {seller}.")


def _amount(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        raise CommandError(f"'{text}' is not an amount.") from None
