import django_filters as filters

from billing.dunning import queries
from billing.dunning.models import (
    DunningAssignment,
    DunningCase,
    DunningNotice,
    DunningPause,
    DunningPolicy,
    LateFee,
)
from billing.dunning.states import CaseState, Effect, FeeState, Outcome, PauseKind, PolicyState


class DunningPolicyFilter(filters.FilterSet):
    seller = filters.UUIDFilter(field_name="seller_id")
    code = filters.CharFilter(lookup_expr="iexact")
    entity_class = filters.CharFilter()
    state = filters.MultipleChoiceFilter(choices=PolicyState.choices)

    class Meta:
        model = DunningPolicy
        fields = ()


class _InForce(filters.FilterSet):
    in_force_on = filters.DateFilter(method="by_day", help_text="Those that cover the day.")

    def by_day(self, queryset, name, day):
        return queries.in_force(queryset, on=day)


class DunningAssignmentFilter(_InForce):
    customer = filters.UUIDFilter(field_name="customer_id")
    seller = filters.UUIDFilter(field_name="seller_id")
    policy = filters.UUIDFilter(field_name="policy_id")

    class Meta:
        model = DunningAssignment
        fields = ()


class DunningCaseFilter(filters.FilterSet):
    """`state=handed_over`: to be collected, or to be proposed for a write-off."""

    customer = filters.UUIDFilter(field_name="customer_id")
    seller = filters.UUIDFilter(field_name="seller_id")
    invoice = filters.UUIDFilter(field_name="invoice_id")
    state = filters.MultipleChoiceFilter(choices=CaseState.choices)

    class Meta:
        model = DunningCase
        fields = ()


class DunningNoticeFilter(filters.FilterSet):
    """`…_after` includes the day."""

    customer = filters.UUIDFilter(field_name="customer_id")
    invoice = filters.UUIDFilter(field_name="invoice_id")
    outcome = filters.ChoiceFilter(choices=Outcome.choices)
    effect = filters.MultipleChoiceFilter(field_name="step__effect", choices=Effect.choices)
    noticed_after = filters.DateFilter(field_name="noticed_on", lookup_expr="gte")
    noticed_before = filters.DateFilter(field_name="noticed_on", lookup_expr="lt")

    class Meta:
        model = DunningNotice
        fields = ()


class DunningPauseFilter(_InForce):
    customer = filters.UUIDFilter(field_name="customer_id")
    invoice = filters.UUIDFilter(field_name="invoice_id")
    kind = filters.MultipleChoiceFilter(choices=PauseKind.choices)

    class Meta:
        model = DunningPause
        fields = ()


class LateFeeFilter(filters.FilterSet):
    customer = filters.UUIDFilter(field_name="customer_id")
    invoice = filters.UUIDFilter(field_name="invoice_id")
    state = filters.ChoiceFilter(choices=FeeState.choices)

    class Meta:
        model = LateFee
        fields = ()
