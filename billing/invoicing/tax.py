"""Tax as pure functions: which treatment a supply has, and what a category comes to.

The tax point is the last day of the service period, so that a draft already shows what will be issued.
Arithmetic follows EN 16931: per category and rate, tax = rounded(sum of rounded line nets × percent) (BR-CO-17).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from django.db import models

from billing.kernel.money import EXACT, round_half_up


class TaxTreatment(models.TextChoices):
    """EN 16931 duty or tax category codes (UNTDID 5305)."""

    STANDARD = "S", "Standard rate"
    ZERO = "Z", "Zero rated"
    EXEMPT = "E", "Exempt"
    REVERSE_CHARGE = "AE", "Reverse charge"
    EXPORT = "G", "Export outside the EU"
    OUTSIDE_SCOPE = "O", "Outside the scope of tax"


EU = frozenset(
    [
        "AT",
        "BE",
        "BG",
        "CY",
        "CZ",
        "DE",
        "DK",
        "EE",
        "ES",
        "FI",
        "FR",
        "GR",
        "HR",
        "HU",
        "IE",
        "IT",
        "LT",
        "LU",
        "LV",
        "MT",
        "NL",
        "PL",
        "PT",
        "RO",
        "SE",
        "SI",
        "SK",
    ]
)
REASONS = {
    TaxTreatment.REVERSE_CHARGE: "Reverse charge: the customer accounts for the tax.",
    TaxTreatment.EXPORT: "Supplied outside the European Union.",
    TaxTreatment.EXEMPT: "Exempt from tax.",
    TaxTreatment.OUTSIDE_SCOPE: "Outside the scope of tax.",
}
# B.A.Z. Bausystem, Case 222/81: interest for late payment is no part of the consideration, so no tax is due on it.
LATE_PAYMENT = "Late-payment charges are compensation, not a supply: outside the scope of VAT."
_CERTIFIED = "Exempt from tax: certificate "


@dataclass(frozen=True)
class Party:
    country: str
    tax_id: str


def treatment_of(*, seller: Party, customer: Party, product_category: str) -> tuple[str, str | None]:
    """The treatment of a supply of services, and the country whose rate applies (None: no rate, 0 %).

    Directive 2006/112/EC, art. 44, 45 and 196 in short: business customers in another member state
    account for the tax themselves; consumers there pay their country's rate; outside the EU it is an
    export. A seller outside the EU charges its own country's rate at home and nothing abroad.
    """
    if product_category != TaxTreatment.STANDARD:
        return product_category, None
    if seller.country == customer.country:
        return TaxTreatment.STANDARD, seller.country
    if seller.country not in EU:
        return TaxTreatment.OUTSIDE_SCOPE, None
    if customer.country not in EU:
        return TaxTreatment.EXPORT, None
    if customer.tax_id:
        return TaxTreatment.REVERSE_CHARGE, None
    return TaxTreatment.STANDARD, customer.country


@dataclass(frozen=True)
class TaxRow:
    category: str
    percent: Decimal
    taxable_amount: Decimal
    tax_amount: Decimal


def breakdown(lines: Iterable[tuple[str, Decimal, Decimal]], currency: str) -> list[TaxRow]:
    """One row per category and rate from (category, percent, rounded net) of every line, in that order."""
    taxable: dict[tuple[str, Decimal], Decimal] = {}
    for category, percent, net in lines:
        taxable[category, percent] = EXACT.add(taxable.get((category, percent), Decimal(0)), net)
    return [
        TaxRow(
            category=category,
            percent=percent,
            taxable_amount=net,
            tax_amount=round_half_up(exact_tax(net, percent), currency),
        )
        for (category, percent), net in sorted(taxable.items())
    ]


def exemption_reason(category: str, certificate: str = "") -> str:
    """Why a category bears no tax (EN 16931 BT-120), with the customer's certificate if that is the reason."""
    if category == TaxTreatment.EXEMPT and certificate:
        return f"{_CERTIFIED}{certificate}."
    return REASONS.get(category, "")


def certificate_in(reason: str) -> str:
    """The certificate an `exemption_reason` names, or nothing."""
    return reason.removeprefix(_CERTIFIED).removesuffix(".") if reason.startswith(_CERTIFIED) else ""


def exact_tax(net: Decimal, percent: Decimal) -> Decimal:
    return EXACT.divide(EXACT.multiply(net, percent), Decimal(100))
