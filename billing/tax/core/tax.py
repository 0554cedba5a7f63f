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
    INTRA_COMMUNITY = "K", "Intra-Community supply of goods"
    EXPORT = "G", "Export outside the EU"
    OUTSIDE_SCOPE = "O", "Outside the scope of tax"
    IGIC = "L", "Canary Islands general indirect tax"
    IPSI = "M", "Tax of Ceuta and Melilla"


# By the codes ISO 3166 reserves: Spain's territories outside the union's area of value added tax (Directive
# 2006/112/EC, art. 6), whose own tax a supply at home bears instead.
OWN_TAX = {"IC": TaxTreatment.IGIC, "EA": TaxTreatment.IPSI}
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
    TaxTreatment.INTRA_COMMUNITY: "Intra-Community supply, exempt under art. 138 of Directive 2006/112/EC.",
    TaxTreatment.EXPORT: "Supplied outside the European Union.",
    TaxTreatment.EXEMPT: "Exempt from tax.",
    TaxTreatment.OUTSIDE_SCOPE: "Outside the scope of tax.",
}
# B.A.Z. Bausystem, Case 222/81: interest for late payment is no part of the consideration, so no tax is due on it.
LATE_PAYMENT = "Late-payment charges are compensation, not a supply: outside the scope of VAT."
NAMES_THE_SELLER = (
    TaxTreatment.INTRA_COMMUNITY,
    TaxTreatment.IGIC,
    TaxTreatment.IPSI,
)  # BR-IC-2, BR-AF-2, BR-AG-2
WITH_A_RATE = (
    TaxTreatment.STANDARD,
    TaxTreatment.IGIC,
    TaxTreatment.IPSI,
)  # the others are 0 % (BR-Z-5, BR-IC-5, …)
_CERTIFIED = "Exempt from tax: certificate "


@dataclass(frozen=True)
class Party:
    country: str
    tax_id: str


def treatment_of(
    *, seller: Party, customer: Party, product_category: str, is_goods: bool = False
) -> tuple[str, str | None]:
    """The treatment of a supply, and the country whose rate applies (None: no rate, 0 %).

    Directive 2006/112/EC, art. 44, 45, 138 and 196 in short: business customers in another member state
    account for the tax themselves, of services as of goods that are sent there; consumers there pay their
    country's rate; outside the EU it is an export. A seller outside the EU charges its own country's rate at
    home and nothing abroad.
    """
    if product_category != TaxTreatment.STANDARD:
        return product_category, None
    if seller.country == customer.country:
        return OWN_TAX.get(seller.country, TaxTreatment.STANDARD), seller.country
    if seller.country not in EU:
        return TaxTreatment.OUTSIDE_SCOPE, None
    if customer.country not in EU:
        return TaxTreatment.EXPORT, None
    if customer.tax_id:
        return TaxTreatment.INTRA_COMMUNITY if is_goods else TaxTreatment.REVERSE_CHARGE, None
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


def rate_of_its_category(category: str, percent: str) -> models.Q:
    """The columns of a category and its percentage fit: without tax it is 0 (BR-Z-5, BR-E-5, BR-AE-5, BR-IC-5, …)."""
    untaxed = set(TaxTreatment.values) - set(WITH_A_RATE)
    return models.Q(**{f"{category}__in": sorted(WITH_A_RATE)}) | models.Q(
        **{f"{category}__in": sorted(untaxed), percent: 0}
    )


def reason_of_its_category() -> models.Q:
    """Who pays none is told why (BR-E-10, BR-AE-10, BR-IC-10, …), and nobody else is (BR-S-10, BR-Z-10, BR-AF-10, …)."""
    told = sorted(REASONS)
    return (models.Q(category__in=told) & ~models.Q(exemption_reason="")) | (
        ~models.Q(category__in=told) & models.Q(exemption_reason="")
    )


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
