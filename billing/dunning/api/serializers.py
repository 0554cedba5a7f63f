"""Shapes on the wire. Input serializers check form; whether it is allowed is the service's business."""

from rest_framework import serializers

from billing.dunning.models import (
    DunningAmounts,
    DunningAssignment,
    DunningCase,
    DunningNotice,
    DunningPause,
    DunningPolicy,
    DunningStep,
    LateFee,
)
from billing.dunning.services import STEPS_MAX
from billing.dunning.states import Effect, FeeBasis, PauseKind, Template
from billing.entities.api.fields import EntityField
from billing.kernel.api.fields import (
    CurrencyCodeField,
    ExactAmountField,
    IdField,
    MoneyAmountField,
    StrictBooleanField,
    StrictCharField,
    StrictChoiceField,
    StrictDateField,
    StrictIntegerField,
)
from billing.kernel.api.serializers import ReadSerializer, StrictSerializer

AMOUNTS_MAX = 50


class DunningStepRead(ReadSerializer):
    class Meta:
        model = DunningStep
        fields = ("id", "position", "days_after_due", "effect", "template", "fee_basis")
        read_only_fields = fields


class DunningAmountsRead(ReadSerializer):
    class Meta:
        model = DunningAmounts
        fields = ("currency", "minimum_amount", "fee_amount")
        read_only_fields = fields


class DunningPolicyRead(ReadSerializer):
    """`interest_percent` is per year. Of a code one revision is active."""

    interest_percent = ExactAmountField(read_only=True, allow_null=True)
    steps = DunningStepRead(many=True, read_only=True)
    amounts = DunningAmountsRead(many=True, read_only=True)

    class Meta:
        model = DunningPolicy
        fields = (
            "id",
            "seller",
            "code",
            "revision",
            "name",
            "entity_class",
            "state",
            "is_default",
            "interest_percent",
            "fee_reference",
            "steps",
            "amounts",
            "version",
            "created_at",
            "updated_at",
        )
        read_only_fields = fields


class DunningStepWrite(StrictSerializer):
    """A `notify` has a template, a `late_fee` a basis, nothing else has one."""

    days_after_due = StrictIntegerField(min_value=-90, max_value=1000)
    effect = StrictChoiceField(choices=Effect.choices)
    template = StrictChoiceField(choices=Template.choices, required=False)
    fee_basis = StrictChoiceField(choices=FeeBasis.choices, required=False)


class AmountsWrite(StrictSerializer):
    """Below `minimum_amount`, in all, a customer is not reminded; `fee_amount` is the flat late fee."""

    currency = CurrencyCodeField()
    minimum_amount = MoneyAmountField(min_value=0, required=False)
    fee_amount = MoneyAmountField(above=0, required=False, allow_null=True)


class DunningPolicyRevise(StrictSerializer):
    name = StrictCharField(max_length=200)
    entity_class = StrictCharField(max_length=64, required=False, allow_blank=True)
    is_default = StrictBooleanField(required=False)
    interest_percent = ExactAmountField(above=0, max_value=100, required=False, allow_null=True)
    fee_reference = StrictCharField(max_length=200, required=False, allow_blank=True)
    steps = DunningStepWrite(many=True, max_length=STEPS_MAX)
    amounts = AmountsWrite(many=True, required=False, max_length=AMOUNTS_MAX)


class DunningPolicyCreate(DunningPolicyRevise):
    seller = EntityField()
    code = StrictCharField(max_length=64)


class DunningReason(StrictSerializer):
    reason = StrictCharField(max_length=1000, multiline=True)


class DunningAssignmentRead(ReadSerializer):
    policy_code = serializers.CharField(source="policy.code", read_only=True)

    class Meta:
        model = DunningAssignment
        fields = (
            "id",
            "seller",
            "customer",
            "policy",
            "policy_code",
            "starts_on",
            "ends_on",
            "version",
            "created_at",
            "updated_at",
        )
        read_only_fields = fields


class DunningAssignmentCreate(StrictSerializer):
    customer = EntityField(help_text="It and all below it go by the policy.")
    policy = IdField(help_text="An active one; what is meant is its code.")
    starts_on = StrictDateField()
    ends_on = StrictDateField(required=False, allow_null=True, help_text="Exclusive.")


class DunningAssignmentEnd(DunningReason):
    ends_on = StrictDateField(help_text="Exclusive.")


class DunningCaseRead(ReadSerializer):
    invoice_number = serializers.CharField(source="invoice.number", read_only=True)

    class Meta:
        model = DunningCase
        fields = (
            "id",
            "seller",
            "customer",
            "invoice",
            "invoice_number",
            "policy",
            "state",
            "opened_on",
            "closed_on",
            "closed_because",
            "version",
            "created_at",
            "updated_at",
        )
        read_only_fields = fields


class DunningNoticeRead(ReadSerializer):
    """`collectable_amount` is what was asked for: `open_amount` less what was paused. `days_late` leaves out the
    days on which everything was paused."""

    invoice_number = serializers.CharField(source="invoice.number", read_only=True)
    step = DunningStepRead(read_only=True)

    class Meta:
        model = DunningNotice
        fields = (
            "id",
            "customer",
            "invoice",
            "invoice_number",
            "step",
            "outcome",
            "noticed_on",
            "days_late",
            "open_amount",
            "collectable_amount",
            "currency",
            "detail",
            "created_at",
        )
        read_only_fields = fields


class DunningPauseRead(ReadSerializer):
    """`amount` null: the whole invoice."""

    invoice_number = serializers.CharField(source="invoice.number", read_only=True)

    class Meta:
        model = DunningPause
        fields = (
            "id",
            "customer",
            "invoice",
            "invoice_number",
            "kind",
            "amount",
            "currency",
            "reason",
            "starts_on",
            "ends_on",
            "version",
            "created_at",
            "updated_at",
        )
        read_only_fields = fields


class DunningPauseCreate(StrictSerializer):
    """`amount` is in the invoice's currency, tax included; without it the whole invoice is paused."""

    invoice = IdField()
    amount = MoneyAmountField(above=0, required=False, allow_null=True)
    kind = StrictChoiceField(choices=PauseKind.choices, required=False)
    reason = StrictCharField(max_length=1000, multiline=True)
    ends_on = StrictDateField(
        required=False, allow_null=True, help_text="Exclusive; a promise to pay has one."
    )


class LateFeeRead(ReadSerializer):
    """Interest is charged for the days from `starts_on` until `ends_on`, exclusive, less paused ones.

    `billed_invoice` is the live invoice, or draft, that it is on; a draft has no number.
    """

    invoice_number = serializers.CharField(source="invoice.number", read_only=True)
    percent = ExactAmountField(read_only=True, allow_null=True)
    billed_invoice = serializers.UUIDField(read_only=True, allow_null=True)
    billed_invoice_number = serializers.CharField(read_only=True, allow_null=True)

    class Meta:
        model = LateFee
        fields = (
            "id",
            "customer",
            "invoice",
            "invoice_number",
            "step",
            "basis",
            "amount",
            "currency",
            "charged_on",
            "starts_on",
            "ends_on",
            "percent",
            "reference",
            "derivation",
            "state",
            "billed_invoice",
            "billed_invoice_number",
            "version",
            "created_at",
            "updated_at",
        )
        read_only_fields = fields
