"""Credit notes: what is taken back of an issued invoice, and what it settles."""

from django.contrib.postgres.functions import TransactionNow
from django.db import models
from django.db.models import F, Q

from billing.documents.models import KeptDocument, matches_checksum
from billing.entities.models import BillingEntity
from billing.invoicing.credit_notes.triggers import (
    credited_within_invoice,
    lines_sum_to_credit_note,
    of_a_new_credit_note,
)
from billing.invoicing.invoices.models import CREDIT_NOTES, Invoice, InvoiceLine
from billing.invoicing.invoices.triggers.settlement import (
    CREDITS,
    applications_in_step,
    applied_by_applications,
)
from billing.invoicing.states import CreditRemainder
from billing.invoicing.triggers import numbered_without_gap
from billing.kernel.fields import CurrencyField, MoneyField, payable
from billing.kernel.ids import uuid7
from billing.kernel.models import AppendOnlyModel, BaseModel
from billing.kernel.triggers import append_only, audited, frozen, never_truncated, touched
from billing.tax.core.tax import TaxTreatment, rate_of_its_category, reason_of_its_category


class CreditNote(BaseModel):
    """A part of an issued invoice that is not owed after all, tax included. Amounts are positive.

    It settles what is open of its invoice first; the rest is the customer's balance: `applied_amount` is the
    sum of its applications.
    """

    seller = models.ForeignKey(BillingEntity, models.PROTECT, related_name="credit_notes_sent")
    customer = models.ForeignKey(BillingEntity, models.PROTECT, related_name="credit_notes_received")
    invoice = models.ForeignKey(Invoice, models.PROTECT, related_name="credit_notes")
    series = models.CharField(max_length=8, default=CREDIT_NOTES)
    fiscal_year = models.PositiveSmallIntegerField()
    sequence = models.PositiveBigIntegerField()
    number = models.CharField(max_length=64)
    currency = CurrencyField()
    issued_on = models.DateField()
    net_amount = MoneyField()
    tax_amount = MoneyField()
    total_amount = MoneyField()
    applied_amount = MoneyField(default=0)
    remainder_to = models.CharField(
        max_length=7,
        choices=CreditRemainder,
        default=CreditRemainder.BALANCE,
        help_text="What becomes of what the invoice does not take: it settles other invoices, or is paid back.",
    )
    reason = models.TextField()
    snapshot = models.JSONField(default=dict, help_text="The parties as they were when it was issued.")
    # The transaction's own time: its lines are told by it from any that would be added later.
    created_at = models.DateTimeField(db_default=TransactionNow(), editable=False)

    class Meta(BaseModel.Meta):
        db_table = "credit_notes"
        permissions = [
            ("issue_credit_note", "Can issue credit notes"),
            ("apply_credit", "Can apply credits to invoices"),
            ("redirect_credit", "Can say whether a credit is kept or paid back"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["seller", "series", "fiscal_year", "sequence"], name="credit_note_sequence_unique"
            ),
            models.UniqueConstraint(fields=["seller", "number"], name="credit_note_number_unique"),
            models.CheckConstraint(name="credit_note_series_own", condition=Q(series=CREDIT_NOTES)),
            models.CheckConstraint(name="credit_note_has_reason", condition=~Q(reason="")),
            models.CheckConstraint(
                name="credit_note_remainder_known", condition=Q(remainder_to__in=CreditRemainder.values)
            ),
            payable("credit_note_payable", "net_amount", "tax_amount", "total_amount", "applied_amount"),
            models.CheckConstraint(
                name="credit_note_total_is_net_plus_tax",
                condition=Q(total_amount=F("net_amount") + F("tax_amount"), total_amount__gt=0),
            ),
            models.CheckConstraint(
                name="credit_note_applied_within_total",
                condition=Q(applied_amount__gte=0, applied_amount__lte=F("total_amount")),
            ),
        ]
        indexes = [models.Index(fields=["customer", "-issued_on"], name="credit_note_by_customer")]
        triggers = [
            touched(),
            frozen(when="true", except_for=("applied_amount", "remainder_to")),
            numbered_without_gap("credit_notes", "credit_note"),
            lines_sum_to_credit_note(),
            applied_by_applications(CREDITS),
            never_truncated(),
            *audited(entity="customer_id"),
        ]

    def __str__(self) -> str:
        return self.number

    @property
    def entity_id(self):
        """A credit note is within reach of those who reach its customer."""
        return self.customer_id

    @property
    def unapplied_amount(self):
        """What is still the customer's balance."""
        return self.total_amount - self.applied_amount


class CreditNoteLine(models.Model):
    """How much of the net of an invoice's line is taken back: of the line's sign."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    credit_note = models.ForeignKey(CreditNote, models.PROTECT, related_name="lines")
    line = models.ForeignKey(InvoiceLine, models.PROTECT, related_name="credits")
    net_amount = MoneyField()
    currency = CurrencyField()

    class Meta:
        db_table = "credit_note_lines"
        default_permissions = ("view",)
        constraints = [
            models.UniqueConstraint(fields=["credit_note", "line"], name="one_credit_per_line_and_note"),
            payable("credit_note_line_payable", "net_amount"),
            models.CheckConstraint(name="credit_note_line_not_zero", condition=~Q(net_amount=0)),
        ]
        triggers = [*append_only(), of_a_new_credit_note(), credited_within_invoice()]

    def __str__(self) -> str:
        return f"{self.net_amount} {self.currency} of {self.line_id}"


class CreditNoteTax(models.Model):
    """The tax of one category and rate that is taken back with the note (EN 16931 BG-23).

    All notes over an invoice together take back its tax exactly: each takes what is due after it less what was
    taken before, which may differ by a minor unit from percent × taxable amount.
    """

    id = models.BigAutoField(primary_key=True)
    credit_note = models.ForeignKey(CreditNote, models.PROTECT, related_name="taxes")
    category = models.CharField(max_length=2, choices=TaxTreatment)
    percent = models.DecimalField(max_digits=7, decimal_places=4)
    taxable_amount = MoneyField()
    tax_amount = MoneyField()
    currency = CurrencyField()
    exemption_reason = models.CharField(max_length=200, blank=True)

    class Meta:
        db_table = "credit_note_taxes"
        default_permissions = ("view",)
        constraints = [
            models.UniqueConstraint(
                fields=["credit_note", "category", "percent"], name="one_credited_tax_per_category"
            ),
            payable("credit_note_tax_payable", "taxable_amount", "tax_amount"),
            models.CheckConstraint(
                name="credit_note_tax_rate_of_its_category",
                condition=rate_of_its_category("category", "percent"),
            ),
            models.CheckConstraint(
                name="credit_note_tax_reason_of_its_category", condition=reason_of_its_category()
            ),
        ]
        triggers = [*append_only(), of_a_new_credit_note()]

    def __str__(self) -> str:
        return f"{self.category} {self.percent} %: {self.tax_amount} {self.currency}"


class CreditApplication(AppendOnlyModel):
    """The part of a credit note that settles an invoice: its own as it is issued, others later."""

    credit_note = models.ForeignKey(CreditNote, models.PROTECT, related_name="applications")
    invoice = models.ForeignKey(Invoice, models.PROTECT, related_name="credit_applications")
    amount = MoneyField()
    currency = CurrencyField()
    applied_on = models.DateField()

    class Meta(AppendOnlyModel.Meta):
        db_table = "credit_applications"
        constraints = [
            payable("credit_application_payable", "amount"),
            models.CheckConstraint(name="credit_application_positive", condition=Q(amount__gt=0)),
        ]
        triggers = [*append_only(), applications_in_step(CREDITS)]

    def __str__(self) -> str:
        return f"{self.amount} {self.currency} of {self.credit_note_id} to {self.invoice_id}"


class CreditNoteDocument(KeptDocument):
    """The PDF of a credit note."""

    credit_note = models.OneToOneField(CreditNote, models.PROTECT, related_name="document")

    class Meta(KeptDocument.Meta):
        db_table = "credit_note_documents"
        constraints = [matches_checksum("credit_note_document_matches_checksum")]
        triggers = [*append_only()]

    def __str__(self) -> str:
        return f"PDF of {self.credit_note_id}"
