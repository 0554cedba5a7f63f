"""Exchange rates, by pair of currencies and day."""

import django_filters as filters

from billing.invoicing import services
from billing.invoicing.models import ExchangeRate
from billing.kernel.api.fields import CurrencyCodeField, ExactAmountField, StrictCharField, StrictDateField
from billing.kernel.api.serializers import ReadSerializer, StrictSerializer
from billing.kernel.api.viewsets import ServiceViewSet


class ExchangeRateRead(ReadSerializer):
    class Meta:
        model = ExchangeRate
        fields = ("id", "from_currency", "to_currency", "rate", "rate_on", "source", "created_at")
        read_only_fields = fields


class ExchangeRateCreate(StrictSerializer):
    """One unit of `from_currency` is `rate` units of `to_currency`."""

    from_currency = CurrencyCodeField()
    to_currency = CurrencyCodeField()
    rate = ExactAmountField(above=0)
    rate_on = StrictDateField()
    source = StrictCharField(max_length=100, help_text="Who published it.")


class ExchangeRateFilter(filters.FilterSet):
    from_currency = filters.CharFilter()
    to_currency = filters.CharFilter()
    on_or_before = filters.DateFilter(field_name="rate_on", lookup_expr="lte")

    class Meta:
        model = ExchangeRate
        fields = ()


class ExchangeRateViewSet(ServiceViewSet):
    """Exchange rates are the same for everybody. Of several for one day the last recorded counts."""

    serializer_class = ExchangeRateRead
    filterset_class = ExchangeRateFilter
    ordering = ("-rate_on", "-pk")
    ordering_fields = ("rate_on", "created_at")
    action_permissions = {
        "list": "invoicing.view_exchangerate",
        "create": "invoicing.create_exchange_rate",
    }

    def get_queryset(self):
        return ExchangeRate.objects.all()

    def create(self, request):
        rate = services.add_exchange_rate(actor=self.actor, **self.parse(ExchangeRateCreate))
        return self.reply(rate, created=True)
