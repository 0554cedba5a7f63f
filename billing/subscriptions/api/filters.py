import django_filters as filters

from billing.subscriptions.models import Interval, Plan, Price, PriceModel, Product


class ProductFilter(filters.FilterSet):
    """`?entity=…&is_active=true&code=…`"""

    entity = filters.UUIDFilter(field_name="entity_id")
    code = filters.CharFilter(lookup_expr="iexact")
    is_active = filters.BooleanFilter()

    class Meta:
        model = Product
        fields = ()


class PlanFilter(filters.FilterSet):
    """`?entity=…&is_active=true&interval=month&product=…`"""

    entity = filters.UUIDFilter(field_name="entity_id")
    code = filters.CharFilter(lookup_expr="iexact")
    is_active = filters.BooleanFilter()
    interval = filters.MultipleChoiceFilter(choices=Interval.choices)
    product = filters.UUIDFilter(field_name="items__product_id")

    class Meta:
        model = Plan
        fields = ()


class PriceFilter(filters.FilterSet):
    """`?currency=EUR&is_list_price=true`"""

    plan = filters.UUIDFilter(field_name="plan_id")
    is_list_price = filters.BooleanFilter(field_name="plan", lookup_expr="isnull")
    model = filters.MultipleChoiceFilter(choices=PriceModel.choices)
    currency = filters.CharFilter()
    starts_after = filters.DateFilter(field_name="starts_on", lookup_expr="gte")
    starts_before = filters.DateFilter(field_name="starts_on", lookup_expr="lt")

    class Meta:
        model = Price
        fields = ()
