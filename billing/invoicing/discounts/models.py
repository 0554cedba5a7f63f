"""Discounts, to whom they are granted, and what was taken off which line."""

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import RangeOperators
from django.db import models
from django.db.models import F, Func, Q, Value
from django.db.models.functions import Coalesce, Lower

from billing.entities.models import BillingEntity
from billing.invoicing.discounts.triggers import (
    discount_of_one_seller,
    granted_to_its_subscriber,
    uses_are_written_once,
)
from billing.invoicing.invoices.models import InvoiceLine
from billing.invoicing.triggers import claims_follow_invoice
from billing.kernel.fields import CurrencyField, ExactField, MoneyField, payable
from billing.kernel.models import AppendOnlyModel, BaseModel
from billing.kernel.ranges import days, one_uuid
from billing.kernel.triggers import append_only, audited, frozen, never_deleted, never_truncated, touched
from billing.subscriptions.models import Product, Subscription


class DiscountKind(models.TextChoices):
    PERCENT = "percent", "A percentage"
    AMOUNT = "amount", "An amount"


class DiscountDuration(models.TextChoices):
    ONCE = "once", "Once"  # off one invoice
    REPEATING = "repeating", "For so many months"
    FOREVER = "forever", "Until it is ended"


class Discount(BaseModel):
    """What a seller takes off its prices, before tax. It stays as it is; another discount is another code.

    It can be granted from `starts_on` until `ends_on` (exclusive), `max_redemptions` times. Without products
    it is taken off every line.
    """

    seller = models.ForeignKey(BillingEntity, models.PROTECT, related_name="discounts")
    code = models.CharField(max_length=64)
    name = models.CharField(max_length=120, help_text="As it is printed on invoices.")
    kind = models.CharField(max_length=7, choices=DiscountKind)
    percent = ExactField(null=True, help_text="12.5 is 12.5 % off each line.")
    duration = models.CharField(max_length=9, choices=DiscountDuration)
    months = models.PositiveSmallIntegerField(null=True, help_text="repeating: from the day it is granted.")
    starts_on = models.DateField(help_text="The first day on which a grant can start.")
    ends_on = models.DateField(null=True, help_text="Exclusive; empty: until it is retired.")
    max_redemptions = models.PositiveIntegerField(null=True, help_text="How often it can be granted.")
    redemptions = models.PositiveIntegerField(default=0, help_text="How often it was granted.")
    is_active = models.BooleanField(default=True, help_text="Whether it can still be granted.")
    products = models.ManyToManyField(Product, through="DiscountProduct", related_name="+")

    class Meta(BaseModel.Meta):
        db_table = "discounts"
        permissions = [
            ("create_discount", "Can create discounts"),
            ("retire_discount", "Can retire discounts"),
            ("grant_discount", "Can grant discounts, and end grants"),
        ]
        constraints = [
            models.UniqueConstraint("seller", Lower("code"), name="discount_code_unique"),
            models.CheckConstraint(
                name="discount_percent_of_its_kind",  # NaN and infinity are above 100
                condition=Q(kind=DiscountKind.PERCENT, percent__isnull=False, percent__gt=0, percent__lte=100)
                | Q(kind=DiscountKind.AMOUNT, percent__isnull=True),
            ),
            models.CheckConstraint(
                name="discount_months_of_its_duration",
                condition=Q(
                    duration=DiscountDuration.REPEATING,
                    months__isnull=False,
                    months__gte=1,
                    months__lte=120,
                )
                | Q(
                    duration__in=[DiscountDuration.ONCE, DiscountDuration.FOREVER],
                    months__isnull=True,
                ),
            ),
            models.CheckConstraint(
                name="discount_ends_after_start",
                condition=Q(ends_on__isnull=True) | Q(ends_on__gt=F("starts_on")),
            ),
            models.CheckConstraint(
                name="discount_redeemed_within_limit",
                condition=Q(max_redemptions__isnull=True) | Q(redemptions__lte=F("max_redemptions")),
            ),
        ]
        triggers = [
            touched(),
            never_deleted(),
            never_truncated(),
            frozen(when="true", except_for=("redemptions", "is_active")),
            *audited(entity="seller_id"),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.code})"

    @property
    def entity_id(self):
        """A discount is within reach of those who reach its seller."""
        return self.seller_id


class DiscountAmount(AppendOnlyModel):
    """What an amount-discount is worth in a currency; in others it is worth nothing."""

    discount = models.ForeignKey(Discount, models.PROTECT, related_name="amounts")
    currency = CurrencyField()
    amount = MoneyField()

    class Meta(AppendOnlyModel.Meta):
        db_table = "discount_amounts"
        constraints = [
            models.UniqueConstraint(fields=["discount", "currency"], name="one_amount_per_currency"),
            payable("discount_amount_payable", "amount"),
            models.CheckConstraint(name="discount_amount_positive", condition=Q(amount__gt=0)),
        ]
        triggers = append_only()

    def __str__(self) -> str:
        return f"{self.amount} {self.currency}"


class DiscountProduct(AppendOnlyModel):
    """A product whose lines a discount is taken off."""

    discount = models.ForeignKey(Discount, models.PROTECT, related_name="product_rows")
    product = models.ForeignKey(Product, models.PROTECT, related_name="+")

    class Meta(AppendOnlyModel.Meta):
        db_table = "discount_products"
        constraints = [
            models.UniqueConstraint(fields=["discount", "product"], name="product_once_per_discount")
        ]
        triggers = [discount_of_one_seller(), *append_only()]

    def __str__(self) -> str:
        return f"{self.discount_id} off {self.product_id}"


class DiscountGrant(BaseModel):
    """A discount given to a customer, or to one of its subscriptions, from a day until another, exclusive.

    A line counts with the first day of its service. Only the end may change.
    """

    discount = models.ForeignKey(Discount, models.PROTECT, related_name="grants")
    customer = models.ForeignKey(BillingEntity, models.PROTECT, related_name="discount_grants")
    subscription = models.ForeignKey(
        Subscription,
        models.PROTECT,
        null=True,
        related_name="discount_grants",
        help_text="Only its lines; empty: all of the customer's.",
    )
    starts_on = models.DateField()
    ends_on = models.DateField(null=True, help_text="Exclusive; empty: until further notice.")

    class Meta(BaseModel.Meta):
        db_table = "discount_grants"
        constraints = [
            models.CheckConstraint(
                name="discount_grant_ends_after_start",
                condition=Q(ends_on__isnull=True) | Q(ends_on__gt=F("starts_on")),
            ),
            ExclusionConstraint(
                name="one_discount_grant_at_a_time",
                expressions=[
                    (one_uuid("discount_id"), RangeOperators.OVERLAPS),
                    (
                        Func(
                            Coalesce("subscription_id", "customer_id"),
                            Coalesce("subscription_id", "customer_id"),
                            Value("[]"),
                            function="uuidrange",
                        ),
                        RangeOperators.OVERLAPS,
                    ),
                    (days("starts_on", "ends_on"), RangeOperators.OVERLAPS),
                ],
                violation_error_message="It has that discount at that time.",
            ),
        ]
        triggers = [
            touched(),
            never_deleted(),
            never_truncated(),
            frozen(when="true", except_for=("ends_on",)),
            granted_to_its_subscriber(),
            *audited(entity="customer_id"),
        ]

    def __str__(self) -> str:
        return f"{self.discount} from {self.starts_on}"

    @property
    def entity_id(self):
        """A grant is within reach of those who reach its customer."""
        return self.customer_id


class DiscountUse(models.Model):
    """What a grant takes off a line of an invoice.

    `period_starts_on` is the stretch of time in which it is taken once, off the lines of one invoice, numbered
    from 1: so two invoices cannot both have it. A percentage that lasts has none. Amounts are before tax.
    """

    id = models.BigAutoField(primary_key=True)
    grant = models.ForeignKey(DiscountGrant, models.PROTECT, related_name="uses")
    line = models.ForeignKey(InvoiceLine, models.CASCADE, related_name="discount_uses")
    period_starts_on = models.DateField(null=True)
    number = models.PositiveIntegerField(help_text="Of the lines of its invoice that share the use, from 1.")
    amount = MoneyField()
    currency = CurrencyField()
    released_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "discount_uses"
        default_permissions = ("view",)
        constraints = [
            models.UniqueConstraint(
                fields=["grant", "period_starts_on", "number"],
                name="discount_taken_once_per_period",
                condition=Q(released_at__isnull=True),
            ),
            models.UniqueConstraint(
                fields=["grant", "line", "period_starts_on"],
                name="discount_taken_once_off_a_line",
                nulls_distinct=False,
            ),
            payable("discount_use_payable", "amount"),
            models.CheckConstraint(name="discount_use_positive", condition=Q(amount__gt=0, number__gte=1)),
        ]
        triggers = [uses_are_written_once(), *claims_follow_invoice("grant_id"), never_truncated()]

    def __str__(self) -> str:
        return f"{self.amount} {self.currency} off {self.line_id}"
