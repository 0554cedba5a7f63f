"""Invoices, their numbers, lines, taxes and documents."""

from django.db import models
from django.db.models import F, Q

from billing.documents.models import KeptDocument, matches_checksum
from billing.entities.models import BillingEntity
from billing.invoicing.billing_runs.models import BillingRun
from billing.invoicing.consolidation.triggers import not_voided_in_consolidation
from billing.invoicing.discounts.triggers import discounts_are_used
from billing.invoicing.invoices.triggers.settlement import credited_by_applications
from billing.invoicing.states import INVOICE_MOVES, InvoiceState
from billing.invoicing.triggers import (
    document_of_issued_only,
    draft_parent_only,
    lines_sum_to_invoice,
    numbered_without_gap,
    taxed_where_it_can_be,
    written_off_as_booked,
)
from billing.kernel.fields import CurrencyField, ExactField, MoneyField, finite, payable
from billing.kernel.ids import uuid7
from billing.kernel.models import BaseModel
from billing.kernel.states import pairs
from billing.kernel.triggers import (
    append_only,
    audited,
    frozen,
    moves_only,
    never_deleted,
    never_truncated,
    touched,
)
from billing.subscriptions.models import Product
from billing.tax.core.tax import TaxTreatment, rate_of_its_category, reason_of_its_category


class NumberSeries(models.Model):
    """The last number taken, per seller, series and fiscal year. Locked last in the issuing transaction."""

    id = models.BigAutoField(primary_key=True)
    seller = models.ForeignKey(BillingEntity, models.PROTECT, related_name="number_series")
    series = models.CharField(max_length=8)
    fiscal_year = models.PositiveSmallIntegerField()
    last = models.PositiveBigIntegerField(default=0)
    last_issued_on = models.DateField(null=True)

    class Meta:
        db_table = "number_series"
        verbose_name_plural = "number series"
        default_permissions = ("view",)
        constraints = [
            models.UniqueConstraint(fields=["seller", "series", "fiscal_year"], name="one_counter_per_series")
        ]
        triggers = [never_deleted(), never_truncated()]

    def __str__(self) -> str:
        return f"{self.series}-{self.fiscal_year}: {self.last}"


# The series of other documents: each belongs to one kind, so that its numbers are counted in one place.
CREDIT_NOTES, CONSOLIDATED = "CN", "CON"
OTHER_SERIES = (CREDIT_NOTES, CONSOLIDATED)
SETTLED = F("paid_amount") + F("credited_amount") + F("written_off_amount")


class Invoice(BaseModel):
    """A claim on a customer. Totals are exact in the currency; an issued invoice never changes.

    `balance_amount` = total − paid − credited − written off. Periods are half-open.
    """

    seller = models.ForeignKey(BillingEntity, models.PROTECT, related_name="invoices_sent")
    customer = models.ForeignKey(BillingEntity, models.PROTECT, related_name="invoices_received")
    state = models.CharField(max_length=13, choices=InvoiceState, default=InvoiceState.DRAFT)
    series = models.CharField(max_length=8, default="INV")
    fiscal_year = models.PositiveSmallIntegerField(null=True)
    sequence = models.PositiveBigIntegerField(null=True)
    number = models.CharField(max_length=64, null=True)
    currency = CurrencyField()
    period_starts_on = models.DateField()
    period_ends_on = models.DateField(help_text="Exclusive.")
    billing_key = models.CharField(
        max_length=100,
        help_text='What makes it the same invoice, e.g. "usage:2024-09-01", "subscriptions:2024-10-01".',
    )
    issue_on = models.DateField(
        null=True, help_text="One-off invoices: the billing run issues it from that day on; empty: by hand."
    )
    issued_on = models.DateField(null=True)
    due_on = models.DateField(null=True)
    net_amount = MoneyField(default=0)
    tax_amount = MoneyField(default=0)
    total_amount = MoneyField(default=0)
    paid_amount = MoneyField(default=0)
    credited_amount = MoneyField(default=0)
    written_off_amount = MoneyField(default=0)
    balance_amount = models.GeneratedField(
        expression=F("total_amount") - (SETTLED),
        output_field=models.DecimalField(max_digits=19, decimal_places=4),
        db_persist=True,
    )
    snapshot = models.JSONField(default=dict, help_text="Parties and terms as they were when issued.")
    failure = models.JSONField(null=True, help_text="Why issuing failed: code and detail. Retryable.")
    run = models.ForeignKey(BillingRun, models.PROTECT, null=True, related_name="invoices")

    class Meta(BaseModel.Meta):
        db_table = "invoices"
        permissions = [
            ("draft_invoice", "Can draft invoices"),
            ("issue_invoice", "Can issue invoices"),
            ("void_invoice", "Can void invoices"),
            ("rerate_invoice", "Can rate the usage on invoices anew"),
            ("write_off_invoice", "Can write invoices off"),
            ("recover_invoice", "Can take write-offs back"),
        ]
        constraints = [
            models.CheckConstraint(name="invoice_state_known", condition=Q(state__in=InvoiceState.values)),
            models.CheckConstraint(
                name="invoice_numbered_iff_issued",
                condition=Q(
                    state=InvoiceState.DRAFT,
                    number__isnull=True,
                    sequence__isnull=True,
                    fiscal_year__isnull=True,
                    issued_on__isnull=True,
                )
                | (
                    ~Q(state=InvoiceState.DRAFT)
                    & Q(
                        number__isnull=False,
                        sequence__isnull=False,
                        sequence__gte=1,
                        fiscal_year__isnull=False,
                        issued_on__isnull=False,
                    )
                ),
            ),
            models.UniqueConstraint(
                fields=["seller", "series", "fiscal_year", "sequence"], name="invoice_sequence_unique"
            ),
            models.UniqueConstraint(fields=["seller", "number"], name="invoice_number_unique"),
            models.UniqueConstraint(
                fields=["seller", "customer", "currency", "billing_key"],
                name="one_invoice_per_period",
                condition=~Q(state=InvoiceState.VOID),
            ),
            payable(
                "invoice_amounts_payable",
                "net_amount",
                "tax_amount",
                "total_amount",
                "paid_amount",
                "credited_amount",
                "written_off_amount",
            ),
            models.CheckConstraint(
                name="invoice_total_is_net_plus_tax",
                condition=Q(total_amount=F("net_amount") + F("tax_amount")),
            ),
            models.CheckConstraint(
                name="invoice_settled_within_total",
                condition=Q(paid_amount__gte=0, credited_amount__gte=0, written_off_amount__gte=0)
                & Q(total_amount__gte=SETTLED)
                | Q(state=InvoiceState.DRAFT),
            ),
            models.CheckConstraint(
                name="invoice_paid_iff_nothing_open",
                condition=Q(state=InvoiceState.PAID, total_amount=SETTLED)
                | (Q(state=InvoiceState.ISSUED) & ~Q(total_amount=SETTLED))
                | ~Q(state__in=[InvoiceState.PAID, InvoiceState.ISSUED]),
            ),
            # What was written off and came in after all is open again; what did not stays written off.
            models.CheckConstraint(
                name="invoice_uncollectible_iff_written_off",
                condition=Q(state=InvoiceState.UNCOLLECTIBLE, written_off_amount__gt=0, total_amount=SETTLED)
                | Q(state=InvoiceState.ISSUED)
                | (~Q(state__in=[InvoiceState.UNCOLLECTIBLE, InvoiceState.ISSUED]) & Q(written_off_amount=0)),
            ),
            models.CheckConstraint(name="invoice_series_own", condition=~Q(series__in=OTHER_SERIES)),
            models.CheckConstraint(
                name="invoice_issue_day_of_one_off",
                condition=Q(issue_on__isnull=True) | Q(billing_key__startswith="one_off:"),
            ),
            models.CheckConstraint(
                name="invoice_period_ends_after_start", condition=Q(period_ends_on__gt=F("period_starts_on"))
            ),
        ]
        indexes = [
            models.Index(fields=["customer", "-issued_on"], name="invoice_by_customer"),
            models.Index(
                fields=["seller", "due_on"],
                name="invoice_open",
                condition=Q(state=InvoiceState.ISSUED),
                include=["currency", "balance_amount"],
            ),
        ]
        triggers = [
            touched(),
            moves_only(pairs(INVOICE_MOVES)),
            frozen(
                when="OLD.state <> 'draft'",
                except_for=(
                    "state",
                    "paid_amount",
                    "credited_amount",
                    "written_off_amount",
                    "balance_amount",
                ),
            ),
            lines_sum_to_invoice(),
            taxed_where_it_can_be(),
            discounts_are_used(),
            numbered_without_gap(),
            credited_by_applications(),
            written_off_as_booked(),
            not_voided_in_consolidation(),
            never_truncated(),
            *audited(entity="customer_id"),
        ]

    def __str__(self) -> str:
        return self.number or f"draft {self.pk}"

    @property
    def entity_id(self):
        """An invoice is within reach of those who reach its customer."""
        return self.customer_id


class LineKind(models.TextChoices):
    SUBSCRIPTION = "subscription"
    USAGE = "usage"
    ONE_OFF = "one_off"
    ADJUSTMENT = "adjustment"  # to what was billed of the same usage before
    LATE_FEE = "late_fee"


class InvoiceLine(models.Model):
    """One position. `derivation` says how the amount came about, so that it can be computed again."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    invoice = models.ForeignKey(Invoice, models.CASCADE, related_name="lines")
    position = models.PositiveIntegerField()
    kind = models.CharField(max_length=20, choices=LineKind)
    product = models.ForeignKey(
        Product,
        models.PROTECT,
        null=True,
        related_name="+",
        help_text="Empty for a late fee: nothing is sold.",
    )
    description = models.CharField(max_length=300)
    quantity = ExactField()
    unit = models.CharField(max_length=32)
    unit_price = ExactField(
        null=True,
        help_text="Before tax (BT-146). Empty where no price is for each unit, or it includes tax.",
    )
    inclusive_unit_price = ExactField(
        null=True, help_text="What was told for a unit, tax included; empty where no price is for each unit."
    )
    inclusive_amount = MoneyField(null=True, help_text="What was told for the line, tax included.")
    discount_amount = MoneyField(
        default=0, db_default=0, help_text="Off the gross, before tax (BT-136); it has the sign of the line."
    )
    net_amount = MoneyField(help_text="After discounts (BT-131).")
    gross_amount = models.GeneratedField(
        expression=F("net_amount") + F("discount_amount"),
        output_field=models.DecimalField(max_digits=19, decimal_places=4),
        db_persist=True,
    )
    currency = CurrencyField()
    tax_category = models.CharField(max_length=2, choices=TaxTreatment)
    tax_percent = models.DecimalField(max_digits=7, decimal_places=4)
    gl_code = models.CharField("GL code", max_length=64, blank=True)
    service_starts_on = models.DateField()
    service_ends_on = models.DateField(help_text="Exclusive.")
    derivation = models.JSONField(default=dict)

    class Meta:
        db_table = "invoice_lines"
        default_permissions = ("view",)
        constraints = [
            models.UniqueConstraint(fields=["invoice", "position"], name="one_line_per_position"),
            payable("invoice_line_payable", "net_amount", "discount_amount", "inclusive_amount"),
            models.CheckConstraint(
                # So a discount is never more than the line it is taken off: gross is net + discount.
                name="invoice_line_discount_within_gross",
                condition=Q(net_amount__gte=0, discount_amount__gte=0)
                | Q(net_amount__lte=0, discount_amount__lte=0),
            ),
            models.CheckConstraint(
                name="invoice_line_rate_of_its_category",
                condition=rate_of_its_category("tax_category", "tax_percent"),
            ),
            finite("invoice_line_finite", "quantity", "unit_price", "inclusive_unit_price"),
            models.CheckConstraint(
                # A late fee is no supply: it has no product, no tax and no discount.
                name="invoice_line_sells_unless_late_fee",
                condition=Q(
                    kind=LineKind.LATE_FEE,
                    product__isnull=True,
                    quantity=1,
                    unit_price=F("net_amount"),
                    net_amount__gt=0,
                    discount_amount=0,
                    tax_category=TaxTreatment.OUTSIDE_SCOPE,
                    tax_percent=0,
                )
                | (~Q(kind=LineKind.LATE_FEE) & Q(product__isnull=False)),
            ),
            models.CheckConstraint(
                name="invoice_line_price_with_or_without_tax",
                condition=Q(inclusive_unit_price__isnull=True, inclusive_amount__isnull=True)
                | Q(inclusive_amount__isnull=False, unit_price__isnull=True),
            ),
        ]
        triggers = [draft_parent_only("invoice_lines"), never_truncated()]

    def __str__(self) -> str:
        return f"{self.position}. {self.description}"

    @property
    def product_code(self) -> str:
        return self.product.code if self.product else ""


class InvoiceTax(models.Model):
    """The tax of one category and rate: percent of the sum of its lines' rounded nets (EN 16931 BG-23)."""

    id = models.BigAutoField(primary_key=True)
    invoice = models.ForeignKey(Invoice, models.CASCADE, related_name="taxes")
    category = models.CharField(max_length=2, choices=TaxTreatment)
    percent = models.DecimalField(max_digits=7, decimal_places=4)
    taxable_amount = MoneyField()
    tax_amount = MoneyField()
    currency = CurrencyField()
    exemption_reason = models.CharField(max_length=200, blank=True)

    class Meta:
        db_table = "invoice_taxes"
        default_permissions = ("view",)
        constraints = [
            models.UniqueConstraint(fields=["invoice", "category", "percent"], name="one_tax_per_category"),
            payable("invoice_tax_payable", "taxable_amount", "tax_amount"),
            models.CheckConstraint(
                name="invoice_tax_rate_of_its_category",
                condition=rate_of_its_category("category", "percent"),
            ),
            models.CheckConstraint(
                name="invoice_tax_reason_of_its_category", condition=reason_of_its_category()
            ),
        ]
        triggers = [draft_parent_only("invoice_taxes"), never_truncated()]

    def __str__(self) -> str:
        return f"{self.category} {self.percent} %: {self.tax_amount} {self.currency}"


class InvoiceDocument(KeptDocument):
    """The PDF of an issued invoice."""

    invoice = models.OneToOneField(Invoice, models.PROTECT, related_name="document")

    class Meta(KeptDocument.Meta):
        abstract = False
        db_table = "invoice_documents"
        constraints = [matches_checksum("invoice_document_matches_checksum")]
        triggers = [*append_only(), document_of_issued_only()]

    def __str__(self) -> str:
        return f"PDF of {self.invoice_id}"
