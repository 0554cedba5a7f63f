"""Letters to look at before they are sent: with made-up claims, or about a real invoice as it stands."""

from datetime import date
from decimal import Decimal

from billing.dunning.core.clock import collectable, days_late
from billing.dunning.core.letters import Claim, letter_of
from billing.dunning.models import LateFee
from billing.dunning.queries.plan import holds_of
from billing.dunning.states import FeeState
from billing.invoicing.models import Invoice
from billing.kernel.money import round_half_up

SAMPLE_DAY = date(2026, 3, 7)
SAMPLE_CLAIMS = (
    Claim(
        number="INV-2026-000041",
        issued_on=date(2026, 1, 1),
        due_on=date(2026, 1, 31),
        days_late=35,
        open_amount=Decimal("1250.00"),
        asked=Decimal("1000.00"),
        currency="EUR",
    ),
    Claim(
        number="INV-2026-000067",
        issued_on=date(2026, 1, 15),
        due_on=date(2026, 2, 14),
        days_late=21,
        open_amount=Decimal("89.90"),
        asked=Decimal("89.90"),
        currency="EUR",
    ),
)
SAMPLE_FEES = ((Decimal("40.00"), "EUR"), (Decimal("8.75"), "EUR"))


def sample_letter(language: str) -> dict:
    return letter_of(
        language=language,
        seller="Northwind Cloud GmbH",
        customer="Contoso & Söhne AG",
        written_on=SAMPLE_DAY,
        claims=SAMPLE_CLAIMS,
        fees=SAMPLE_FEES,
    )


def letter_about(invoice: Invoice, *, language: str, as_of: date) -> dict:
    """As a letter of `as_of` would tell of the invoice, whatever step is due."""
    held = holds_of([invoice.pk])[invoice.pk]
    open_amount = round_half_up(invoice.balance_amount, invoice.currency)
    fees = LateFee.objects.filter(invoice=invoice, state=FeeState.TO_BE_BILLED).order_by("pk")
    return letter_of(
        language=language,
        seller=invoice.seller.legal_name or invoice.seller.name,
        customer=invoice.customer.legal_name or invoice.customer.name,
        written_on=as_of,
        claims=[
            Claim(
                number=invoice.number,
                issued_on=invoice.issued_on,
                due_on=invoice.due_on,
                days_late=days_late(invoice.due_on, as_of, held, open_amount),
                open_amount=open_amount,
                asked=round_half_up(collectable(open_amount, held, as_of), invoice.currency),
                currency=invoice.currency,
            )
        ],
        fees=[(fee.amount, fee.currency) for fee in fees],
    )
