"""Shapes on the wire. Amounts are debits minus credits where they are called `balance`."""

from rest_framework import serializers

from billing.kernel.api.fields import (
    CurrencyCodeField,
    IdField,
    MoneyAmountField,
    StrictCharField,
    StrictDateField,
)
from billing.kernel.api.serializers import ReadSerializer, StrictSerializer
from billing.ledger.models import AccountingPeriod, JournalEntry, JournalLine, LedgerAccount


class AccountRead(ReadSerializer):
    entity = IdField(source="entity_id")

    class Meta:
        model = LedgerAccount
        fields = ("id", "entity", "code", "name", "normal_side", "version", "created_at", "updated_at")
        read_only_fields = fields


class LineRead(ReadSerializer):
    account = IdField(source="account_id")
    account_code = serializers.CharField(source="account.code")
    customer = IdField(source="customer_id", allow_null=True)
    department = IdField(source="department_id", allow_null=True)

    class Meta:
        model = JournalLine
        fields = (
            "account",
            "account_code",
            "currency",
            "debit",
            "credit",
            "customer",
            "department",
            "product_code",
            "gl_code",
            "contract_reference",
        )
        read_only_fields = fields


class EntryRead(ReadSerializer):
    """`reverses` is the entry this one takes back, `reversed_by` the one that took this one back."""

    entity = IdField(source="entity_id")
    period = IdField(source="period_id")
    reverses = IdField(source="reverses_id", allow_null=True)
    reversed_by = IdField(source="reversed_by.pk", allow_null=True, default=None)

    class Meta:
        model = JournalEntry
        fields = (
            "id",
            "entity",
            "period",
            "posted_on",
            "source",
            "event",
            "description",
            "reverses",
            "reversed_by",
            "created_at",
        )
        read_only_fields = fields


class PeriodRead(ReadSerializer):
    entity = IdField(source="entity_id")

    class Meta:
        model = AccountingPeriod
        fields = (
            "id",
            "entity",
            "starts_on",
            "ends_on",
            "state",
            "closing_requested_by",
            "closed_by",
            "reopened_by",
            "version",
            "created_at",
            "updated_at",
        )
        read_only_fields = fields


class Reason(StrictSerializer):
    reason = StrictCharField(max_length=1000, multiline=True)


class TrialBalanceQuery(StrictSerializer):
    entity = IdField(help_text="The selling entity whose books are asked for.")
    as_of = StrictDateField(required=False, help_text="Up to the end of this day. Default: everything.")
    currency = CurrencyCodeField(required=False)


class TrialBalanceRowRead(serializers.Serializer):
    account = IdField(source="account_id")
    code = serializers.CharField()
    name = serializers.CharField()
    normal_side = serializers.CharField()
    currency = CurrencyCodeField()
    debit = MoneyAmountField()
    credit = MoneyAmountField()
    balance = MoneyAmountField(help_text="Debits minus credits.")


class TotalRead(serializers.Serializer):
    currency = CurrencyCodeField()
    debit = MoneyAmountField()
    credit = MoneyAmountField()


class TrialBalanceRead(serializers.Serializer):
    """Per currency the totals of debits and credits are equal."""

    entity = IdField()
    as_of = StrictDateField(allow_null=True)
    accounts = TrialBalanceRowRead(many=True)
    totals = TotalRead(many=True)
