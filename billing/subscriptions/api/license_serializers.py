"""Licences on the wire: as they are, what changes them, and what the licensed product is told."""

from rest_framework import serializers

from billing.entities.api.fields import EntityField
from billing.kernel.api import fields
from billing.kernel.api.serializers import ReadSerializer, StrictSerializer
from billing.subscriptions.licensed import REASONS
from billing.subscriptions.models import License, LicenseAssignment, LicenseTerms


class LicenseRead(ReadSerializer):
    class Meta:
        model = License
        fields = (
            "id",
            "entity",
            "product",
            "subscription",
            "state",
            "tier",
            "features",
            "seats",
            "included_seats",
            "used_seats",
            "starts_on",
            "ends_on",
            "metadata",
            "version",
            "created_at",
            "updated_at",
        )
        read_only_fields = fields


class TermsRead(ReadSerializer):
    class Meta:
        model = LicenseTerms
        fields = (
            "id",
            "number",
            "tier",
            "features",
            "seats",
            "included_seats",
            "subscription",
            "starts_on",
            "ends_on",
            "created_at",
        )
        read_only_fields = fields


class SeatRead(ReadSerializer):
    class Meta:
        model = LicenseAssignment
        fields = ("id", "license", "holder", "assigned_at", "released_at")
        read_only_fields = fields


def _features(**options) -> serializers.ListField:
    return serializers.ListField(child=fields.StrictCharField(max_length=64), max_length=100, **options)


class LicenseChange(StrictSerializer):
    tier = fields.StrictCharField(max_length=64)
    features = _features()
    seats = fields.StrictIntegerField(min_value=0)
    included_seats = fields.StrictIntegerField(
        min_value=0, help_text="Paid for; those used beyond are trued up."
    )
    ends_on = fields.StrictDateField(allow_null=True, help_text="The first day it is no longer valid.")
    subscription = fields.IdField(source="subscription_id", allow_null=True, help_text="Pays the true-up.")
    metadata = serializers.DictField()


class LicenseCreate(StrictSerializer):
    entity = EntityField()
    product = fields.IdField(source="product_id", help_text="One its seller sells.")
    subscription = fields.IdField(
        source="subscription_id", allow_null=True, default=None, help_text="Pays the true-up."
    )
    tier = fields.StrictCharField(max_length=64)
    features = _features(default=list)
    seats = fields.StrictIntegerField(min_value=0)
    included_seats = fields.StrictIntegerField(
        min_value=0, allow_null=True, default=None, help_text="Paid for; all of them, if not said."
    )
    starts_on = fields.StrictDateField()
    ends_on = fields.StrictDateField(
        allow_null=True, default=None, help_text="The first day it is no longer valid."
    )
    metadata = serializers.DictField(default=dict)


class Holder(StrictSerializer):
    holder = fields.StrictCharField(
        max_length=200, help_text="The user as the licensed product knows them, e.g. an e-mail."
    )


class Revocation(StrictSerializer):
    reason = fields.StrictCharField(max_length=1000, multiline=True)


class LicenseQuestion(StrictSerializer):
    holder = fields.StrictCharField(
        max_length=200, required=False, help_text="Valid only if this user has a seat."
    )
    feature = fields.StrictCharField(
        max_length=64, required=False, help_text="Valid only if the tier includes this."
    )


class LicenseAnswer(serializers.Serializer):
    """`token` is a compact JWS (EdDSA) over the other members, besides `iss`, `iat` and `exp` (= fresh_until)."""

    license = serializers.UUIDField()
    product = serializers.CharField(help_text="Its code.")
    holder = serializers.CharField(allow_null=True, help_text="As asked.")
    feature = serializers.CharField(allow_null=True, help_text="As asked.")
    valid = serializers.BooleanField()
    reason = serializers.ChoiceField(
        choices=REASONS, allow_null=True, help_text="Why not; the first that holds."
    )
    tier = serializers.CharField()
    features = serializers.ListField(child=serializers.CharField())
    seats = serializers.IntegerField()
    used_seats = serializers.IntegerField()
    holder_has_seat = serializers.BooleanField(allow_null=True)
    ends_on = fields.StrictDateField(allow_null=True)
    checked_at = fields.StrictDateTimeField()
    fresh_until = fields.StrictDateTimeField()
    token = serializers.CharField(read_only=True)


class SigningKeyRead(serializers.Serializer):
    """A public key (RFC 8037)."""

    kty = serializers.CharField()
    crv = serializers.CharField()
    x = serializers.CharField()
    kid = serializers.CharField()
    use = serializers.CharField()
    alg = serializers.CharField()


class SigningKeySet(serializers.Serializer):
    keys = SigningKeyRead(many=True)
