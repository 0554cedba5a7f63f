from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from django.db import transaction

from billing.entities.models import BillingEntity
from billing.invoicing.errors import TaxRateMissing
from billing.invoicing.models import TaxRate
from billing.invoicing.tax import Party, treatment_of
from billing.kernel import audit
from billing.kernel.errors import Conflict


@transaction.atomic
def add_tax_rate(*, actor: str, country: str, category: str, percent: Decimal, starts_on: date) -> TaxRate:
    """From `starts_on` the category is taxed at `percent` in `country`, until a later rate starts.

    Adding the same rate again changes nothing; another percentage for the same day raises Conflict.
    """
    rate, is_new = TaxRate.objects.get_or_create(
        country=country, category=category, starts_on=starts_on, defaults={"percent": percent}
    )
    if rate.percent != percent:
        raise Conflict(f"{country} {category} is {rate.percent} % from {starts_on} on.")
    if is_new:
        audit.record(actor=actor, action="tax_rate.added", subject=rate, detail={"rate": str(rate)})
    return rate


@dataclass(frozen=True)
class TaxTable:
    """All rates, newest first: small, read once per drafting."""

    rates: tuple[TaxRate, ...]

    @classmethod
    def load(cls) -> "TaxTable":
        return cls(tuple(TaxRate.objects.order_by("-starts_on", "pk")))

    def treat(
        self, *, seller: BillingEntity, customer: BillingEntity, category: str, on: date
    ) -> tuple[str, Decimal]:
        """The treatment and percentage of a supply on a day. Raises TaxRateMissing."""
        treatment, country = treatment_of(
            seller=Party(seller.country, seller.tax_id),
            customer=Party(customer.country, customer.tax_id),
            product_category=category,
        )
        if country is None:
            return treatment, Decimal(0)
        for rate in self.rates:
            if (rate.country, rate.category) == (country, category) and rate.starts_on <= on:
                return treatment, rate.percent
        raise TaxRateMissing(
            f"No {category} rate for {country} on {on}. Add one under tax rates, then bill again.",
            country=country,
            category=category,
        )
