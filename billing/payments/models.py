"""Money that came in, and which invoices it settled."""

from django.db import models
from django.db.models import F, Q

from billing.documents.models import KeptDocument, matches_checksum
from billing.entities.models import BillingEntity
from billing.invoicing.invoices.triggers.settlement import (
    PAYMENTS,
    applications_in_step,
    applied_by_applications,
)
from billing.invoicing.models import Invoice
from billing.kernel.fields import CurrencyField, MoneyField, payable
from billing.kernel.models import AppendOnlyModel, BaseModel
from billing.kernel.money import round_half_up
from billing.kernel.triggers import append_only, audited, frozen, never_truncated, touched
from billing.payments.states import PaymentMethodKind, PaymentState


class Payment(BaseModel):
    """Money received from one customer. `applied_amount` is the sum of its applications; the rest is
    the customer's balance."""

    seller = models.ForeignKey(BillingEntity, models.PROTECT, related_name="payments_received")
    customer = models.ForeignKey(BillingEntity, models.PROTECT, related_name="payments_made")
    method = models.CharField(max_length=16, choices=PaymentMethodKind)
    state = models.CharField(max_length=16, choices=PaymentState, default=PaymentState.SUCCEEDED)
    amount = MoneyField()
    applied_amount = MoneyField(default=0)
    currency = CurrencyField()
    received_on = models.DateField()
    reference = models.CharField(
        max_length=100, help_text="The bank's or cheque's own reference. Unique per seller."
    )
    note = models.TextField(blank=True)
    content_digest = models.CharField(
        max_length=64, editable=False, help_text="Of all that was recorded: tells a repetition from a clash."
    )

    class Meta(BaseModel.Meta):
        db_table = "payments"
        permissions = [
            ("record_payment", "Can record payments received"),
            ("apply_payment", "Can apply payments to invoices"),
        ]
        constraints = [
            payable("payment_payable", "amount", "applied_amount"),
            models.CheckConstraint(name="payment_positive", condition=Q(amount__gt=0)),
            models.CheckConstraint(
                name="payment_applied_within_amount",
                condition=Q(applied_amount__gte=0, applied_amount__lte=F("amount")),
            ),
            models.CheckConstraint(name="payment_state_known", condition=Q(state__in=PaymentState.values)),
            models.UniqueConstraint(
                fields=["seller", "method", "reference"], name="one_payment_per_reference"
            ),
        ]
        indexes = [models.Index(fields=["customer", "-received_on"], name="payment_by_customer")]
        triggers = [
            touched(),
            frozen(when="true", except_for=("applied_amount", "state")),
            applied_by_applications(PAYMENTS),
            never_truncated(),
            *audited(entity="customer_id"),
        ]

    def __str__(self) -> str:
        return f"{round_half_up(self.amount, self.currency):,f} {self.currency} ({self.reference})"

    @property
    def entity_id(self):
        """A payment is within reach of those who reach its customer."""
        return self.customer_id

    @property
    def unapplied_amount(self):
        """What is still the customer's balance."""
        return self.amount - self.applied_amount


class CustomerAccount(BillingEntity):
    """An entity as a debtor: what it owes who sells to it. Not a table of its own."""

    class Meta:
        proxy = True
        default_permissions = ("view",)
        verbose_name = "customer account"

    def __str__(self) -> str:
        return f"{self.name} ({self.code})"


class PaymentApplication(AppendOnlyModel):
    """The part of a payment that settles an invoice, from a day on: once both the money and the claim exist."""

    payment = models.ForeignKey(Payment, models.PROTECT, related_name="applications")
    invoice = models.ForeignKey(Invoice, models.PROTECT, related_name="applications")
    amount = MoneyField()
    currency = CurrencyField()
    applied_on = models.DateField()

    class Meta(AppendOnlyModel.Meta):
        db_table = "payment_applications"
        constraints = [
            payable("application_payable", "amount"),
            models.CheckConstraint(name="application_positive", condition=Q(amount__gt=0)),
        ]
        triggers = [*append_only(), applications_in_step(PAYMENTS)]

    def __str__(self) -> str:
        return f"{self.amount} {self.currency} of {self.payment_id} to {self.invoice_id}"


class StatementDocument(KeptDocument):
    """The PDF of a statement of account, as it was when somebody asked for it.

    The same account of the same days is kept once; what was booked into them since makes another document.
    """

    seller = models.ForeignKey(BillingEntity, models.PROTECT, related_name="+")
    customer = models.ForeignKey(BillingEntity, models.PROTECT, related_name="statement_documents")
    currency = CurrencyField()
    starts_on = models.DateField()
    ends_on = models.DateField(help_text="Exclusive.")

    class Meta(KeptDocument.Meta):
        db_table = "statement_documents"
        constraints = [
            matches_checksum("statement_document_matches_checksum"),
            models.CheckConstraint(
                name="statement_ends_after_start", condition=Q(ends_on__gt=F("starts_on"))
            ),
            models.UniqueConstraint(
                fields=["seller", "customer", "currency", "starts_on", "ends_on", "sha256"],
                name="one_statement_document_per_content",
            ),
        ]
        triggers = [*append_only()]

    def __str__(self) -> str:
        return f"Statement of {self.customer_id}, {self.starts_on} to {self.ends_on}"

    @property
    def entity_id(self):
        """A statement is within reach of those who reach its customer."""
        return self.customer_id
