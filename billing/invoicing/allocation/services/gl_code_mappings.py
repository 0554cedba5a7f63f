from datetime import date
from uuid import UUID

from django.db import transaction
from django.db.models import Q

from billing.entities.models import BillingEntity, Department
from billing.invoicing.allocation.services.gl_codes import line_of_descent
from billing.invoicing.errors import MappingOverlaps, MappingUnclear, ValidityEnds
from billing.invoicing.models import GLCodeMapping
from billing.kernel import audit
from billing.kernel.versions import require_version
from billing.subscriptions.models import Product


@transaction.atomic
def add_gl_code_mapping(
    *,
    actor: str,
    entity_id: UUID,
    gl_code: str,
    starts_on: date,
    ends_on: date | None = None,
    product_id: UUID | None = None,
    department_id: UUID | None = None,
    tax_category: str = "",
) -> GLCodeMapping:
    """What is billed to the entity or one below it is posted under `gl_code` if its service starts on one of the days.

    For invoices issued from now on. Raises MappingUnclear if it names nothing, or what the entity does not have,
    ValidityEnds if it would end before it starts, MappingOverlaps if another says of the same something else.
    """
    if ends_on is not None and ends_on <= starts_on:
        raise ValidityEnds("It ends after the day on which it starts.")
    if not (product_id or department_id or tax_category):
        raise MappingUnclear("A mapping names a product, a department or a tax category.")
    entity = BillingEntity.objects.locked().get(pk=entity_id)
    _require_known(entity, product_id, department_id)
    same = GLCodeMapping.objects.filter(
        entity=entity, product=product_id, department=department_id, tax_category=tax_category
    )
    open_at_start = same.filter(Q(ends_on__isnull=True) | Q(ends_on__gt=starts_on))
    other = (open_at_start if ends_on is None else open_at_start.filter(starts_on__lt=ends_on)).first()
    if other:
        raise MappingOverlaps(f"{entity.code} has {other}, and no end before. End that one first.")
    mapping = GLCodeMapping.objects.create(
        entity=entity,
        product_id=product_id,
        department_id=department_id,
        tax_category=tax_category,
        gl_code=gl_code,
        starts_on=starts_on,
        ends_on=ends_on,
    )
    audit.record(actor=actor, action="gl_code_mapping.added", subject=mapping)
    return mapping


@transaction.atomic
def end_gl_code_mapping(
    *, actor: str, mapping_id: UUID, ends_on: date, reason: str, version: int | None = None
) -> GLCodeMapping:
    """Let it end on a day (exclusive) before the one on which it would. What is posted stays.

    Raises ValidityEnds for a day that is none of its own, PreconditionFailed.
    """
    entity_id = GLCodeMapping.objects.values_list("entity_id", flat=True).get(pk=mapping_id)
    BillingEntity.objects.locked().get(pk=entity_id)
    mapping = GLCodeMapping.objects.locked().get(pk=mapping_id)
    require_version(mapping, version)
    if ends_on <= mapping.starts_on or (mapping.ends_on and ends_on >= mapping.ends_on):
        raise ValidityEnds(
            f"{mapping} runs to {mapping.ends_on or 'further notice'}: it can only end between these days."
        )
    mapping.ends_on = ends_on
    mapping.save(update_fields=["ends_on"])
    mapping.refresh_from_db()
    audit.record(actor=actor, action="gl_code_mapping.ended", subject=mapping, reason=reason)
    return mapping


def _require_known(entity: BillingEntity, product_id: UUID | None, department_id: UUID | None) -> None:
    """The product is sold to the entity or below it, the department is one of theirs."""
    near = Q(entity__in=line_of_descent(entity)) | Q(entity__path__startswith=entity.path)
    if product_id and not Product.objects.filter(near, pk=product_id).exists():
        raise MappingUnclear(f"{entity.code} is not billed for that product.", field="product")
    own = Department.objects.filter(entity__path__startswith=entity.path, pk=department_id)
    if department_id and not own.exists():
        raise MappingUnclear(
            f"Neither {entity.code} nor one below it has that department.", field="department"
        )
