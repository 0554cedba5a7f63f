from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from django.db import transaction

from billing.entities.models import BillingEntity
from billing.invoicing.errors import TaxIdMissing, TaxRateMissing
from billing.invoicing.models import TaxExemption, TaxRate
from billing.kernel import audit
from billing.kernel.errors import Conflict
from billing.tax.core.tax import NAMES_THE_SELLER, Party, TaxTreatment, treatment_of


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


class Treatment(NamedTuple):
    """How a supply is taxed: category, percentage, and the certificate that exempts it, if one does."""

    category: str
    percent: Decimal
    certificate: str = ""


@dataclass(frozen=True)
class TaxTable:
    """All rates, newest first (they are few), and the exemptions of the customers; read once per drafting."""

    rates: tuple[TaxRate, ...]
    exemptions: tuple[TaxExemption, ...]

    @classmethod
    def load(cls, *, customer_ids: Collection[UUID]) -> "TaxTable":
        return cls(
            tuple(TaxRate.objects.order_by("-starts_on", "pk")),
            tuple(TaxExemption.objects.filter(customer__in=customer_ids).order_by("pk")),
        )

    def treat(
        self, *, seller: BillingEntity, customer: BillingEntity, category: str, is_goods: bool, on: date
    ) -> Treatment:
        """The treatment of a supply on a day. An exempt customer needs no rate. Raises TaxRateMissing, TaxIdMissing."""
        treatment, country = treatment_of(
            seller=Party(seller.country, seller.tax_id),
            customer=Party(customer.country, customer.tax_id),
            product_category=category,
            is_goods=is_goods,
        )
        if treatment in NAMES_THE_SELLER and not seller.tax_id:
            raise TaxIdMissing(
                f"{seller.name} has no tax id, and what it sells to {customer.name} is {TaxTreatment(treatment).label}."
                " Add it to the entity, then bill again.",
                category=treatment,
            )
        if country is None:
            return Treatment(treatment, Decimal(0))
        if certificate := self._certificate_of(customer, country, on):
            return Treatment(TaxTreatment.EXEMPT, Decimal(0), certificate)
        for rate in self.rates:
            if (rate.country, rate.category) == (country, category) and rate.starts_on <= on:
                return Treatment(treatment, rate.percent)
        raise TaxRateMissing(
            f"No {category} rate for {country} on {on}. Add one under tax rates, then bill again.",
            country=country,
            category=category,
        )

    def _certificate_of(self, customer: BillingEntity, country: str, on: date) -> str:
        """The number of the certificate by which the customer owes no tax in the country that day, or nothing."""
        return next(
            (
                exemption.certificate
                for exemption in self.exemptions
                if (exemption.customer_id, exemption.country) == (customer.pk, country)
                and exemption.starts_on <= on
                and (exemption.ends_on is None or on < exemption.ends_on)
            ),
            "",
        )
