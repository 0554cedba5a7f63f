"""Double entry: accounts, periods, entries and their lines, and the balances the database keeps of them."""

from datetime import timedelta

from django.db import models
from django.db.models import F, Q

from billing.entities.models import BillingEntity, Department
from billing.kernel.fields import CurrencyField, MoneyField, payable
from billing.kernel.models import AppendOnlyModel, BaseModel
from billing.kernel.states import pairs
from billing.kernel.triggers import append_only, audited, frozen, moves_only, never_truncated, touched
from billing.ledger.accounts import Side
from billing.ledger.states import PERIOD_MOVES, PeriodState
from billing.ledger.triggers import (
    balances_follow_lines,
    entry_balances,
    entry_in_open_period,
    lines_with_their_entry,
    months_close_in_order,
    months_follow_each_other,
    only_by_trigger,
)


class LedgerAccount(BaseModel):
    """An account in the books of one selling entity."""

    entity = models.ForeignKey(BillingEntity, models.PROTECT, related_name="ledger_accounts")
    code = models.CharField(max_length=16)
    name = models.CharField(max_length=100)
    normal_side = models.CharField(max_length=6, choices=Side)

    class Meta(BaseModel.Meta):
        db_table = "ledger_accounts"
        constraints = [
            models.UniqueConstraint(fields=["entity", "code"], name="one_account_per_code"),
            models.UniqueConstraint(fields=["id", "entity"], name="account_of_entity"),
            models.CheckConstraint(name="account_side_known", condition=Q(normal_side__in=Side.values)),
        ]
        triggers = [
            touched(),
            # An account that changed its books or its meaning would take its history along.
            frozen(when="true", except_for=("name",)),
            never_truncated(),
            *audited(),
        ]

    def __str__(self) -> str:
        return f"{self.code} {self.name}"


class AccountingPeriod(BaseModel):
    """A calendar month in the books of one selling entity. Made when the first entry falls into it.

    A month that is `closing` still takes entries: the second controller closes what both have seen.
    """

    entity = models.ForeignKey(BillingEntity, models.PROTECT, related_name="accounting_periods")
    starts_on = models.DateField()
    ends_on = models.DateField(help_text="Exclusive.")
    state = models.CharField(max_length=8, choices=PeriodState, default=PeriodState.OPEN)
    closing_requested_by = models.CharField(max_length=128, blank=True)
    closed_by = models.CharField(max_length=128, blank=True)
    reopened_by = models.CharField(max_length=128, blank=True)

    class Meta(BaseModel.Meta):
        db_table = "accounting_periods"
        permissions = [
            ("begin_closing_period", "Can ask for a period to be closed"),
            ("close_period", "Can close a period somebody else asked to close"),
            ("keep_period_open", "Can refuse to close a period somebody asked to close"),
            ("reopen_period", "Can reopen closed periods"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["entity", "starts_on"], name="one_period_per_month"),
            models.UniqueConstraint(fields=["id", "entity"], name="period_of_entity"),
            models.CheckConstraint(name="period_ends_after_start", condition=Q(ends_on__gt=F("starts_on"))),
            models.CheckConstraint(
                name="period_is_calendar_month",
                condition=Q(
                    starts_on__day=1, ends_on__day=1, ends_on__lte=F("starts_on") + timedelta(days=31)
                ),
            ),
            models.CheckConstraint(name="period_state_known", condition=Q(state__in=PeriodState.values)),
            models.CheckConstraint(
                name="period_closing_takes_two",
                condition=Q(closed_by="") | ~Q(closed_by=F("closing_requested_by")),
            ),
            models.CheckConstraint(
                name="period_closed_by_two_people",
                condition=~Q(state=PeriodState.CLOSED) | ~Q(closed_by="") & ~Q(closing_requested_by=""),
            ),
            models.CheckConstraint(
                name="period_reopening_takes_another",
                condition=Q(reopened_by="") | ~Q(reopened_by=F("closed_by")),
            ),
        ]
        triggers = [
            touched(),
            moves_only(pairs(PERIOD_MOVES)),
            months_follow_each_other(),
            months_close_in_order(),
            frozen(
                when="true",
                except_for=("state", "closing_requested_by", "closed_by", "reopened_by"),
            ),
            never_truncated(),
            *audited(),
        ]

    def __str__(self) -> str:
        return f"{self.starts_on:%Y-%m}"


class JournalEntry(AppendOnlyModel):
    """One money event, booked once: `source` and `event` say which. Balanced per currency at COMMIT."""

    entity = models.ForeignKey(BillingEntity, models.PROTECT, related_name="journal_entries")
    period = models.ForeignKey(AccountingPeriod, models.PROTECT, related_name="entries")
    posted_on = models.DateField()
    source = models.CharField(max_length=100, help_text='What it books, e.g. "invoice:<id>".')
    event = models.CharField(max_length=32, help_text='What happened to it, e.g. "issued".')
    description = models.CharField(max_length=200)
    reverses = models.OneToOneField("self", models.PROTECT, null=True, related_name="reversed_by")
    transaction_number = models.BigIntegerField(editable=False, default=0, help_text="Set by the database.")

    class Meta(AppendOnlyModel.Meta):
        db_table = "journal_entries"
        verbose_name_plural = "journal entries"
        constraints = [
            models.UniqueConstraint(fields=["source", "event"], name="one_entry_per_source_and_event"),
            models.UniqueConstraint(fields=["id", "entity"], name="entry_of_entity"),
            models.CheckConstraint(name="entry_names_its_source", condition=~Q(source="") & ~Q(event="")),
        ]
        indexes = [models.Index(fields=["entity", "posted_on"], name="entry_by_day")]
        triggers = [*append_only(), entry_in_open_period(), entry_balances()]

    def __str__(self) -> str:
        return self.description or f"{self.source} {self.event}"


class JournalLine(models.Model):
    """A debit or a credit, with the dimensions a controller asks for."""

    id = models.BigAutoField(primary_key=True)
    entry = models.ForeignKey(JournalEntry, models.PROTECT, related_name="lines")
    entity = models.ForeignKey(BillingEntity, models.PROTECT, related_name="+")
    account = models.ForeignKey(LedgerAccount, models.PROTECT, related_name="lines")
    currency = CurrencyField()
    debit = MoneyField(default=0)
    credit = MoneyField(default=0)
    customer = models.ForeignKey(BillingEntity, models.PROTECT, null=True, related_name="+")
    department = models.ForeignKey(Department, models.PROTECT, null=True, related_name="+")
    product_code = models.CharField(max_length=64, blank=True)
    gl_code = models.CharField("GL code", max_length=64, blank=True)
    contract_reference = models.CharField(max_length=64, blank=True)

    class Meta:
        db_table = "journal_lines"
        default_permissions = ("view",)
        constraints = [
            payable("journal_line_payable", "debit", "credit"),
            models.CheckConstraint(
                name="journal_line_debit_or_credit",
                condition=Q(debit__gt=0, credit=0) | Q(debit=0, credit__gt=0),
            ),
        ]
        indexes = [models.Index(fields=["account", "currency"], name="journal_line_by_account")]
        triggers = [*append_only(), lines_with_their_entry(), balances_follow_lines()]

    def __str__(self) -> str:
        return f"{self.account_id} {self.debit} / {self.credit} {self.currency}"


class AccountBalance(models.Model):
    """Debits and credits of one account, currency and period. Kept by a trigger, never by hand."""

    id = models.BigAutoField(primary_key=True)
    account = models.ForeignKey(LedgerAccount, models.PROTECT, related_name="balances")
    period = models.ForeignKey(AccountingPeriod, models.PROTECT, related_name="balances")
    currency = CurrencyField()
    debit = MoneyField(default=0)
    credit = MoneyField(default=0)

    class Meta:
        db_table = "account_balances"
        default_permissions = ("view",)
        constraints = [
            models.UniqueConstraint(fields=["account", "period", "currency"], name="one_balance_per_period"),
        ]
        triggers = [only_by_trigger(), never_truncated()]

    def __str__(self) -> str:
        return f"{self.account_id} {self.debit - self.credit} {self.currency}"
