"""Consolidated invoices: what a group owes a seller for a period, gathered for the one who pays."""

from django.db import models
from django.db.models import F, Q

from billing.documents.models import KeptDocument, matches_checksum
from billing.entities.models import BillingEntity
from billing.invoicing.consolidation.triggers import (
    children_as_issued,
    consolidated_in_full,
    released_with_void,
    totals_of_children,
)
from billing.invoicing.exchange_rates.models import ExchangeRate
from billing.invoicing.invoices.models import CONSOLIDATED, Invoice
from billing.invoicing.states import CONSOLIDATED_MOVES, ConsolidatedPaymentState, ConsolidatedState
from billing.invoicing.triggers import numbered_without_gap
from billing.kernel.fields import CurrencyField, ExactField, MoneyField, finite, payable
from billing.kernel.models import AppendOnlyModel, BaseModel
from billing.kernel.states import pairs
from billing.kernel.triggers import append_only, audited, frozen, moves_only, never_truncated, touched


class ConsolidatedInvoice(BaseModel):
    """The open invoices of a payer's group with one seller, issued within a half-open period, as one document.

    It books nothing and owes nothing of its own: what is due is that of its children, per currency
    (`totals`). `converted_amount` is their sum in `currency`, the payer's, at the rates shown, for information.
    """

    seller = models.ForeignKey(BillingEntity, models.PROTECT, related_name="consolidations_sent")
    payer = models.ForeignKey(BillingEntity, models.PROTECT, related_name="consolidations_received")
    state = models.CharField(max_length=6, choices=ConsolidatedState, default=ConsolidatedState.ISSUED)
    series = models.CharField(max_length=8, default=CONSOLIDATED)
    fiscal_year = models.PositiveSmallIntegerField()
    sequence = models.PositiveBigIntegerField()
    number = models.CharField(max_length=64)
    currency = CurrencyField()
    period_starts_on = models.DateField(help_text="The children were issued from this day on.")
    period_ends_on = models.DateField(help_text="Exclusive.")
    part = models.PositiveSmallIntegerField(help_text="2 and more: what was issued after the one before.")
    issued_on = models.DateField()
    due_on = models.DateField()
    child_count = models.PositiveIntegerField()
    converted_amount = MoneyField()
    voided_on = models.DateField(null=True)
    snapshot = models.JSONField(help_text="Parties and terms as they were when issued.")

    class Meta(BaseModel.Meta):
        db_table = "consolidated_invoices"
        permissions = [
            ("consolidate_invoices", "Can consolidate invoices"),
            ("void_consolidated_invoice", "Can void consolidated invoices"),
        ]
        constraints = [
            models.CheckConstraint(
                name="consolidated_state_known", condition=Q(state__in=ConsolidatedState.values)
            ),
            models.CheckConstraint(
                name="consolidated_void_iff_voided",
                condition=Q(state=ConsolidatedState.VOID, voided_on__isnull=False)
                | (~Q(state=ConsolidatedState.VOID) & Q(voided_on__isnull=True)),
            ),
            models.CheckConstraint(
                name="consolidated_period_ends_after_start",
                condition=Q(period_ends_on__gt=F("period_starts_on")),
            ),
            models.CheckConstraint(
                name="consolidated_has_sequence",
                condition=Q(sequence__gte=1, part__gte=1, child_count__gte=1),
            ),
            models.CheckConstraint(name="consolidated_for_another", condition=~Q(payer=F("seller"))),
            models.UniqueConstraint(
                fields=["seller", "series", "fiscal_year", "sequence"], name="consolidated_sequence_unique"
            ),
            models.UniqueConstraint(fields=["seller", "number"], name="consolidated_number_unique"),
            models.CheckConstraint(name="consolidated_series_own", condition=Q(series=CONSOLIDATED)),
            models.UniqueConstraint(
                fields=["seller", "payer", "period_starts_on", "period_ends_on", "part"],
                name="one_consolidation_per_period_and_part",
                condition=~Q(state=ConsolidatedState.VOID),
            ),
            payable("consolidated_payable", "converted_amount"),
        ]
        indexes = [models.Index(fields=["payer", "-issued_on"], name="consolidated_by_payer")]
        triggers = [
            touched(),
            moves_only(pairs(CONSOLIDATED_MOVES)),
            frozen(when="true", except_for=("state", "voided_on")),
            frozen(name="void_for_good", when="OLD.state = 'void'", except_for=()),
            consolidated_in_full(),
            numbered_without_gap("consolidated_invoices", "consolidated"),
            never_truncated(),
            *audited(entity="payer_id"),
        ]

    def __str__(self) -> str:
        return self.number

    @property
    def entity_id(self):
        """A consolidated invoice is within reach of those who reach its payer."""
        return self.payer_id

    @property
    def payment_state(self) -> str:
        """Derived from its children: paid once nothing is open on them. For those read `with_open_amounts`."""
        if self.state == ConsolidatedState.VOID:
            return ConsolidatedPaymentState.VOID
        totals = self.totals.all()
        if not any(total.open_amount for total in totals):
            return ConsolidatedPaymentState.PAID
        untouched = all(total.open_amount == total.total_amount for total in totals)
        return ConsolidatedPaymentState.OPEN if untouched else ConsolidatedPaymentState.PARTIALLY_PAID


class ConsolidatedTotal(AppendOnlyModel):
    """The sum of the children in one currency, and what it comes to in the payer's at the rate shown.

    `converted_amount` is the sum of the children's, each rounded once. In the payer's own currency the rate is 1.
    """

    consolidated_invoice = models.ForeignKey(ConsolidatedInvoice, models.PROTECT, related_name="totals")
    currency = CurrencyField()
    child_count = models.PositiveIntegerField()
    net_amount = MoneyField()
    tax_amount = MoneyField()
    total_amount = MoneyField()
    exchange_rate = models.ForeignKey(ExchangeRate, models.PROTECT, null=True, related_name="+")
    rate = ExactField()
    rate_on = models.DateField(null=True)
    rate_source = models.CharField(max_length=100, blank=True)
    converted_amount = MoneyField()
    converted_currency = CurrencyField()

    class Meta(AppendOnlyModel.Meta):
        db_table = "consolidated_totals"
        constraints = [
            models.UniqueConstraint(
                fields=["consolidated_invoice", "currency"], name="one_consolidated_total_per_currency"
            ),
            payable("consolidated_total_payable", "net_amount", "tax_amount", "total_amount"),
            payable("consolidated_total_converted", "converted_amount", currency="converted_currency"),
            finite("consolidated_rate_finite", "rate"),
        ]
        triggers = [*append_only(), totals_of_children()]

    def __str__(self) -> str:
        return f"{self.total_amount} {self.currency} in {self.consolidated_invoice_id}"


class ConsolidatedChild(models.Model):
    """An invoice in a consolidation, with its amounts. An invoice is in at most one live consolidation."""

    id = models.BigAutoField(primary_key=True)
    consolidated_invoice = models.ForeignKey(ConsolidatedInvoice, models.PROTECT, related_name="children")
    invoice = models.ForeignKey(Invoice, models.PROTECT, related_name="consolidations")
    customer = models.ForeignKey(BillingEntity, models.PROTECT, related_name="+")
    currency = CurrencyField()
    net_amount = MoneyField()
    tax_amount = MoneyField()
    total_amount = MoneyField()
    settled_before_amount = MoneyField(help_text="Paid, credited or written off before it was gathered.")
    converted_amount = MoneyField(help_text="The total in the payer's currency, rounded once.")
    released_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "consolidated_children"
        verbose_name_plural = "consolidated children"
        default_permissions = ("view",)
        constraints = [
            models.UniqueConstraint(
                fields=["invoice"], name="invoice_consolidated_once", condition=Q(released_at__isnull=True)
            ),
            models.UniqueConstraint(
                fields=["consolidated_invoice", "invoice"], name="child_of_consolidation_once"
            ),
        ]
        triggers = [
            children_as_issued(),
            frozen(when="true", except_for=("released_at",)),
            released_with_void(),
            never_truncated(),
        ]

    def __str__(self) -> str:
        return f"{self.invoice_id} in {self.consolidated_invoice_id}"


class ConsolidatedDocument(KeptDocument):
    """The PDF of a consolidated invoice."""

    consolidated_invoice = models.OneToOneField(ConsolidatedInvoice, models.PROTECT, related_name="document")

    class Meta(KeptDocument.Meta):
        db_table = "consolidated_documents"
        constraints = [matches_checksum("consolidated_document_matches_checksum")]
        triggers = [*append_only()]

    def __str__(self) -> str:
        return f"PDF of {self.consolidated_invoice_id}"
