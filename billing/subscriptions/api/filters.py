import django_filters as filters

from billing.subscriptions.models import Price, Product


class ProductFilter(filters.FilterSet):
    """`?entity=…&is_active=true&code=…`"""

    entity = filters.UUIDFilter(field_name="entity_id")
    code = filters.CharFilter(lookup_expr="iexact")
    is_active = filters.BooleanFilter()

    class Meta:
        model = Product
        fields = ()


class PriceFilter(filters.FilterSet):
    currency = filters.CharFilter()
    starts_after = filters.DateFilter(field_name="starts_on", lookup_expr="gte")
    starts_before = filters.DateFilter(field_name="starts_on", lookup_expr="lt")

    class Meta:
        model = Price
        fields = ()
