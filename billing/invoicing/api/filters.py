import django_filters as filters
from django.db.models import Q
from django.utils import timezone

from billing.invoicing import queries
from billing.invoicing.models import (
    AllocationRule,
    AllocationRun,
    AllocationRunKind,
    BillingRun,
    CostAllocation,
    GLCodeMapping,
    Invoice,
    TaxExemption,
    TaxRate,
)
from billing.invoicing.states import AllocationRunState, InvoiceState, RuleState, RunState
from billing.subscriptions.models import TaxCategory


class InvoiceFilter(filters.FilterSet):
    """`?state=issued&customer=…&currency=EUR&due_before=2026-02-01&overdue=true`; `…_after` includes the day."""

    state = filters.MultipleChoiceFilter(choices=InvoiceState.choices)
    customer = filters.UUIDFilter(field_name="customer_id")
    seller = filters.UUIDFilter(field_name="seller_id")
    run = filters.UUIDFilter(field_name="run_id")
    currency = filters.CharFilter()
    number = filters.CharFilter()
    issued_after = filters.DateFilter(field_name="issued_on", lookup_expr="gte")
    issued_before = filters.DateFilter(field_name="issued_on", lookup_expr="lt")
    due_after = filters.DateFilter(field_name="due_on", lookup_expr="gte")
    due_before = filters.DateFilter(field_name="due_on", lookup_expr="lt")
    overdue = filters.BooleanFilter(method="by_overdue")

    class Meta:
        model = Invoice
        fields = ()

    def by_overdue(self, queryset, name, value):
        late = queries.overdue(queryset, as_of=timezone.now().date())
        return late if value else queryset.exclude(pk__in=late.values("pk"))


class AllocationFilter(filters.FilterSet):
    """`live=true`: the shares that count, without those taken back and those that take back."""

    invoice = filters.UUIDFilter(field_name="invoice_id")
    invoice_number = filters.CharFilter(field_name="invoice__number")
    line = filters.UUIDFilter(field_name="line_id")
    gl_code = filters.CharFilter()
    currency = filters.CharFilter()
    period_after = filters.DateFilter(field_name="line__service_starts_on", lookup_expr="gte")
    period_before = filters.DateFilter(field_name="line__service_starts_on", lookup_expr="lt")
    live = filters.BooleanFilter(method="by_live")
    rule = filters.UUIDFilter(field_name="rule_version__rule_id")
    run = filters.UUIDFilter(field_name="run_id")

    class Meta:
        model = CostAllocation
        fields = ()

    def by_live(self, queryset, name, value):
        live = queryset.filter(reverses__isnull=True, reversed_by__isnull=True)
        return live if value else queryset.exclude(pk__in=live.values("pk"))


class RunFilter(filters.FilterSet):
    state = filters.MultipleChoiceFilter(choices=RunState.choices)
    seller = filters.UUIDFilter(field_name="seller_id")
    as_of_after = filters.DateFilter(field_name="as_of", lookup_expr="gte")
    as_of_before = filters.DateFilter(field_name="as_of", lookup_expr="lt")

    class Meta:
        model = BillingRun
        fields = ()


class TaxRateFilter(filters.FilterSet):
    country = filters.CharFilter()
    category = filters.ChoiceFilter(choices=TaxCategory.choices)

    class Meta:
        model = TaxRate
        fields = ()


class TaxExemptionFilter(filters.FilterSet):
    customer = filters.UUIDFilter(field_name="customer_id")
    country = filters.CharFilter()
    in_force_on = filters.DateFilter(method="by_day", help_text="Those that cover the day.")

    class Meta:
        model = TaxExemption
        fields = ()

    def by_day(self, queryset, name, day):
        return queries.exemptions_in_force(queryset, on=day)


class AllocationRuleFilter(filters.FilterSet):
    entity = filters.UUIDFilter(field_name="entity_id")
    code = filters.CharFilter(lookup_expr="iexact")
    state = filters.MultipleChoiceFilter(choices=RuleState.choices)

    class Meta:
        model = AllocationRule
        fields = ()


class AllocationRunFilter(filters.FilterSet):
    entity = filters.UUIDFilter(field_name="entity_id")
    kind = filters.ChoiceFilter(choices=AllocationRunKind.choices)
    state = filters.MultipleChoiceFilter(choices=AllocationRunState.choices)
    rule = filters.UUIDFilter(field_name="rule_version__rule_id")

    class Meta:
        model = AllocationRun
        fields = ()


class GLCodeMappingFilter(filters.FilterSet):
    entity = filters.UUIDFilter(field_name="entity_id")
    product = filters.UUIDFilter(field_name="product_id")
    department = filters.UUIDFilter(field_name="department_id")
    gl_code = filters.CharFilter()
    in_force_on = filters.DateFilter(method="by_day", help_text="Those that cover the day.")

    class Meta:
        model = GLCodeMapping
        fields = ()

    def by_day(self, queryset, name, day):
        return queryset.filter(Q(ends_on__isnull=True) | Q(ends_on__gt=day), starts_on__lte=day)
