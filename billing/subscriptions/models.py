"""What is sold: products and their versioned prices."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower

from billing.entities.models import BillingEntity
from billing.kernel.fields import CurrencyField, ExactField, finite
from billing.kernel.models import AppendOnlyModel, BaseModel
from billing.kernel.triggers import append_only, audited, never_deleted, touched


class TaxCategory(models.TextChoices):
    """EN 16931 duty or tax category codes (UNTDID 5305)."""

    STANDARD = "S", "Standard rate"
    ZERO = "Z", "Zero rated"
    EXEMPT = "E", "Exempt"
    OUTSIDE_SCOPE = "O", "Outside the scope of tax"


class Product(BaseModel):
    """A thing one seller sells, with the GL code its cost is charged to."""

    entity = models.ForeignKey(BillingEntity, models.PROTECT, related_name="products")
    code = models.CharField(max_length=64)
    name = models.CharField(max_length=200)
    unit = models.CharField(max_length=32, default="unit")
    tax_category = models.CharField(max_length=1, choices=TaxCategory, default=TaxCategory.STANDARD)
    gl_code = models.CharField(max_length=64, blank=True)
    is_active = models.BooleanField(default=True)
    metadata = models.JSONField(default=dict, blank=True)

    class Meta(BaseModel.Meta):
        db_table = "products"
        permissions = [
            ("create_product", "Can create products"),
            ("update_product", "Can change products"),
        ]
        constraints = [
            models.UniqueConstraint("entity", Lower("code"), name="product_code_unique"),
            models.CheckConstraint(
                name="product_tax_category_known", condition=Q(tax_category__in=TaxCategory.values)
            ),
        ]
        triggers = [touched(), never_deleted(), *audited()]

    def __str__(self) -> str:
        return f"{self.name} ({self.code})"


class PriceModel(models.TextChoices):
    PER_UNIT = "per_unit"
    PASS_THROUGH = "pass_through"  # the cost that came with the usage, with a mark-up


class Price(AppendOnlyModel):
    """A version of a product's price, from a day until the next version. Never edited."""

    product = models.ForeignKey(Product, models.PROTECT, related_name="prices")
    number = models.PositiveIntegerField(help_text="Version, 1…n.")
    currency = CurrencyField()
    model = models.CharField(max_length=16, choices=PriceModel)
    unit_price = ExactField(null=True, help_text="Per unit, in the currency; per_unit only.")
    markup_percent = ExactField(null=True, help_text="On the cost; pass_through only. 12.5 is 12.5 %.")
    starts_on = models.DateField()

    class Meta(AppendOnlyModel.Meta):
        db_table = "prices"
        permissions = [("create_price", "Can add prices")]
        constraints = [
            finite("price_finite", "unit_price", "markup_percent"),
            models.UniqueConstraint(fields=["product", "currency", "number"], name="price_versions_numbered"),
            models.UniqueConstraint(
                fields=["product", "currency", "starts_on"], name="one_price_version_per_day"
            ),
            models.CheckConstraint(
                name="price_has_its_models_figure",
                # A comparison with NULL is neither true nor false, and a CHECK lets it pass: ask for both.
                condition=Q(
                    model=PriceModel.PER_UNIT,
                    unit_price__isnull=False,
                    unit_price__gte=0,
                    markup_percent__isnull=True,
                )
                | Q(
                    model=PriceModel.PASS_THROUGH,
                    unit_price__isnull=True,
                    markup_percent__isnull=False,
                    markup_percent__gt=-100,
                ),
            ),
        ]
        triggers = append_only()

    def __str__(self) -> str:
        return f"{self.product_id} v{self.number} {self.currency}"

    @property
    def entity_id(self):
        """A price is within reach of those who reach the seller of its product."""
        return self.product.entity_id
