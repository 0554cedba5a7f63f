"""Shapes on the wire. Input serializers check form; whether it is allowed is the service's business."""

from rest_framework import serializers

from approvals.kinds import GENERAL
from approvals.models import ApprovalAction, ApprovalDelegation, ApprovalLevel, ApprovalRequest, ApprovalVote
from approvals.models.rules import FIELD_NAME_MAX, FIELD_VALUE_MAX, FIELDS_MAX, GL_CODE_MAX
from approvals.services.decisions import BULK_MAX
from approvals.states import DECISIONS, ActionKind
from billing.entities.api.fields import ColleagueField, DepartmentField, EntityField
from billing.kernel.api.fields import (
    CurrencyCodeField,
    IdField,
    MoneyAmountField,
    StrictCharField,
    StrictChoiceField,
    StrictDateField,
)
from billing.kernel.api.serializers import ReadSerializer, StrictSerializer

TEXT = {"max_length": 1000, "multiline": True}
DIGEST = {"min_length": 64, "max_length": 64, "help_text": "Of the content that was shown."}


class FieldValue(StrictSerializer):
    name = StrictCharField(max_length=FIELD_NAME_MAX)
    value = StrictCharField(max_length=FIELD_VALUE_MAX)


class VoteRead(ReadSerializer):
    """`person` agreed in the place of `approver`: himself, or whose delegate he is."""

    class Meta:
        model = ApprovalVote
        fields = ("approver", "person", "created_at")
        read_only_fields = fields


class LevelRead(ReadSerializer):
    votes = VoteRead(many=True, read_only=True)

    class Meta:
        model = ApprovalLevel
        fields = ("position", "mode", "needed", "approvers", "state", "votes")
        read_only_fields = fields


class ActionRead(ReadSerializer):
    """A link of the request's hash chain."""

    person_name = serializers.CharField(source="person.name", read_only=True, default=None)

    class Meta:
        model = ApprovalAction
        fields = (
            "id",
            "number",
            "action",
            "level",
            "actor",
            "person",
            "person_name",
            "on_behalf_of",
            "comment",
            "detail",
            "content_digest",
            "at",
            "previous_digest",
            "digest",
        )
        read_only_fields = fields


class RequestRead(ReadSerializer):
    """`content` is what would be done; a decision names its `digest`. `matched_amount` is what the rule's band was
    compared with: in `base_currency`, together with what the same person asked for in 24 hours."""

    entity_name = serializers.CharField(source="entity.name", read_only=True)
    requester_name = serializers.CharField(source="requester.name", read_only=True)
    base_amount = MoneyAmountField(currency_source="base_currency", read_only=True)
    matched_amount = MoneyAmountField(currency_source="base_currency", read_only=True)
    levels = LevelRead(many=True, read_only=True)
    actions = ActionRead(many=True, read_only=True)

    class Meta:
        model = ApprovalRequest
        fields = (
            "id",
            "kind",
            "subject_id",
            "title",
            "entity",
            "entity_name",
            "department",
            "gl_code",
            "amount",
            "currency",
            "rate",
            "base_amount",
            "base_currency",
            "matched_amount",
            "content",
            "digest",
            "snapshot",
            "state",
            "requester",
            "requester_name",
            "beneficiary",
            "due_on",
            "expires_on",
            "decided_at",
            "levels",
            "actions",
            "version",
            "created_at",
            "updated_at",
        )
        read_only_fields = fields


class _Asked(StrictSerializer):
    """What a rule looks at."""

    entity = EntityField()
    department = DepartmentField(required=False)
    gl_code = StrictCharField(max_length=GL_CODE_MAX, required=False, allow_blank=True, default="")
    amount = MoneyAmountField(min_value=0)
    currency = CurrencyCodeField()
    custom_fields = FieldValue(
        many=True, required=False, max_length=FIELDS_MAX, help_text="Your own, for rules that look at them."
    )
    beneficiary = ColleagueField(required=False, help_text="Who gains by it: never decides.")

    def validate_custom_fields(self, given):
        named = {each["name"]: each["value"] for each in given}
        if len(named) < len(given):
            raise serializers.ValidationError("Each name once.")
        return named


class RequestCreate(_Asked):
    """The same subject and content again is the request there is; other content supersedes it."""

    subject_id = IdField(required=False, help_text="What it is about, in your system. Default: a new one.")
    title = StrictCharField(max_length=200)
    description = StrictCharField(**TEXT, required=False, allow_blank=True, default="")
    comment = StrictCharField(**TEXT, required=False, allow_blank=True, default="")


class RequestSimulate(_Asked):
    """Whom a request like this would ask now, and with `proposed_rule` also once that proposal is confirmed."""

    kind = StrictCharField(max_length=64, required=False, default=GENERAL)
    requester = ColleagueField(required=False, help_text="As if this person asked. Default: you.")
    proposed_rule = IdField(required=False, help_text="A rule with an open proposal.")


class RequestProcess(StrictSerializer):
    """`digest` for a decision; `comment` unless it is approved; `to` to delegate, `to` and `from_approver` to
    reassign."""

    action = StrictChoiceField(
        choices=[*DECISIONS, ActionKind.COMMENT, ActionKind.DELEGATE, ActionKind.REASSIGN]
    )
    digest = StrictCharField(**DIGEST, required=False)
    comment = StrictCharField(**TEXT, required=False, allow_blank=True, default="")
    to = ColleagueField(required=False)
    from_approver = IdField(required=False)

    NEEDED = {
        ActionKind.APPROVE: {"digest"},
        ActionKind.REJECT: {"digest"},
        ActionKind.COMMENT: set(),
        ActionKind.DELEGATE: {"to"},
        ActionKind.REASSIGN: {"to", "from_approver"},
    }

    def validate(self, attrs):
        named = {name for name in ("digest", "to", "from_approver") if name in attrs}
        wrong = named ^ self.NEEDED[attrs["action"]]
        if attrs["action"] != ActionKind.APPROVE and not attrs["comment"].strip():
            wrong.add("comment")
        if wrong:
            raise serializers.ValidationError(
                {name: [f"'{attrs['action']}' does not go with or without it."] for name in sorted(wrong)}
            )
        return attrs


class BulkItem(StrictSerializer):
    request = IdField()
    digest = StrictCharField(**DIGEST)


class BulkApprove(StrictSerializer):
    items = BulkItem(many=True, min_length=1, max_length=BULK_MAX)
    comment = StrictCharField(**TEXT, required=False, allow_blank=True, default="")


class Refusal(serializers.Serializer):
    code = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField()


class BulkResult(serializers.Serializer):
    """The request's state after the approval, or why it was not given."""

    request = IdField()
    state = serializers.CharField(allow_null=True)
    error = Refusal(allow_null=True)


class BulkOutcome(serializers.Serializer):
    """In the order of the items."""

    results = BulkResult(many=True)


class Explained(StrictSerializer):
    comment = StrictCharField(**TEXT)


class ApproverRead(serializers.Serializer):
    id = IdField(source="pk")
    name = serializers.CharField()


class RouteLevelRead(serializers.Serializer):
    mode = serializers.CharField()
    needed = serializers.IntegerField()
    approvers = ApproverRead(many=True, source="people")


class OutlookRead(serializers.Serializer):
    """Of a request that could not be made there is only `refusal`, as the error would be."""

    rule = IdField(source="route.version.rule_id", allow_null=True)
    rule_name = serializers.CharField(source="route.version.rule.name", allow_null=True)
    rule_version = serializers.IntegerField(source="route.version.number", allow_null=True)
    levels = RouteLevelRead(many=True, source="route.levels", default=())
    refusal = Refusal(allow_null=True)


class RouteSimulationRead(OutlookRead):
    """By the rules of now. `if_confirmed`: with the proposal in force; null if none was named. Only beside it is a
    refusal told here instead of being the answer."""

    if_confirmed = OutlookRead(allow_null=True)


class DelegationRead(ReadSerializer):
    delegator_name = serializers.CharField(source="delegator.name", read_only=True)
    delegate_name = serializers.CharField(source="delegate.name", read_only=True)

    class Meta:
        model = ApprovalDelegation
        fields = (
            "id",
            "delegator",
            "delegator_name",
            "delegate",
            "delegate_name",
            "starts_on",
            "ends_on",
            "kinds",
            "amount",
            "currency",
            "request",
            "reason",
            "revoked_at",
            "version",
            "created_at",
            "updated_at",
        )
        read_only_fields = fields


class DelegationCreate(StrictSerializer):
    """From `starts_on`, included, to `ends_on`, excluded: days in UTC."""

    delegate = ColleagueField()
    starts_on = StrictDateField()
    ends_on = StrictDateField()
    kinds = serializers.ListField(
        child=StrictCharField(max_length=64), required=False, max_length=FIELDS_MAX, help_text="None: all."
    )
    amount = MoneyAmountField(min_value=0, required=False)
    currency = CurrencyCodeField(required=False)
    reason = StrictCharField(**TEXT)
