"""What a currency is worth in another, day by day."""

from django.db import models
from django.db.models import F, Q

from billing.kernel.fields import CurrencyField, ExactField, finite
from billing.kernel.models import AppendOnlyModel
from billing.kernel.triggers import append_only, audited


class ExchangeRate(AppendOnlyModel):
    """One unit of `from_currency` is `rate` units of `to_currency` from a day on until a later rate.

    Of several for one day the last recorded counts: that is how a mistaken one is put right.
    """

    from_currency = CurrencyField()
    to_currency = CurrencyField()
    rate = ExactField()
    rate_on = models.DateField()
    source = models.CharField(max_length=100, help_text="Who published it, e.g. ECB reference rate.")

    class Meta(AppendOnlyModel.Meta):
        db_table = "exchange_rates"
        permissions = [("create_exchange_rate", "Can add exchange rates")]
        constraints = [
            finite("exchange_rate_finite", "rate"),
            models.CheckConstraint(name="exchange_rate_positive", condition=Q(rate__gt=0)),
            models.CheckConstraint(
                name="exchange_rate_of_two_currencies", condition=~Q(from_currency=F("to_currency"))
            ),
            models.CheckConstraint(name="exchange_rate_has_source", condition=~Q(source="")),
        ]
        indexes = [
            models.Index(
                fields=["from_currency", "to_currency", "-rate_on", "-id"], name="exchange_rate_of_day"
            )
        ]
        triggers = [*append_only(), *audited(entity="")]

    def __str__(self) -> str:
        return f"1 {self.from_currency} = {self.rate.normalize():f} {self.to_currency} on {self.rate_on}"
