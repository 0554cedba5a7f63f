"""Invoices from draft to settled: lines with their derivation, tax, numbers, cost allocations, billing runs."""

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import RangeOperators
from django.db import models
from django.db.models import CharField, F, Func, IntegerField, Q, Value

from billing.entities.models import BillingEntity, Department
from billing.invoicing.states import INVOICE_MOVES, InvoiceState, RunItemState, RunState
from billing.invoicing.tax import TaxTreatment
from billing.invoicing.triggers import (
    allocations_sum_to_lines,
    claims_follow_invoice,
    document_of_issued_only,
    draft_parent_only,
    line_has_the_charges_net,
    lines_sum_to_invoice,
    numbered_without_gap,
)
from billing.kernel.fields import CurrencyField, ExactField, MoneyField, finite, payable
from billing.kernel.ids import uuid7
from billing.kernel.models import AppendOnlyModel, BaseModel
from billing.kernel.ranges import days, one_text, one_uuid
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
from billing.subscriptions.models import Product, SubscriptionCharge, TaxCategory
from billing.usage.models import UsageEvent


class TaxRate(BaseModel):
    """The percentage of a tax category in a country, from a day on until the next one."""

    country = models.CharField(max_length=2)
    category = models.CharField(max_length=1, choices=TaxCategory)
    percent = models.DecimalField(max_digits=7, decimal_places=4)
    starts_on = models.DateField()

    class Meta(BaseModel.Meta):
        db_table = "tax_rates"
        permissions = [("create_tax_rate", "Can add tax rates")]
        constraints = [
            models.UniqueConstraint(fields=["country", "category", "starts_on"], name="one_tax_rate_per_day"),
            models.CheckConstraint(name="tax_rate_within_100", condition=Q(percent__gte=0, percent__lte=100)),
        ]
        triggers = [*append_only(), *audited(entity="")]

    def __str__(self) -> str:
        return f"{self.country} {self.category} {self.percent} %"


class TaxExemption(BaseModel):
    """A certificate by which a customer pays no tax in a country, from a day until another, exclusive.

    Only its end may change: what was billed under it names it.
    """

    customer = models.ForeignKey(BillingEntity, models.PROTECT, related_name="tax_exemptions")
    country = models.CharField(max_length=2, help_text="Whose tax the customer does not pay.")
    certificate = models.CharField(max_length=64, help_text="Its number, as printed on invoices (BT-120).")
    starts_on = models.DateField()
    ends_on = models.DateField(null=True, blank=True, help_text="Exclusive; empty: until further notice.")

    class Meta(BaseModel.Meta):
        db_table = "tax_exemptions"
        permissions = [
            ("create_tax_exemption", "Can add tax exemptions"),
            ("end_tax_exemption", "Can end tax exemptions"),
        ]
        constraints = [
            models.CheckConstraint(
                name="tax_exemption_ends_after_start",
                condition=Q(ends_on__isnull=True) | Q(ends_on__gt=F("starts_on")),
            ),
            models.CheckConstraint(name="tax_exemption_has_certificate", condition=~Q(certificate="")),
            ExclusionConstraint(
                name="one_tax_exemption_at_a_time",
                expressions=[
                    (one_uuid("customer_id"), RangeOperators.OVERLAPS),
                    (one_text("country"), RangeOperators.OVERLAPS),
                    (days("starts_on", "ends_on"), RangeOperators.OVERLAPS),
                ],
                violation_error_message="The customer has a tax exemption for that country and time.",
            ),
        ]
        triggers = [
            touched(),
            never_truncated(),
            frozen(when="true", except_for=("ends_on",)),
            *audited(entity="customer_id"),
        ]

    def __str__(self) -> str:
        return f"{self.certificate} ({self.country})"

    @property
    def entity_id(self):
        """An exemption is within reach of those who reach its customer."""
        return self.customer_id


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


class BillingRun(BaseModel):
    """Everything due for one seller as of a day. Running it again finishes it or finds nothing to do."""

    seller = models.ForeignKey(BillingEntity, models.PROTECT, related_name="billing_runs")
    as_of = models.DateField()
    state = models.CharField(max_length=8, choices=RunState, default=RunState.RUNNING)
    requested_by = models.CharField(max_length=128)
    finished_at = models.DateTimeField(null=True)

    class Meta(BaseModel.Meta):
        db_table = "billing_runs"
        permissions = [("run_billing", "Can run billing")]
        constraints = [
            models.UniqueConstraint(fields=["seller", "as_of"], name="one_run_per_seller_and_day"),
            models.CheckConstraint(name="run_state_known", condition=Q(state__in=RunState.values)),
        ]
        triggers = [touched(), never_deleted(), *audited(entity="seller_id")]

    def __str__(self) -> str:
        return f"Billing run as of {self.as_of}"

    @property
    def entity_id(self):
        """A run is the seller's business."""
        return self.seller_id


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
            models.CheckConstraint(
                name="invoice_uncollectible_iff_written_off",
                condition=Q(state=InvoiceState.UNCOLLECTIBLE, written_off_amount__gt=0, total_amount=SETTLED)
                | (~Q(state=InvoiceState.UNCOLLECTIBLE) & Q(written_off_amount=0)),
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
            numbered_without_gap(),
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


class InvoiceLine(models.Model):
    """One position. `derivation` says how the amount came about, so that it can be computed again."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    invoice = models.ForeignKey(Invoice, models.CASCADE, related_name="lines")
    position = models.PositiveIntegerField()
    kind = models.CharField(max_length=20, choices=LineKind)
    product = models.ForeignKey(Product, models.PROTECT, related_name="+")
    description = models.CharField(max_length=300)
    quantity = ExactField()
    unit = models.CharField(max_length=32)
    unit_price = ExactField(null=True, help_text="Empty for costs passed through.")
    net_amount = MoneyField()
    currency = CurrencyField()
    tax_category = models.CharField(max_length=2, choices=TaxTreatment)
    tax_percent = models.DecimalField(max_digits=7, decimal_places=4)
    gl_code = models.CharField(max_length=64, blank=True)
    service_starts_on = models.DateField()
    service_ends_on = models.DateField(help_text="Exclusive.")
    derivation = models.JSONField(default=dict)

    class Meta:
        db_table = "invoice_lines"
        default_permissions = ("view",)
        constraints = [
            models.UniqueConstraint(fields=["invoice", "position"], name="one_line_per_position"),
            payable("invoice_line_payable", "net_amount"),
            finite("invoice_line_finite", "quantity", "unit_price"),
        ]
        triggers = [draft_parent_only("invoice_lines"), never_truncated()]

    def __str__(self) -> str:
        return f"{self.position}. {self.description}"


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
        ]
        triggers = [draft_parent_only("invoice_taxes"), never_truncated()]

    def __str__(self) -> str:
        return f"{self.category} {self.percent} %: {self.tax_amount} {self.currency}"


class UsageClaim(models.Model):
    """Which line bills an event. An event is in at most one live line, for ever counted once."""

    id = models.BigAutoField(primary_key=True)
    # The database refers to the event's key instead: the events themselves are partitioned by month.
    event = models.ForeignKey(UsageEvent, models.PROTECT, related_name="claims", db_constraint=False)
    line = models.ForeignKey(InvoiceLine, models.CASCADE, related_name="claims")
    released_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "usage_claims"
        default_permissions = ("view",)
        constraints = [
            models.UniqueConstraint(
                fields=["event"], name="event_billed_once", condition=Q(released_at__isnull=True)
            )
        ]
        triggers = [*claims_follow_invoice("event_id"), never_truncated()]

    def __str__(self) -> str:
        return f"{self.event_id} in {self.line_id}"


class ChargeClaim(models.Model):
    """Which line bills a subscription's charge. A charge is in at most one live line."""

    id = models.BigAutoField(primary_key=True)
    charge = models.ForeignKey(SubscriptionCharge, models.PROTECT, related_name="claims")
    line = models.ForeignKey(InvoiceLine, models.CASCADE, related_name="charge_claims")
    released_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "charge_claims"
        default_permissions = ("view",)
        constraints = [
            models.UniqueConstraint(
                fields=["charge"], name="charge_billed_once", condition=Q(released_at__isnull=True)
            ),
            models.UniqueConstraint(fields=["line"], name="line_of_one_charge"),
        ]
        triggers = [*claims_follow_invoice("charge_id"), line_has_the_charges_net(), never_truncated()]

    def __str__(self) -> str:
        return f"{self.charge_id} in {self.line_id}"


class AllocationBasis(models.TextChoices):
    """Why a share went where it went."""

    USAGE = "usage"  # the department's own usage
    ASSIGNED = "assigned"  # the department the subscription is for
    DEFAULT = "default"  # nobody named: the entity's default department
    MANUAL = "manual"  # somebody moved it
    VOID = "void"  # taken back with its invoice


class CostAllocation(AppendOnlyModel):
    """The posted share of one invoice line for one department. Reallocation reverses and posts anew."""

    line = models.ForeignKey(InvoiceLine, models.PROTECT, related_name="allocations")
    invoice = models.ForeignKey(Invoice, models.PROTECT, related_name="allocations")
    entity = models.ForeignKey(BillingEntity, models.PROTECT, related_name="cost_allocations")
    department = models.ForeignKey(Department, models.PROTECT, related_name="cost_allocations")
    gl_code = models.CharField(max_length=64)
    net_amount = MoneyField()
    tax_amount = MoneyField()
    currency = CurrencyField()
    basis = models.CharField(max_length=8, choices=AllocationBasis)
    reverses = models.OneToOneField("self", models.PROTECT, null=True, related_name="reversed_by")
    reason = models.TextField(blank=True)

    class Meta(AppendOnlyModel.Meta):
        db_table = "cost_allocations"
        permissions = [("allocate_cost", "Can move cost to a department")]
        constraints = [
            payable("cost_allocation_payable", "net_amount", "tax_amount"),
            models.CheckConstraint(name="cost_allocation_has_gl_code", condition=~Q(gl_code="")),
        ]
        indexes = [models.Index(fields=["department", "-id"], name="allocation_by_department")]
        triggers = [*append_only(), allocations_sum_to_lines()]

    def __str__(self) -> str:
        return f"{self.net_amount} {self.currency} to {self.department_id}"


class InvoiceDocument(AppendOnlyModel):
    """The PDF of an issued invoice, made once and kept as it was made."""

    invoice = models.OneToOneField(Invoice, models.PROTECT, related_name="document")
    language = models.CharField(max_length=2)
    sha256 = models.CharField(max_length=64)
    size = models.PositiveIntegerField(help_text="Bytes.")
    content = models.BinaryField()

    class Meta(AppendOnlyModel.Meta):
        db_table = "invoice_documents"
        constraints = [
            models.CheckConstraint(
                name="invoice_document_matches_checksum",
                condition=Q(
                    sha256=Func(
                        Func(F("content"), function="sha256"),
                        Value("hex"),
                        function="encode",
                        output_field=CharField(),
                    ),
                    size=Func(F("content"), function="octet_length", output_field=IntegerField()),
                ),
            ),
        ]
        triggers = [*append_only(), document_of_issued_only()]

    def __str__(self) -> str:
        return f"PDF of {self.invoice_id}"


class BillingRunItem(BaseModel):
    """One customer in a run: done with its invoices, or failed with the reason, and retryable."""

    run = models.ForeignKey(BillingRun, models.PROTECT, related_name="items")
    customer = models.ForeignKey(BillingEntity, models.PROTECT, related_name="+")
    state = models.CharField(max_length=8, choices=RunItemState, default=RunItemState.PENDING)
    invoices_issued = models.PositiveIntegerField(default=0)
    failure = models.JSONField(null=True)

    class Meta(BaseModel.Meta):
        db_table = "billing_run_items"
        constraints = [
            models.UniqueConstraint(fields=["run", "customer"], name="one_item_per_customer"),
            models.CheckConstraint(name="run_item_state_known", condition=Q(state__in=RunItemState.values)),
        ]
        triggers = [touched(), never_deleted()]

    def __str__(self) -> str:
        return f"{self.customer_id}: {self.state}"
