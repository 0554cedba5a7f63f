from uuid import UUID

from django.db import transaction

from billing.entities.models import BillingEntity
from billing.kernel import audit
from billing.kernel.errors import Invalid
from billing.subscriptions.errors import NotASeller, ProductCodeTaken
from billing.subscriptions.models import Product, TaxCategory

EDITABLE = {"name", "unit", "tax_category", "gl_code", "is_active", "metadata"}


@transaction.atomic
def create_product(
    *,
    actor: str,
    entity_id: UUID,
    code: str,
    name: str,
    unit: str = "unit",
    tax_category: str = TaxCategory.STANDARD,
    gl_code: str = "",
    metadata: dict | None = None,
) -> Product:
    """Add a product to a seller's catalogue. Codes are unique per seller, whatever their case.

    Raises NotASeller, ProductCodeTaken, or Invalid for an unknown tax category.
    """
    # The seller's row is the queue for its codes, so that the second of two is told and not crashed.
    seller = BillingEntity.objects.locked().get(pk=entity_id)
    if not seller.is_seller:
        raise NotASeller(f"{seller.name} sells nothing.")
    _require_tax_category(tax_category)
    if Product.objects.filter(entity=seller, code__iexact=code).exists():
        raise ProductCodeTaken(f"There is already a product '{code}'.", product_code=code)

    product = Product.objects.create(
        entity=seller,
        code=code,
        name=name,
        unit=unit,
        tax_category=tax_category,
        gl_code=gl_code,
        metadata=metadata or {},
    )
    audit.record(actor=actor, action="product.created", subject=product, detail={"code": code})
    return product


@transaction.atomic
def update_product(*, actor: str, product_id: UUID, **changes: object) -> Product:
    """Change name, unit, tax category, GL code, metadata, or whether it is still sold.

    What has been invoiced keeps what it was invoiced with. Raises Invalid for an unknown tax category.
    """
    if unknown := changes.keys() - EDITABLE:
        raise TypeError(f"not editable: {sorted(unknown)}")
    product = Product.objects.locked().get(pk=product_id)
    _require_tax_category(changes.get("tax_category", product.tax_category))
    changed = {name: value for name, value in changes.items() if getattr(product, name) != value}
    if not changed:
        return product
    for name, value in changed.items():
        setattr(product, name, value)
    product.save(update_fields=list(changed))
    product.refresh_from_db()
    audit.record(actor=actor, action="product.updated", subject=product, detail={"changed": sorted(changed)})
    return product


def _require_tax_category(category: object) -> None:
    if category not in TaxCategory.values:
        raise Invalid(f"'{category}' is not a tax category.", known=TaxCategory.values)
