"""Shapes on the wire. Input serializers check form; whether it is allowed is the service's business."""

from rest_framework import serializers

from billing.entities.api.fields import EntityField
from billing.kernel.api import fields
from billing.kernel.api.serializers import ReadSerializer, StrictSerializer
from billing.subscriptions.models import Price, PriceModel, Product, TaxCategory

CODE = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z"


class ProductRead(ReadSerializer):
    class Meta:
        model = Product
        fields = (
            "id",
            "entity",
            "code",
            "name",
            "unit",
            "tax_category",
            "gl_code",
            "is_active",
            "metadata",
            "version",
            "created_at",
            "updated_at",
        )
        read_only_fields = fields


class ProductUpdate(StrictSerializer):
    name = fields.StrictCharField(max_length=200)
    unit = fields.StrictCharField(max_length=32)
    tax_category = fields.StrictChoiceField(choices=TaxCategory.choices)
    gl_code = fields.StrictCharField(max_length=64, allow_blank=True)
    is_active = fields.StrictBooleanField()
    metadata = serializers.DictField(required=False)


class ProductCreate(StrictSerializer):
    entity = EntityField(help_text="The seller.")
    code = serializers.RegexField(CODE)
    name = fields.StrictCharField(max_length=200)
    unit = fields.StrictCharField(max_length=32, default="unit")
    tax_category = fields.StrictChoiceField(choices=TaxCategory.choices, default=TaxCategory.STANDARD)
    gl_code = fields.StrictCharField(max_length=64, allow_blank=True, default="")
    metadata = serializers.DictField(default=dict)


class PriceRead(ReadSerializer):
    class Meta:
        model = Price
        fields = (
            "id",
            "product",
            "number",
            "currency",
            "model",
            "unit_price",
            "markup_percent",
            "starts_on",
            "created_at",
        )
        read_only_fields = fields


class PriceCreate(StrictSerializer):
    currency = fields.CurrencyCodeField()
    model = fields.StrictChoiceField(choices=PriceModel.choices)
    unit_price = fields.ExactAmountField(required=False, help_text="per_unit only.")
    markup_percent = fields.ExactAmountField(required=False, help_text="pass_through only; 12.5 is 12.5 %.")
    starts_on = fields.StrictDateField()
