import django_filters as filters

from billing.subscriptions.models import ChargeKind, Subscription, SubscriptionCharge
from billing.subscriptions.states import SubscriptionState


class SubscriptionFilter(filters.FilterSet):
    """`?state=active&state=past_due&plan=…&starts_after=2026-01-01`; `…_after` includes the day."""

    entity = filters.UUIDFilter(field_name="entity_id")
    seller = filters.UUIDFilter(field_name="seller_id")
    plan = filters.UUIDFilter(field_name="plan_id")
    state = filters.MultipleChoiceFilter(choices=SubscriptionState.choices)
    currency = filters.CharFilter()
    reference = filters.CharFilter(lookup_expr="iexact")
    starts_after = filters.DateFilter(field_name="starts_on", lookup_expr="gte")
    starts_before = filters.DateFilter(field_name="starts_on", lookup_expr="lt")

    class Meta:
        model = Subscription
        fields = ()


class ChargeFilter(filters.FilterSet):
    kind = filters.MultipleChoiceFilter(choices=ChargeKind.choices)
    due_after = filters.DateFilter(field_name="due_on", lookup_expr="gte")
    due_before = filters.DateFilter(field_name="due_on", lookup_expr="lt")

    class Meta:
        model = SubscriptionCharge
        fields = ()
