"""Shapes on the wire. Input serializers check form; whether it is allowed is the service's business."""

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from billing.entities.api.fields import ColleagueField, DepartmentField, EntityField
from billing.entities.models import BillingEntity, Consolidation, Department, RoleGrant, RoleGrantLimit
from billing.entities.paths import path_above
from billing.entities.queries import VIEW_DEPARTMENT, VIEW_ENTITY, confidential
from billing.entities.reach import may_at
from billing.kernel.api.fields import (
    CountryField,
    CurrencyCodeField,
    IdField,
    StrictBooleanField,
    StrictCharField,
    StrictChoiceField,
    StrictDateField,
    StrictIntegerField,
    TimeZoneField,
)
from billing.kernel.api.serializers import ReadSerializer, StrictSerializer


class EntityBrief(ReadSerializer):
    class Meta:
        model = BillingEntity
        fields = ("id", "code", "name", "state", "currency")
        read_only_fields = fields


class EntityRead(ReadSerializer):
    """Tax id and bank account are whole for controllers and auditors, their last four signs for operators, absent for
    others.

    `parent` is null for a root and for whoever may not see the parent.
    """

    parent = EntityField(source="parent_id", allow_null=True)

    class Meta:
        model = BillingEntity
        fields = (
            "id",
            "code",
            "name",
            "legal_name",
            "state",
            "parent",
            "is_seller",
            "is_customer",
            "consolidation",
            "currency",
            "country",
            "tax_id",
            "bank_account",
            "email",
            "address",
            "time_zone",
            "language",
            "payment_terms_days",
            "fiscal_year_starts_in",
            "external_reference",
            "metadata",
            "version",
            "created_at",
            "updated_at",
        )
        read_only_fields = fields

    def to_representation(self, instance):
        data = super().to_representation(instance)
        user = self.context["request"].user
        if data.get("parent") is not None and not may_at(user, VIEW_ENTITY, path_above(instance.path)):
            data["parent"] = None
        shown = confidential(instance, user)
        for name in {"tax_id", "bank_account"} & set(data):
            if name in shown:
                data[name] = shown[name]
            else:
                del data[name]
        return data


class BankAccount(StrictSerializer):
    """Where to pay to. All left out: nowhere."""

    iban = StrictCharField(max_length=42, required=False, help_text="With or without spaces.")
    bic = StrictCharField(max_length=11, required=False, allow_blank=True)
    bank = StrictCharField(max_length=100, required=False, allow_blank=True)


class Address(StrictSerializer):
    line1 = StrictCharField(max_length=200, required=False, allow_blank=True)
    line2 = StrictCharField(max_length=200, required=False, allow_blank=True)
    city = StrictCharField(max_length=200, required=False, allow_blank=True)
    region = StrictCharField(max_length=200, required=False, allow_blank=True)
    postal_code = StrictCharField(max_length=200, required=False, allow_blank=True)
    country = CountryField(required=False)


class _EntityFacts(StrictSerializer):
    legal_name = StrictCharField(max_length=200, required=False, allow_blank=True)
    is_seller = StrictBooleanField(required=False)
    is_customer = StrictBooleanField(required=False)
    consolidation = StrictChoiceField(choices=Consolidation.choices, required=False)
    tax_id = StrictCharField(max_length=32, required=False, allow_blank=True)
    bank_account = BankAccount(required=False)
    email = serializers.EmailField(required=False, allow_blank=True)
    address = Address(required=False)
    time_zone = TimeZoneField(required=False)
    language = StrictCharField(max_length=5, required=False)
    payment_terms_days = StrictIntegerField(min_value=0, max_value=365, required=False)
    fiscal_year_starts_in = StrictIntegerField(min_value=1, max_value=12, required=False)
    external_reference = StrictCharField(max_length=200, required=False, allow_blank=True)
    metadata = serializers.DictField(required=False)


class EntityCreate(_EntityFacts):
    parent = EntityField()
    code = StrictCharField(max_length=64)
    name = StrictCharField(max_length=200)
    currency = CurrencyCodeField()
    country = CountryField()
    starts_on = StrictDateField(
        required=False, help_text="Belongs to the parent from this day. Default: today."
    )


class EntityUpdate(_EntityFacts):
    """PUT: contact fields left out go back to their defaults; legal fields left out stay as they are."""

    name = StrictCharField(max_length=200)
    currency = CurrencyCodeField(required=False)
    country = CountryField(required=False)


class EntityChanges(EntityUpdate):
    """What is left out stays as it is."""

    name = StrictCharField(max_length=200, required=False)


class EntityMove(StrictSerializer):
    parent = EntityField()
    effective_on = StrictDateField()
    reason = StrictCharField(max_length=1000, multiline=True)


class StateReason(StrictSerializer):
    reason = StrictCharField(max_length=1000, multiline=True)


class OptionalStateReason(StrictSerializer):
    reason = StrictCharField(max_length=1000, multiline=True, required=False, default="")


class EntityNode(serializers.Serializer):
    """An entity in the hierarchy. `children` have the same shape."""

    id = IdField()
    code = serializers.CharField()
    name = serializers.CharField()
    state = serializers.CharField()
    consolidation = serializers.CharField()
    currency = CurrencyCodeField()
    depth = serializers.IntegerField(help_text="1 for a root.")
    children = serializers.SerializerMethodField()

    @extend_schema_field({"type": "array", "items": {"$ref": "#/components/schemas/EntityNode"}})
    def get_children(self, node) -> list:
        return EntityNode(node["children"], many=True).data


class DepartmentRead(ReadSerializer):
    entity = EntityField(source="entity_id")
    parent = DepartmentField(source="parent_id", allow_null=True)
    manager = IdField(source="manager_id", allow_null=True)

    class Meta:
        model = Department
        fields = (
            "id",
            "entity",
            "parent",
            "code",
            "name",
            "cost_centre",
            "manager",
            "default_gl_code",
            "is_default",
            "headcount",
            "external_reference",
            "starts_on",
            "ends_on",
            "metadata",
            "version",
            "created_at",
            "updated_at",
        )
        read_only_fields = fields

    def to_representation(self, instance):
        data = super().to_representation(instance)
        above = path_above(instance.path)
        user = self.context["request"].user
        if data.get("parent") is not None and not may_at(user, VIEW_DEPARTMENT, instance.entity.path, above):
            data["parent"] = None
        return data


class DepartmentBrief(ReadSerializer):
    class Meta:
        model = Department
        fields = ("id", "code", "name")
        read_only_fields = fields


class DepartmentUpdate(StrictSerializer):
    """PUT: fields left out go back to their defaults, except the GL code, which stays as it is."""

    name = StrictCharField(max_length=200)
    parent = DepartmentField(required=False, allow_null=True)
    cost_centre = StrictCharField(max_length=64, required=False, allow_blank=True)
    manager = ColleagueField(required=False, allow_null=True)
    default_gl_code = StrictCharField(max_length=64, required=False, allow_blank=True)
    headcount = StrictIntegerField(min_value=0, max_value=10_000_000, required=False)
    external_reference = StrictCharField(max_length=200, required=False, allow_blank=True)
    ends_on = StrictDateField(required=False, allow_null=True, help_text="Exclusive.")
    metadata = serializers.DictField(required=False)


class DepartmentCreate(DepartmentUpdate):
    entity = EntityField()
    code = StrictCharField(max_length=64)
    starts_on = StrictDateField(required=False, help_text="Default: today.")


class LimitRead(ReadSerializer):
    class Meta:
        model = RoleGrantLimit
        fields = ("amount", "currency")
        read_only_fields = fields


class GrantRead(ReadSerializer):
    entity = IdField(source="entity_id")
    entity_code = serializers.CharField(source="entity.code")
    department = IdField(source="department_id", allow_null=True)
    limits = LimitRead(many=True)

    class Meta:
        model = RoleGrant
        fields = (
            "id",
            "role",
            "entity",
            "entity_code",
            "department",
            "starts_on",
            "ends_on",
            "ends_at",
            "limits",
        )
        read_only_fields = fields


class KeyInUse(serializers.Serializer):
    prefix = serializers.CharField()
    scopes = serializers.ListField(child=serializers.CharField())
    expires_at = serializers.DateTimeField()


class Me(serializers.Serializer):
    id = IdField()
    kind = serializers.CharField()
    email = serializers.EmailField()
    name = serializers.CharField()
    language = serializers.CharField()
    time_zone = serializers.CharField()
    key = KeyInUse(allow_null=True)
    grants = GrantRead(many=True)
    permissions = serializers.ListField(
        child=serializers.CharField(), help_text="What may be done somewhere; where, the grants say."
    )
