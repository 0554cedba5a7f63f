"""What is sold: products, plans that bundle them, and versioned prices."""

from functools import cached_property

from django.db import models
from django.db.models import F, Func, Q
from django.db.models.functions import Lower

from billing.entities.models import BillingEntity
from billing.kernel.fields import CurrencyField, ExactField, finite
from billing.kernel.models import AppendOnlyModel, BaseModel
from billing.kernel.triggers import append_only, audited, frozen, never_deleted, touched
from billing.subscriptions.core.rating import NEEDED, OPTIONAL, PriceTerms
from billing.subscriptions.triggers import of_one_seller


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
    is_goods = models.BooleanField(
        default=False, db_default=False, help_text="Something that is sent to the customer; else a service."
    )
    gl_code = models.CharField("GL code", max_length=64, blank=True)
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


class Interval(models.TextChoices):
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    YEAR = "year"


class Plan(BaseModel):
    """What a subscription subscribes to: products, each with its timing, billed every so many intervals.

    Its interval and its items stay as they are; another offer is another plan. Prices are versioned beside it.
    """

    entity = models.ForeignKey(BillingEntity, models.PROTECT, related_name="plans")
    code = models.CharField(max_length=64)
    name = models.CharField(max_length=200)
    interval = models.CharField(max_length=5, choices=Interval, default=Interval.MONTH)
    interval_count = models.PositiveSmallIntegerField(default=1)
    trial_days = models.PositiveSmallIntegerField(
        default=0, help_text="Unless a subscription says otherwise."
    )
    is_active = models.BooleanField(default=True)
    metadata = models.JSONField(default=dict, blank=True)

    class Meta(BaseModel.Meta):
        db_table = "plans"
        permissions = [("create_plan", "Can create plans"), ("update_plan", "Can change plans")]
        constraints = [
            models.UniqueConstraint("entity", Lower("code"), name="plan_code_unique"),
            models.CheckConstraint(name="plan_interval_known", condition=Q(interval__in=Interval.values)),
            models.CheckConstraint(
                name="plan_interval_count", condition=Q(interval_count__gte=1, interval_count__lte=120)
            ),
        ]
        triggers = [
            touched(),
            never_deleted(),
            frozen(when="true", except_for=("name", "trial_days", "is_active", "metadata")),
            *audited(),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.code})"


class Timing(models.TextChoices):
    IN_ADVANCE = "in_advance"  # on the first day of each period
    IN_ARREARS = "in_arrears"  # once the period is over
    ONE_OFF = "one_off"  # once, on the first day of the subscription


class Basis(models.TextChoices):
    """Which quantity an item is priced at."""

    FIXED = "fixed"  # one, whatever is subscribed
    QUANTITY = "quantity"  # the subscription's quantity
    USAGE = "usage"  # what the product's meters counted
    SEATS = "seats"  # licensed seats used beyond those included (true-up)


class PlanItem(AppendOnlyModel):
    """A product on a plan: when it is billed, and which quantity it is priced at."""

    plan = models.ForeignKey(Plan, models.PROTECT, related_name="items")
    position = models.PositiveSmallIntegerField()
    product = models.ForeignKey(Product, models.PROTECT, related_name="plan_items")
    timing = models.CharField(max_length=10, choices=Timing)
    basis = models.CharField(max_length=8, choices=Basis)

    class Meta(AppendOnlyModel.Meta):
        db_table = "plan_items"
        constraints = [
            models.UniqueConstraint(fields=["plan", "product"], name="product_once_per_plan"),
            models.UniqueConstraint(fields=["plan", "position"], name="plan_items_in_order"),
            models.UniqueConstraint(
                fields=["plan"], name="seats_are_trued_up_once", condition=Q(basis=Basis.SEATS)
            ),
            models.CheckConstraint(
                name="plan_item_timing_of_its_basis",
                condition=Q(timing__in=Timing.values, basis__in=[Basis.FIXED, Basis.QUANTITY])
                | Q(timing=Timing.IN_ARREARS, basis__in=[Basis.USAGE, Basis.SEATS]),
            ),
        ]
        triggers = [of_one_seller(), *append_only()]

    def __str__(self) -> str:
        return f"{self.position}. {self.product_id}"


class PriceModel(models.TextChoices):
    FLAT = "flat"
    PER_UNIT = "per_unit"
    GRADUATED = "graduated"  # each tier prices the units that lie in it
    VOLUME = "volume"  # the tier the quantity lies in prices all units
    PACKAGE = "package"  # whole packages, a begun one counts
    PERCENTAGE = "percentage"  # of an amount of money that was used
    PASS_THROUGH = "pass_through"  # the cost that came with the usage, with a mark-up


ALL_FIGURES = sorted(set().union(*NEEDED.values(), *OPTIONAL.values()))
NOT_NEGATIVE = [name for name in ALL_FIGURES if name not in {"tiers", "markup_percent"}]


class AreTiers(Func):
    function = "are_price_tiers"
    output_field = models.BooleanField()


def _has_its_figures() -> Q:
    # A comparison with NULL is neither true nor false, and a CHECK lets it pass: ask for NULL itself.
    either = Q(pk__in=[])
    for model, needed in NEEDED.items():
        foreign = set(ALL_FIGURES) - needed - OPTIONAL.get(model, set())
        members = {f"{name}__isnull": False for name in sorted(needed)}
        members |= {f"{name}__isnull": True for name in sorted(foreign)}
        either |= Q(model=str(model), **members)
    return either


def _not_negative() -> Q:
    every = Q(markup_percent__isnull=True) | Q(markup_percent__gt=-100)
    for name in NOT_NEGATIVE:
        every &= Q(**{f"{name}__isnull": True}) | Q(**{f"{name}__gte": 0})
    return every & (Q(package_size__isnull=True) | Q(package_size__gt=0))


class Price(AppendOnlyModel):
    """A version of a product's price, from a day until the next version. Never edited.

    Without a plan it is the list price; with one, the price on that plan, per its interval. Amounts are in
    `currency`, before tax unless the price is `tax_inclusive`. A running subscription keeps the version it has
    until it is changed.
    """

    product = models.ForeignKey(Product, models.PROTECT, related_name="prices")
    plan = models.ForeignKey(Plan, models.PROTECT, null=True, related_name="prices")
    number = models.PositiveIntegerField(help_text="Version, 1…n.")
    currency = CurrencyField()
    model = models.CharField(max_length=16, choices=PriceModel)
    tax_inclusive = models.BooleanField(
        default=False, db_default=False, help_text="Whether every figure of it includes tax."
    )
    flat_amount = ExactField(null=True, help_text="flat: per period.")
    unit_price = ExactField(null=True, help_text="per_unit: per unit; package: per package.")
    package_size = ExactField(null=True, help_text="package: units in one.")
    free_quantity = ExactField(null=True, help_text="package: units that cost nothing.")
    percent = ExactField(null=True, help_text="percentage: 2.9 is 2.9 % of the amount used.")
    per_event_amount = ExactField(null=True, help_text="percentage: besides, for each event.")
    free_events = models.PositiveIntegerField(null=True, help_text="percentage: events without that.")
    free_amount = ExactField(null=True, help_text="percentage: what costs nothing of the amount used.")
    minimum_amount = ExactField(null=True, help_text="percentage: at least, per period.")
    maximum_amount = ExactField(null=True, help_text="percentage: at most, per period.")
    tiers = models.JSONField(
        null=True, help_text="graduated, volume: up_to, unit_price, flat_amount of each."
    )
    markup_percent = ExactField(null=True, help_text="On the cost; pass_through only. 12.5 is 12.5 %.")
    starts_on = models.DateField()

    class Meta(AppendOnlyModel.Meta):
        db_table = "prices"
        permissions = [("create_price", "Can add prices")]
        constraints = [
            finite(
                "price_finite",
                *(name for name in ALL_FIGURES if name not in {"tiers", "free_events"}),
            ),
            models.UniqueConstraint(
                fields=["product", "plan", "currency", "number"],
                name="price_versions_numbered",
                nulls_distinct=False,
            ),
            models.UniqueConstraint(
                fields=["product", "plan", "currency", "starts_on"],
                name="one_price_version_per_day",
                nulls_distinct=False,
            ),
            models.CheckConstraint(name="price_has_its_models_figures", condition=_has_its_figures()),
            models.CheckConstraint(name="price_not_negative", condition=_not_negative()),
            models.CheckConstraint(
                # What somebody else charged is passed on as it came: before tax, and rounded as one stream.
                name="price_passed_through_before_tax",
                condition=~Q(model=PriceModel.PASS_THROUGH, tax_inclusive=True),
            ),
            models.CheckConstraint(
                name="price_maximum_not_below_minimum",
                condition=Q(minimum_amount__isnull=True)
                | Q(maximum_amount__isnull=True)
                | Q(maximum_amount__gte=F("minimum_amount")),
            ),
            models.CheckConstraint(
                name="price_tiers_contiguous", condition=Q(tiers__isnull=True) | Q(AreTiers(F("tiers")))
            ),
        ]
        triggers = append_only()

    def __str__(self) -> str:
        return f"{self.product_id} v{self.number} {self.currency}"

    @property
    def entity_id(self):
        """A price is within reach of those who reach the seller of its product."""
        return self.product.entity_id

    @cached_property
    def terms(self) -> PriceTerms:
        """The same figures, ready to rate with."""
        figures = {name: getattr(self, name) for name in ALL_FIGURES if name != "tiers"}
        return PriceTerms.from_stored(self.model, self.tiers, **figures)
