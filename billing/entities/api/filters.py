import django_filters as filters
from django.db.models import QuerySet

from billing.entities.models import BillingEntity, Consolidation, Department
from billing.entities.queries import entities_for
from billing.entities.states import EntityState


class EntityFilter(filters.FilterSet):
    """`?state=active&state=suspended&parent=…&within=…&created_after=2026-01-01T00:00:00Z`"""

    state = filters.MultipleChoiceFilter(choices=EntityState.choices)
    parent = filters.UUIDFilter(method="directly_below", help_text="Directly below this entity.")
    within = filters.UUIDFilter(method="below", help_text="This entity and everything below it.")
    code = filters.CharFilter(lookup_expr="iexact")
    currency = filters.CharFilter()
    country = filters.CharFilter()
    consolidation = filters.MultipleChoiceFilter(choices=Consolidation.choices)
    is_seller = filters.BooleanFilter()
    is_customer = filters.BooleanFilter()
    external_reference = filters.CharFilter()
    created_after = filters.IsoDateTimeFilter(field_name="created_at", lookup_expr="gte")
    created_before = filters.IsoDateTimeFilter(field_name="created_at", lookup_expr="lt")
    updated_after = filters.IsoDateTimeFilter(field_name="updated_at", lookup_expr="gte")
    updated_before = filters.IsoDateTimeFilter(field_name="updated_at", lookup_expr="lt")

    class Meta:
        model = BillingEntity
        fields = ()

    def directly_below(self, queryset: QuerySet, name: str, value) -> QuerySet:
        return queryset.filter(parent__in=entities_for(self.request.user).filter(pk=value).values("pk"))

    def below(self, queryset: QuerySet, name: str, value) -> QuerySet:
        top = entities_for(self.request.user).filter(pk=value).values_list("path", flat=True).first()
        return queryset.none() if top is None else queryset.filter(path__startswith=top)


class DepartmentFilter(filters.FilterSet):
    """`?entity=…&parent=…&is_default=false&active_on=2026-03-01`"""

    entity = filters.UUIDFilter(field_name="entity_id")
    parent = filters.UUIDFilter(field_name="parent_id", help_text="Directly below this department.")
    code = filters.CharFilter(lookup_expr="iexact")
    cost_centre = filters.CharFilter()
    manager = filters.UUIDFilter(field_name="manager_id")
    is_default = filters.BooleanFilter()
    external_reference = filters.CharFilter()
    active_on = filters.DateFilter(method="lasting", help_text="Has started and not ended on this day.")
    created_after = filters.IsoDateTimeFilter(field_name="created_at", lookup_expr="gte")
    created_before = filters.IsoDateTimeFilter(field_name="created_at", lookup_expr="lt")

    class Meta:
        model = Department
        fields = ()

    def lasting(self, queryset: QuerySet, name: str, value) -> QuerySet:
        return queryset.filter(starts_on__lte=value).exclude(ends_on__lte=value)
