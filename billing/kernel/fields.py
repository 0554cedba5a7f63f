"""Columns for amounts and prices, and the CHECKs that stand behind them."""

from django.db import models
from django.db.models import F, Func, Q, Value
from django.db.models.lookups import Exact, LessThanOrEqual


class MoneyField(models.DecimalField):
    """An amount in the currency of its row: numeric(19,4). Pair it with `payable(...)`."""

    def __init__(self, *args, **kwargs):
        kwargs["max_digits"], kwargs["decimal_places"] = 19, 4
        super().__init__(*args, **kwargs)

    def deconstruct(self):
        name, path, args, kwargs = super().deconstruct()
        del kwargs["max_digits"], kwargs["decimal_places"]
        return name, path, args, kwargs


class ExactField(models.DecimalField):
    """A unit price, rate, quantity or unrounded amount: numeric(28,12). Pair it with `finite(...)`."""

    def __init__(self, *args, **kwargs):
        kwargs["max_digits"], kwargs["decimal_places"] = 28, 12
        super().__init__(*args, **kwargs)

    def deconstruct(self):
        name, path, args, kwargs = super().deconstruct()
        del kwargs["max_digits"], kwargs["decimal_places"]
        return name, path, args, kwargs


class CurrencyField(models.CharField):
    """An ISO 4217 code, upper case."""

    def __init__(self, *args, **kwargs):
        kwargs["max_length"] = 3
        super().__init__(*args, **kwargs)

    def deconstruct(self):
        name, path, args, kwargs = super().deconstruct()
        del kwargs["max_length"]
        return name, path, args, kwargs


class _Boolean(Func):
    output_field = models.BooleanField()


class IsPayable(_Boolean):
    function = "is_payable"


class IsFinite(_Boolean):
    function = "is_finite_amount"


class JsonType(Func):
    function = "jsonb_typeof"
    output_field = models.TextField()


class JsonLength(Func):
    function = "jsonb_array_length"
    output_field = models.IntegerField()


def payable(name: str, *amounts: str, currency: str = "currency") -> models.CheckConstraint:
    """Finite, below 10^15, and with no more decimals than the currency has (NaN and infinity are not)."""
    return models.CheckConstraint(name=name, condition=IsPayable(F(currency), *map(F, amounts)))


def finite(name: str, *amounts: str) -> models.CheckConstraint:
    """Neither NaN nor infinite. (`CHECK (x > 0)` lets NaN through: PostgreSQL sorts it above everything.)"""
    return models.CheckConstraint(name=name, condition=IsFinite(*map(F, amounts)))


def array_up_to(name: str, field: str, longest: int) -> models.CheckConstraint:
    """A JSON column that is a list of at most so many."""
    return models.CheckConstraint(
        name=name,
        condition=Q(Exact(JsonType(F(field)), Value("array")))
        & Q(LessThanOrEqual(JsonLength(F(field)), Value(longest))),
    )
