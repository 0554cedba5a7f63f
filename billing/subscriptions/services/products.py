from collections.abc import Mapping
from uuid import UUID

from django.db import transaction

from billing.entities.models import BillingEntity
from billing.kernel import audit
from billing.kernel.errors import Invalid, NotFound
from billing.kernel.versions import require_version
from billing.subscriptions.errors import NotASeller, ProductCodeTaken
from billing.subscriptions.models import Product, TaxCategory

EDITABLE = {"name", "unit", "tax_category", "is_goods", "gl_code", "is_active", "metadata"}


@transaction.atomic
def create_product(
    *,
    actor: str,
    entity_id: UUID,
    code: str,
    name: str,
    unit: str = "unit",
    tax_category: str = TaxCategory.STANDARD,
    is_goods: bool = False,
    gl_code: str = "",
    metadata: dict | None = None,
) -> Product:
    """Add a product to a seller's catalogue. Codes are unique per seller, whatever their case.

    Raises NotFound, NotASeller, ProductCodeTaken, or Invalid for an unknown tax category.
    """
    # The seller's row is the queue for its codes, so that the second of two is told and not crashed.
    seller = BillingEntity.objects.locked().filter(pk=entity_id).first()
    if seller is None:
        raise NotFound("There is no such entity.")
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
        is_goods=is_goods,
        gl_code=gl_code,
        metadata=metadata or {},
    )
    audit.record(actor=actor, action="product.created", subject=product, detail={"code": code})
    return product


@transaction.atomic
def update_product(
    *, actor: str, product_id: UUID, changes: Mapping[str, object], version: int | None = None
) -> Product:
    """Change name, unit, tax category, whether it is goods, GL code, metadata, or whether it is still sold.

    What has been invoiced keeps what it was invoiced with. `version` is the one last seen. Raises
    NotFound, PreconditionFailed, or Invalid for what is not editable and for an unknown tax category.
    """
    if unknown := sorted(changes.keys() - EDITABLE):
        raise Invalid(f"Not editable: {', '.join(unknown)}.", fields=unknown)
    product = Product.objects.locked().filter(pk=product_id).first()
    if product is None:
        raise NotFound("There is no such product.")
    require_version(product, version)
    _require_tax_category(changes.get("tax_category", product.tax_category))
    changed = sorted(name for name, value in changes.items() if getattr(product, name) != value)
    if not changed:
        return product
    for name in changed:
        setattr(product, name, changes[name])
    product.save(update_fields=changed)
    product.refresh_from_db()
    audit.record(actor=actor, action="product.updated", subject=product, detail={"fields": changed})
    return product


def _require_tax_category(category: object) -> None:
    if category not in TaxCategory.values:
        raise Invalid(f"'{category}' is not a tax category.", known=TaxCategory.values)
