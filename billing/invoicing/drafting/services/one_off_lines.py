"""What an operator writes on an invoice by hand becomes lines: quantity times unit price, each line rounded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from uuid import UUID

from billing.entities.models import BillingEntity, Department
from billing.invoicing.drafting.core.line_wording import LONGEST
from billing.invoicing.invoices.core.draft_lines import ONE_OFF, DraftLine, text
from billing.invoicing.models import Invoice, InvoiceLine, LineKind
from billing.kernel.errors import Invalid, NotFound
from billing.kernel.ids import uuid7
from billing.kernel.money import EXACT, LARGEST_AMOUNT, total_of
from billing.subscriptions.core.rating import BEYOND, SMALLEST
from billing.subscriptions.models import Product


@dataclass(frozen=True, kw_only=True)
class OneOffLine:
    """A line as it is asked for. `unit_price` is in the invoice's currency, before tax unless it is
    `tax_inclusive`; below zero it is a credit.

    `service_ends_on` is exclusive. Without a description it is called what its product is called; without a
    department it is the cost of the customer's default department.
    """

    product_id: UUID
    quantity: Decimal
    unit_price: Decimal
    service_starts_on: date
    service_ends_on: date
    description: str = ""
    department_id: UUID | None = None
    tax_inclusive: bool = False

    @property
    def exact(self) -> Decimal:
        return EXACT.multiply(self.quantity, self.unit_price)


def one_off_lines(
    asked: Sequence[OneOffLine], *, seller: BillingEntity, customer: BillingEntity, currency: str, key: str
) -> list[DraftLine]:
    """In their order. Raises NotFound for what is no product of the seller or department of the customer, Invalid."""
    products = Product.objects.filter(entity=seller, is_active=True).in_bulk(
        {line.product_id for line in asked}
    )
    departments = {line.department_id for line in asked if line.department_id}
    if len(products) < len({line.product_id for line in asked}):
        raise NotFound(f"{seller.name} sells no such product.")
    if Department.objects.filter(entity=customer, pk__in=departments).count() < len(departments):
        raise NotFound(f"{customer.name} has no such department.")
    for line in asked:
        _require_sound(line)
    if total_of([abs(line.exact) for line in asked]) >= LARGEST_AMOUNT / 2:
        raise Invalid("Together the lines come to more than an invoice can hold.", field="lines")
    return [
        _draft_line(line, products[line.product_id], customer=customer, currency=currency, key=key)
        for line in asked
    ]


def _require_sound(line: OneOffLine) -> None:
    for name in ("quantity", "unit_price"):
        value = getattr(line, name)
        if not value.is_finite() or abs(value) >= BEYOND or value != value.quantize(SMALLEST):
            raise Invalid(f"{name} is finite and has at most 12 decimals.", field=name)
    if line.quantity <= 0:
        raise Invalid("A quantity is more than zero; a credit has a unit price below zero.", field="quantity")
    if line.service_ends_on <= line.service_starts_on:
        raise Invalid("A service ends after the day on which it starts.", field="service_ends_on")
    if len(line.description) > LONGEST:
        raise Invalid(f"A description has at most {LONGEST} characters.", field="description")


def _draft_line(
    line: OneOffLine, product: Product, *, customer: BillingEntity, currency: str, key: str
) -> DraftLine:
    return DraftLine(
        line_id=uuid7(),
        customer_id=customer.pk,
        currency=currency,
        invoice_key=key,
        kind=LineKind.ONE_OFF,
        product_id=product.pk,
        tax_category=product.tax_category,
        is_goods=product.is_goods,
        gl_code=product.gl_code,
        description=line.description or product.name,
        quantity=line.quantity,
        unit=product.unit,
        unit_price=None if line.tax_inclusive else line.unit_price,
        tax_inclusive=line.tax_inclusive,
        inclusive_unit_price=line.unit_price if line.tax_inclusive else None,
        exact=line.exact,
        service_starts_on=line.service_starts_on,
        service_ends_on=line.service_ends_on,
        derivation=_derivation(line),
        owed_on=line.service_ends_on,
    )


def _derivation(line: OneOffLine) -> dict:
    exact = text(line.exact)
    told = {
        "from": "one_off",
        "quantity": text(line.quantity),
        "unit_price": text(line.unit_price),
        "exact": exact,
        "rounding": "line",
        "shares": [{"department": str(line.department_id) if line.department_id else None, "exact": exact}],
    }
    return told | {"tax_inclusive": True} if line.tax_inclusive else told


def lines_as_they_stand(invoices: Sequence[Invoice]) -> list[DraftLine]:
    """The lines of one-off drafts once more, under their old ids: tax category and GL code are today's."""
    drafts: Mapping[UUID, Invoice] = {
        invoice.pk: invoice for invoice in invoices if invoice.billing_key.startswith(f"{ONE_OFF}:")
    }
    lines = InvoiceLine.objects.filter(invoice__in=drafts).select_related("product")
    return [
        DraftLine(
            line_id=line.pk,
            customer_id=drafts[line.invoice_id].customer_id,
            currency=line.currency,
            invoice_key=drafts[line.invoice_id].billing_key,
            kind=line.kind,
            product_id=line.product_id,
            tax_category=line.product.tax_category,
            is_goods=line.product.is_goods,
            gl_code=line.product.gl_code,
            description=line.description,
            quantity=line.quantity,
            unit=line.unit,
            unit_price=line.unit_price,
            tax_inclusive=line.inclusive_amount is not None,
            inclusive_unit_price=line.inclusive_unit_price,
            exact=as_written(line).exact,
            service_starts_on=line.service_starts_on,
            service_ends_on=line.service_ends_on,
            derivation=_derivation(as_written(line)),
            owed_on=line.service_ends_on,
        )
        for line in lines.order_by("invoice_id", "position")
    ]


def as_written(line: InvoiceLine) -> OneOffLine:
    """What was asked for, from what is stored."""
    is_inclusive = line.inclusive_amount is not None
    return OneOffLine(
        product_id=line.product_id,
        quantity=line.quantity,
        unit_price=line.inclusive_unit_price if is_inclusive else line.unit_price,
        service_starts_on=line.service_starts_on,
        service_ends_on=line.service_ends_on,
        description=line.description,
        department_id=department_of(line),
        tax_inclusive=is_inclusive,
    )


def department_of(line: InvoiceLine) -> UUID | None:
    """Whose cost a one-off line was said to be."""
    [share] = line.derivation["shares"]
    return UUID(share["department"]) if share["department"] else None
