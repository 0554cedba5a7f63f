from datetime import date
from uuid import UUID

from django.db import transaction
from django.db.models import Q

from billing.entities.editing import countries
from billing.entities.models import BillingEntity
from billing.invoicing.errors import ExemptionEnds, ExemptionOverlaps
from billing.invoicing.models import TaxExemption
from billing.kernel import audit
from billing.kernel.errors import Invalid
from billing.kernel.versions import require_version


@transaction.atomic
def add_tax_exemption(
    *,
    actor: str,
    customer_id: UUID,
    country: str,
    certificate: str,
    starts_on: date,
    ends_on: date | None = None,
) -> TaxExemption:
    """From `starts_on` until `ends_on` (exclusive) the customer pays no tax of `country`.

    It is for invoices drafted from now on; those that are issued stay as they are. Raises ExemptionEnds
    if it would end before it starts, ExemptionOverlaps if another covers one of its days, Invalid for a
    country that is none.
    """
    if country not in countries():
        raise Invalid(f"There is no country {country!r}.", field="country")
    if ends_on is not None and ends_on <= starts_on:
        raise ExemptionEnds("It ends after the day on which it starts.")
    # Under the customer's lock, as drafting is: a draft is made with it or without it.
    customer = BillingEntity.objects.locked().get(pk=customer_id)
    started = TaxExemption.objects.filter(customer=customer, country=country)
    open_at_start = started.filter(Q(ends_on__isnull=True) | Q(ends_on__gt=starts_on))
    other = (open_at_start if ends_on is None else open_at_start.filter(starts_on__lt=ends_on)).first()
    if other:
        raise ExemptionOverlaps(f"{customer.code} has {other} from {other.starts_on} on.")
    exemption = TaxExemption.objects.create(
        customer=customer, country=country, certificate=certificate, starts_on=starts_on, ends_on=ends_on
    )
    audit.record(actor=actor, action="tax_exemption.added", subject=exemption)
    return exemption


@transaction.atomic
def end_tax_exemption(
    *, actor: str, exemption_id: UUID, ends_on: date, reason: str, version: int | None = None
) -> TaxExemption:
    """Let it end on a day (exclusive) before the one on which it would: it was withdrawn, or is replaced.

    Raises ExemptionEnds for a day that is none of its own, PreconditionFailed.
    """
    customer_id = TaxExemption.objects.values_list("customer_id", flat=True).get(pk=exemption_id)
    BillingEntity.objects.locked().get(pk=customer_id)
    exemption = TaxExemption.objects.locked().get(pk=exemption_id)
    require_version(exemption, version)
    if ends_on <= exemption.starts_on or (exemption.ends_on and ends_on >= exemption.ends_on):
        raise ExemptionEnds(
            f"{exemption} runs from {exemption.starts_on} to {exemption.ends_on or 'further notice'}:"
            " it can only end between these days."
        )
    exemption.ends_on = ends_on
    exemption.save(update_fields=["ends_on"])
    exemption.refresh_from_db()
    audit.record(actor=actor, action="tax_exemption.ended", subject=exemption, reason=reason)
    return exemption
