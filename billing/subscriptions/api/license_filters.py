import django_filters as filters

from billing.subscriptions.models import License, LicenseAssignment
from billing.subscriptions.states import LicenseState


class LicenseFilter(filters.FilterSet):
    """`?entity=…&state=active&state=expired&product=…&subscription=…&tier=…`"""

    entity = filters.UUIDFilter(field_name="entity_id")
    product = filters.UUIDFilter(field_name="product_id")
    subscription = filters.UUIDFilter(field_name="subscription_id")
    state = filters.MultipleChoiceFilter(choices=LicenseState.choices)
    tier = filters.CharFilter()

    class Meta:
        model = License
        fields = ()


class SeatFilter(filters.FilterSet):
    """`?released=false` are those in use."""

    holder = filters.CharFilter(lookup_expr="iexact")
    released = filters.BooleanFilter(field_name="released_at", lookup_expr="isnull", exclude=True)

    class Meta:
        model = LicenseAssignment
        fields = ()
