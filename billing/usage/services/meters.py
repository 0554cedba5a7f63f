from collections.abc import Mapping, Sequence
from uuid import UUID

from django.db import transaction

from billing.entities.models import BillingEntity
from billing.kernel import audit
from billing.kernel.advisory_locks import USAGE_QUOTAS
from billing.kernel.errors import Invalid, NotFound
from billing.kernel.versions import require_version
from billing.subscriptions.models import Product
from billing.usage.errors import MeterCodeTaken, MeterInUse, ProductOfAnotherSeller
from billing.usage.models import Aggregation, LatePolicy, Meter, UsageEvent
from billing.usage.services.definitions import require_sound

DEFINITION = {"aggregation", "counted_property", "filters", "group_by"}
EDITABLE = DEFINITION | {
    *("name", "unit", "product_id", "is_active"),
    *("allows_negative", "late_policy", "late_days"),
}


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
    counted_property: str = "",
    filters: Sequence[Mapping[str, object]] = (),
    group_by: Sequence[str] = (),
    allows_negative: bool = False,
    late_policy: str = LatePolicy.SAME_INVOICE_IF_DRAFT,
    late_days: int | None = None,
) -> Meter:
    """Add a meter to a seller; its usage is billed as `product`.

    How it counts stays from the first event on. Raises NotFound, MeterCodeTaken, ProductOfAnotherSeller,
    UnsoundDefinition, or Invalid for an unknown aggregation or late policy.
    """
    seller = BillingEntity.objects.locked().filter(pk=entity_id).first()
    if seller is None:
        raise NotFound("There is no such entity.")
    meter = Meter(
        entity=seller,
        code=code,
        name=name,
        product_id=product_id,
        unit=unit,
        aggregation=aggregation,
        counted_property=counted_property,
        filters=list(filters),
        group_by=list(group_by),
        allows_negative=allows_negative,
        late_policy=late_policy,
        late_days=late_days,
    )
    require_sound(meter)
    _require_product_of(seller.pk, product_id)
    if Meter.objects.filter(entity=seller, code__iexact=code).exists():
        raise MeterCodeTaken(f"There is already a meter '{code}'.", meter_code=code)

    meter.save(force_insert=True)
    audit.record(actor=actor, action="meter.created", subject=meter, detail={"code": code})
    return meter


@transaction.atomic
def update_meter(
    *, actor: str, meter_id: UUID, changes: Mapping[str, object], version: int | None = None
) -> Meter:
    """Change what is EDITABLE; how it counts, only before its first event. `version` is the one last seen.

    Raises NotFound, PreconditionFailed, ProductOfAnotherSeller, MeterInUse, UnsoundDefinition, or Invalid for
    what is not editable or not known.
    """
    if unknown := sorted(changes.keys() - EDITABLE):
        raise Invalid(f"Not editable: {', '.join(unknown)}.", fields=unknown)
    if DEFINITION & changes.keys():
        USAGE_QUOTAS.take()  # who records has read how the meter counted
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
    require_sound(meter)
    if DEFINITION & set(changed) and UsageEvent.objects.filter(meter=meter).exists():
        raise MeterInUse(f"'{meter.code}' has events.", fields=sorted(DEFINITION & set(changed)))
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
