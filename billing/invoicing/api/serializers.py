"""Shapes on the wire. Input serializers check form; whether it is allowed is the service's business."""

from django.utils import timezone
from rest_framework import serializers

from billing.entities.api.fields import DepartmentField, EntityField
from billing.entities.api.serializers import DepartmentBrief
from billing.invoicing.models import (
    BillingRun,
    BillingRunItem,
    CostAllocation,
    Invoice,
    InvoiceLine,
    InvoiceTax,
    TaxExemption,
    TaxRate,
)
from billing.invoicing.states import InvoiceState
from billing.kernel.api.fields import (
    CountryField,
    CurrencyCodeField,
    ExactAmountField,
    IdField,
    MoneyAmountField,
    StrictCharField,
    StrictChoiceField,
    StrictDateField,
    StrictDateTimeField,
)
from billing.kernel.api.schema import QueuedJob
from billing.kernel.api.serializers import ReadSerializer, StrictSerializer
from billing.ledger.models import JournalEntry, JournalLine
from billing.subscriptions.models import TaxCategory

CUSTOMERS_MAX = 1000


class InOrder(serializers.ListSerializer):
    """Children in the order of `Meta.order`, also when they were prefetched."""

    def to_representation(self, data):
        rows = data.all() if hasattr(data, "all") else data
        return super().to_representation(sorted(rows, key=self.child.Meta.order))


class LineRead(ReadSerializer):
    """`derivation` says how the amount came about, so that it can be computed again.

    `net_amount` = `gross_amount` − `discount_amount`, all before tax. `inclusive_amount` is what was told of a
    price that includes tax.
    """

    gross_amount = MoneyAmountField(read_only=True)
    tax_category = serializers.CharField(read_only=True, help_text="UNTDID 5305, as in EN 16931.")
    tax_percent = ExactAmountField(read_only=True)

    class Meta:
        model = InvoiceLine
        list_serializer_class = InOrder
        order = staticmethod(lambda line: line.position)
        fields = (
            "id",
            "position",
            "kind",
            "product",
            "description",
            "quantity",
            "unit",
            "unit_price",
            "inclusive_unit_price",
            "inclusive_amount",
            "gross_amount",
            "discount_amount",
            "net_amount",
            "currency",
            "tax_category",
            "tax_percent",
            "gl_code",
            "service_starts_on",
            "service_ends_on",
            "derivation",
        )
        read_only_fields = fields


class TaxRead(ReadSerializer):
    category = serializers.CharField(read_only=True, help_text="UNTDID 5305, as in EN 16931.")
    percent = ExactAmountField(read_only=True)

    class Meta:
        model = InvoiceTax
        list_serializer_class = InOrder
        order = staticmethod(lambda tax: (tax.category, tax.percent))
        fields = ("category", "percent", "taxable_amount", "tax_amount", "currency", "exemption_reason")
        read_only_fields = fields


class ShareRead(ReadSerializer):
    """A posted share. One that `reverses` another takes it back, so that both together are nothing."""

    rule_code = serializers.CharField(source="rule_version.rule.code", read_only=True, allow_null=True)
    rule_number = serializers.IntegerField(source="rule_version.number", read_only=True, allow_null=True)

    class Meta:
        model = CostAllocation
        list_serializer_class = InOrder
        order = staticmethod(lambda share: share.pk)
        fields = (
            "id",
            "line",
            "department",
            "gl_code",
            "gl_source",
            "net_amount",
            "tax_amount",
            "currency",
            "basis",
            "rule_version",
            "rule_code",
            "rule_number",
            "weights",
            "run",
            "reverses",
            "reason",
            "created_at",
        )
        read_only_fields = fields


class InvoiceRead(ReadSerializer):
    """`balance_amount` is what is still open. `overdue`: open, and due before today (UTC).

    In a `consolidated_invoice` it is paid with that, and overdue once that is due before today, too.
    """

    seller_name = serializers.CharField(read_only=True)  # these three are annotated by `queries.with_names`
    customer_name = serializers.CharField(read_only=True)
    consolidated_invoice = IdField(read_only=True, allow_null=True)
    balance_amount = MoneyAmountField(read_only=True)
    overdue = serializers.SerializerMethodField()

    class Meta:
        model = Invoice
        fields = (
            "id",
            "number",
            "state",
            "overdue",
            "seller",
            "seller_name",
            "customer",
            "customer_name",
            "currency",
            "period_starts_on",
            "period_ends_on",
            "issue_on",
            "issued_on",
            "due_on",
            "net_amount",
            "tax_amount",
            "total_amount",
            "paid_amount",
            "credited_amount",
            "written_off_amount",
            "balance_amount",
            "consolidated_invoice",
            "failure",
            "run",
            "version",
            "created_at",
            "updated_at",
        )
        read_only_fields = fields

    def get_overdue(self, invoice) -> bool:
        if invoice.state != InvoiceState.ISSUED:
            return False
        return max(invoice.due_on, invoice.consolidated_due_on or invoice.due_on) < timezone.now().date()


class InvoiceDraft(StrictSerializer):
    """Usage before the month of `as_of`. Without `customers`: of everybody who has something due."""

    seller = EntityField()
    customers = serializers.ListField(child=IdField(), required=False, min_length=1, max_length=CUSTOMERS_MAX)
    as_of = StrictDateField()


class Drafted(serializers.Serializer):
    results = InvoiceRead(many=True)


class InvoiceIssue(StrictSerializer):
    issued_on = StrictDateField()


class InvoiceVoid(StrictSerializer):
    voided_on = StrictDateField()
    reason = StrictCharField(max_length=1000, multiline=True)


class InvoiceWriteOff(StrictSerializer):
    written_off_on = StrictDateField()
    reason = StrictCharField(max_length=1000, multiline=True)


class InvoiceRecover(StrictSerializer):
    recovered_on = StrictDateField()
    amount = MoneyAmountField(required=False, above=0, help_text="Default: all that was written off.")
    reason = StrictCharField(max_length=1000, multiline=True)


class InvoiceRerate(StrictSerializer):
    """At today's prices and events. An issued invoice is voided on `as_of`; the drafts are made as of that day."""

    as_of = StrictDateField()
    reason = StrictCharField(max_length=1000, multiline=True)


class ProvenLine(serializers.Serializer):
    """A line and the shares that make it, with their sums."""

    line = IdField(source="line.pk")
    position = serializers.IntegerField(source="line.position")
    description = serializers.CharField(source="line.description")
    currency = CurrencyCodeField(source="line.currency")
    line_net_amount = MoneyAmountField(source="line.net_amount", currency_source="line.currency")
    shares_net_amount = MoneyAmountField(source="net_amount", currency_source="line.currency")
    shares_tax_amount = MoneyAmountField(source="tax_amount", currency_source="line.currency")
    shares = ShareRead(many=True)


class BookedLine(ReadSerializer):
    account = serializers.CharField(source="account.code")
    account_name = serializers.CharField(source="account.name")

    class Meta:
        model = JournalLine
        fields = (
            "account",
            "account_name",
            "debit",
            "credit",
            "currency",
            "customer",
            "department",
            "product_code",
            "gl_code",
        )
        read_only_fields = fields


class BookedEntry(ReadSerializer):
    lines = BookedLine(many=True)

    class Meta:
        model = JournalEntry
        fields = ("id", "posted_on", "source", "event", "description", "reverses", "lines")
        read_only_fields = fields


class PlaceRead(serializers.Serializer):
    """A department's cost under one GL code, beside the revenue that the books have there."""

    department = DepartmentBrief(allow_null=True)
    gl_code = serializers.CharField()
    currency = CurrencyCodeField()
    net_amount = MoneyAmountField()
    tax_amount = MoneyAmountField()
    booked_amount = MoneyAmountField()


class CheckRead(serializers.Serializer):
    name = serializers.CharField()
    currency = CurrencyCodeField()
    expected = MoneyAmountField()
    found = MoneyAmountField()
    agrees = serializers.BooleanField()


class DifferenceRead(serializers.Serializer):
    """A figure of a line that does not come out as stored when it is recomputed from events, price and days."""

    line = IdField(source="line_id")
    position = serializers.IntegerField()
    what = serializers.CharField()
    stored = serializers.CharField()
    recomputed = serializers.CharField()
    why = serializers.CharField()


class ProofRead(serializers.Serializer):
    """From each line to its shares, their GL codes and the entries in the books; every sum is shown and checked.

    The lines are recomputed from what is stored; `differences` says what does not come out, and is empty.
    """

    invoice = IdField(source="invoice.pk")
    number = serializers.CharField(source="invoice.number", allow_null=True)
    holds = serializers.BooleanField(help_text="True if every check agrees and nothing differs.")
    lines = ProvenLine(many=True)
    places = PlaceRead(many=True)
    entries = BookedEntry(many=True)
    checks = CheckRead(many=True)
    differences = DifferenceRead(many=True)


class MomentRead(serializers.Serializer):
    at = StrictDateTimeField()
    kind = serializers.CharField(help_text="verb: somebody did; event: others were told; payment.")
    what = serializers.CharField()
    who = serializers.CharField()
    reason = serializers.CharField()
    detail = serializers.DictField()


class Timeline(serializers.Serializer):
    results = MomentRead(many=True)


class RunRead(ReadSerializer):
    customers_pending = serializers.IntegerField(read_only=True)
    customers_done = serializers.IntegerField(read_only=True)
    customers_failed = serializers.IntegerField(read_only=True)
    invoices_issued = serializers.IntegerField(read_only=True)

    class Meta:
        model = BillingRun
        fields = (
            "id",
            "seller",
            "as_of",
            "state",
            "requested_by",
            "customers_pending",
            "customers_done",
            "customers_failed",
            "invoices_issued",
            "finished_at",
            "version",
            "created_at",
            "updated_at",
        )
        read_only_fields = fields


class RunFailure(ReadSerializer):
    """A customer that could not be billed, and why (`failure` has code and detail)."""

    customer_code = serializers.CharField(source="customer.code", read_only=True)

    class Meta:
        model = BillingRunItem
        fields = ("customer", "customer_code", "failure", "updated_at")
        read_only_fields = fields


class RunDetail(RunRead):
    failures = RunFailure(many=True, source="failed_items", read_only=True)

    class Meta(RunRead.Meta):
        fields = (*RunRead.Meta.fields, "failures")
        read_only_fields = fields


class RunRetry(StrictSerializer):
    """Which of the run's failed customers is billed."""

    customer = IdField(source="customer_id")


class RunQueued(QueuedJob):
    """The run and the first of its jobs; `message` says how many customers there are to bill, or that there is none."""

    run = IdField()
    customers_pending = serializers.IntegerField()
    message = serializers.CharField()


class RunStart(StrictSerializer):
    seller = EntityField()
    as_of = StrictDateField()


class AllocationRead(ReadSerializer):
    """A posted share of a department. `period_starts_on` is included, `period_ends_on` is not."""

    invoice_number = serializers.CharField(source="invoice.number", read_only=True)
    line_position = serializers.IntegerField(source="line.position", read_only=True)
    description = serializers.CharField(source="line.description", read_only=True)
    period_starts_on = StrictDateField(source="line.service_starts_on", read_only=True)
    period_ends_on = StrictDateField(source="line.service_ends_on", read_only=True)

    rule_code = serializers.CharField(source="rule_version.rule.code", read_only=True, allow_null=True)
    rule_number = serializers.IntegerField(source="rule_version.number", read_only=True, allow_null=True)

    class Meta:
        model = CostAllocation
        fields = (
            "id",
            "entity",
            "department",
            "invoice",
            "invoice_number",
            "line",
            "line_position",
            "description",
            "gl_code",
            "gl_source",
            "net_amount",
            "tax_amount",
            "currency",
            "period_starts_on",
            "period_ends_on",
            "basis",
            "rule_version",
            "rule_code",
            "rule_number",
            "weights",
            "run",
            "reverses",
            "reason",
            "created_at",
        )
        read_only_fields = fields


class AllocationCreate(StrictSerializer):
    """Move `amount` (net, of the line's sign) of a posted line's cost to the department."""

    line = IdField()
    amount = MoneyAmountField()
    currency = CurrencyCodeField()
    from_department = DepartmentField(required=False, help_text="Default: from all others, in proportion.")
    reason = StrictCharField(max_length=1000, multiline=True)


class Allocated(serializers.Serializer):
    results = AllocationRead(many=True)


class TaxRateRead(ReadSerializer):
    percent = ExactAmountField(read_only=True)

    class Meta:
        model = TaxRate
        fields = ("id", "country", "category", "percent", "starts_on", "version", "created_at")
        read_only_fields = fields


class TaxRateCreate(StrictSerializer):
    country = CountryField()
    category = StrictChoiceField(choices=TaxCategory.choices)
    percent = ExactAmountField(min_value=0, max_value=100)
    starts_on = StrictDateField()


class TaxExemptionRead(ReadSerializer):
    class Meta:
        model = TaxExemption
        fields = (
            "id",
            "customer",
            "country",
            "certificate",
            "starts_on",
            "ends_on",
            "version",
            "created_at",
            "updated_at",
        )
        read_only_fields = fields


class TaxExemptionCreate(StrictSerializer):
    customer = EntityField()
    country = CountryField(help_text="Whose tax the customer does not pay.")
    certificate = StrictCharField(max_length=64, help_text="Its number; it is printed on invoices.")
    starts_on = StrictDateField()
    ends_on = StrictDateField(
        required=False, allow_null=True, help_text="Exclusive; empty: until further notice."
    )


class TaxExemptionEnd(StrictSerializer):
    ends_on = StrictDateField(help_text="Exclusive.")
    reason = StrictCharField(max_length=1000, multiline=True)
