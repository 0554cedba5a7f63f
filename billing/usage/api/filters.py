import django_filters as filters

from billing.usage.models import Meter, Quota, QuotaAlert, UsageEvent


class MeterFilter(filters.FilterSet):
    entity = filters.UUIDFilter(field_name="entity_id")
    product = filters.UUIDFilter(field_name="product_id")
    code = filters.CharFilter(lookup_expr="iexact")
    is_active = filters.BooleanFilter()

    class Meta:
        model = Meter
        fields = ()


class EventFilter(filters.FilterSet):
    """`?entity=…&meter=…&occurred_after=2026-01-01T00:00:00Z&source=gateway`"""

    entity = filters.UUIDFilter(field_name="entity_id")
    meter = filters.UUIDFilter(field_name="meter_id")
    department = filters.UUIDFilter(field_name="department_id")
    subscription = filters.UUIDFilter(field_name="subscription_id")
    source = filters.CharFilter()
    transaction_id = filters.CharFilter()
    occurred_after = filters.IsoDateTimeFilter(field_name="occurred_at", lookup_expr="gte")
    occurred_before = filters.IsoDateTimeFilter(field_name="occurred_at", lookup_expr="lt")
    billed_after = filters.DateFilter(field_name="billed_on", lookup_expr="gte")
    billed_before = filters.DateFilter(field_name="billed_on", lookup_expr="lt")

    class Meta:
        model = UsageEvent
        fields = ()


class QuotaFilter(filters.FilterSet):
    entity = filters.UUIDFilter(field_name="entity_id")
    meter = filters.UUIDFilter(field_name="meter_id")

    class Meta:
        model = Quota
        fields = ()


class QuotaAlertFilter(filters.FilterSet):
    entity = filters.UUIDFilter(field_name="quota__entity_id")
    quota = filters.UUIDFilter(field_name="quota_id")
    raised_after = filters.IsoDateTimeFilter(field_name="raised_at", lookup_expr="gte")
    raised_before = filters.IsoDateTimeFilter(field_name="raised_at", lookup_expr="lt")

    class Meta:
        model = QuotaAlert
        fields = ()
