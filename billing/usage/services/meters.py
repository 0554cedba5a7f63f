from collections.abc import Mapping
from uuid import UUID

from django.db import transaction

from billing.entities.models import BillingEntity
from billing.kernel import audit
from billing.kernel.errors import Invalid, NotFound
from billing.kernel.versions import require_version
from billing.subscriptions.models import Product
from billing.usage.errors import MeterCodeTaken, ProductOfAnotherSeller
from billing.usage.models import Aggregation, Meter

EDITABLE = {"name", "unit", "product_id", "is_active"}


@transaction.atomic
def create_meter(
    *,
    actor: str,
    entity_id: UUID,
    code: str,
    name: str,
    product_id: UUID,
    unit: str,
    aggregation: str = Aggregation.SUM,
) -> Meter:
    """Add a meter to a seller; its usage is billed as `product`. The aggregation stays for ever.

    Raises NotFound, MeterCodeTaken, ProductOfAnotherSeller, or Invalid for an unknown aggregation.
    """
    seller = BillingEntity.objects.locked().filter(pk=entity_id).first()
    if seller is None:
        raise NotFound("There is no such entity.")
    if aggregation not in Aggregation.values:
        raise Invalid(f"'{aggregation}' is not an aggregation.", known=Aggregation.values)
    _require_product_of(seller.pk, product_id)
    if Meter.objects.filter(entity=seller, code__iexact=code).exists():
        raise MeterCodeTaken(f"There is already a meter '{code}'.", meter_code=code)

    meter = Meter.objects.create(
        entity=seller, code=code, name=name, product_id=product_id, unit=unit, aggregation=aggregation
    )
    audit.record(actor=actor, action="meter.created", subject=meter, detail={"code": code})
    return meter


@transaction.atomic
def update_meter(
    *, actor: str, meter_id: UUID, changes: Mapping[str, object], version: int | None = None
) -> Meter:
    """Change name, unit, product, or whether it still takes usage. `version` is the one last seen.

    Raises NotFound, PreconditionFailed, ProductOfAnotherSeller, or Invalid for what is not editable.
    """
    if unknown := sorted(changes.keys() - EDITABLE):
        raise Invalid(f"Not editable: {', '.join(unknown)}.", fields=unknown)
    meter = Meter.objects.locked().filter(pk=meter_id).first()
    if meter is None:
        raise NotFound("There is no such meter.")
    require_version(meter, version)
    changed = sorted(name for name, value in changes.items() if getattr(meter, name) != value)
    if not changed:
        return meter
    if "product_id" in changed:
        _require_product_of(meter.entity_id, changes["product_id"])
    for name in changed:
        setattr(meter, name, changes[name])
    meter.save(update_fields=changed)
    meter.refresh_from_db()
    audit.record(actor=actor, action="meter.updated", subject=meter, detail={"fields": changed})
    return meter


def _require_product_of(seller_id: UUID, product_id: UUID) -> None:
    owner = Product.objects.filter(pk=product_id).values_list("entity_id", flat=True).first()
    if owner is None:
        raise NotFound("There is no such product.")
    if owner != seller_id:
        raise ProductOfAnotherSeller("The product belongs to another seller.")
