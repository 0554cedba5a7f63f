import django_filters as filters

from billing.payments import queries
from billing.payments.models import Payment
from billing.payments.states import PaymentMethodKind


class PaymentFilter(filters.FilterSet):
    """`unapplied=true`: something is left on the customer's balance. `…_after` includes the day."""

    seller = filters.UUIDFilter(field_name="seller_id")
    customer = filters.UUIDFilter(field_name="customer_id")
    invoice = filters.UUIDFilter(method="by_invoice")
    consolidated_invoice = filters.UUIDFilter(
        method="by_consolidated_invoice",
        help_text="Those that settled one of its children, at least in part.",
    )
    method = filters.MultipleChoiceFilter(choices=PaymentMethodKind.choices)
    currency = filters.CharFilter()
    reference = filters.CharFilter()
    received_after = filters.DateFilter(field_name="received_on", lookup_expr="gte")
    received_before = filters.DateFilter(field_name="received_on", lookup_expr="lt")
    unapplied = filters.BooleanFilter(method="by_unapplied")

    class Meta:
        model = Payment
        fields = ()

    def by_unapplied(self, queryset, name, value):
        left = queries.unapplied(queryset)
        return left if value else queryset.exclude(pk__in=left.values("pk"))

    def by_invoice(self, queryset, name, value):
        return queryset.filter(pk__in=queries.payments_of_invoice(value).values("pk"))

    def by_consolidated_invoice(self, queryset, name, value):
        return queryset.filter(pk__in=queries.payments_of_consolidated_invoice(value).values("pk"))
