from rest_framework import serializers

from billing.access.models import ApiKey, User
from billing.access.queries import accounts_for
from billing.kernel.api.fields import IdField, StrictCharField, StrictDateTimeField, StrictIntegerField
from billing.kernel.api.serializers import ReadSerializer, StrictSerializer


class AccountBrief(ReadSerializer):
    class Meta:
        model = User
        fields = ("id", "kind", "name", "email", "is_active")
        read_only_fields = fields


class KeyRead(ReadSerializer):
    """A key without its secret, which nobody can see again."""

    user = IdField(source="user_id")

    class Meta:
        model = ApiKey
        fields = (
            "id",
            "user",
            "name",
            "prefix",
            "scopes",
            "allowed_networks",
            "expires_at",
            "revoked_at",
            "last_used_at",
            "last_used_ip",
            "version",
            "created_at",
        )
        read_only_fields = fields


class KeyWithSecret(KeyRead):
    key = serializers.CharField(help_text="The whole key. Shown in this answer and never again.")

    class Meta(KeyRead.Meta):
        fields = (*KeyRead.Meta.fields, "key")
        read_only_fields = fields


class AccountField(IdField):
    """A service account within the sender's reach. Unknown and not his are the same error."""

    default_error_messages = {"not_found": "There is no such account."}

    def to_internal_value(self, data: object):
        within = accounts_for(self.context["request"].user, "access.create_key")
        account = within.filter(pk=super().to_internal_value(data)).first()
        if account is None:
            self.fail("not_found")
        return account


class KeyCreate(StrictSerializer):
    user = AccountField()
    name = StrictCharField(max_length=100)
    scopes = serializers.ListField(child=StrictCharField(max_length=64), allow_empty=False, max_length=50)
    expires_at = StrictDateTimeField()
    allowed_networks = serializers.ListField(
        child=StrictCharField(max_length=49), required=False, max_length=50, help_text="CIDR; empty: any."
    )


class KeyRevoke(StrictSerializer):
    reason = StrictCharField(max_length=1000, multiline=True)


class KeyRotate(StrictSerializer):
    expires_at = StrictDateTimeField()
    overlap_hours = StrictIntegerField(
        min_value=0, max_value=168, required=False, default=0, help_text="How long the old key still works."
    )
