"""The two bases: what comes in is checked to the letter, what goes out has one spelling."""

from collections.abc import Mapping
from typing import ClassVar

from django.db import models
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail, ValidationError

from billing.kernel.api import fields
from billing.kernel.fields import ExactField, MoneyField


class StrictSerializer(serializers.Serializer):
    """The base of every input: members it does not know are refused."""

    def to_internal_value(self, data: object) -> dict:
        complaints: dict[str, list] = {}
        if isinstance(data, Mapping):
            known = {name for name, field in self.fields.items() if not field.read_only}
            for name in data:
                if name not in known:
                    complaints[name] = [ErrorDetail("This member is not known here.", code="unknown")]
        try:
            values = super().to_internal_value(data)
        except ValidationError as error:
            raise ValidationError({**complaints, **error.detail}) from None
        complaints.update(self._unpayable(values))
        if complaints:
            raise ValidationError(complaints)
        return values

    def _unpayable(self, values: dict) -> dict[str, list]:
        complaints = {}
        for name, field in self.fields.items():
            if not isinstance(field, fields.MoneyAmountField):
                continue
            amount, currency = values.get(field.source), values.get(field.currency_field)
            if amount is not None and currency and not fields.payable_in(amount, currency):
                complaints[name] = [
                    ErrorDetail(f"Has more decimals than {currency} has.", code="too_many_decimals")
                ]
        return complaints


class NoInput(StrictSerializer):
    """For actions without arguments: an empty body, or `{}`."""


class ReadSerializer(serializers.ModelSerializer):
    """The base of every output. Amounts take the decimals of the row's `currency`, instants are UTC."""

    serializer_field_mapping: ClassVar[dict] = serializers.ModelSerializer.serializer_field_mapping | {
        MoneyField: fields.MoneyAmountField,
        ExactField: fields.ExactAmountField,
        models.DateTimeField: fields.StrictDateTimeField,
        models.DateField: fields.StrictDateField,
    }
