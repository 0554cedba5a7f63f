import django_filters as filters

from billing.ledger.models import AccountingPeriod, JournalEntry, LedgerAccount
from billing.ledger.states import PeriodState


class AccountFilter(filters.FilterSet):
    """`?entity=…&code=1100`"""

    entity = filters.UUIDFilter(field_name="entity_id")
    code = filters.CharFilter()

    class Meta:
        model = LedgerAccount
        fields = ()


class EntryFilter(filters.FilterSet):
    """`?entity=…&source=invoice:…&posted_from=2026-01-01&posted_before=2026-02-01`"""

    entity = filters.UUIDFilter(field_name="entity_id")
    period = filters.UUIDFilter(field_name="period_id")
    source = filters.CharFilter()
    event = filters.CharFilter()
    posted_from = filters.DateFilter(field_name="posted_on", lookup_expr="gte")
    posted_before = filters.DateFilter(field_name="posted_on", lookup_expr="lt")
    is_reversal = filters.BooleanFilter(field_name="reverses", lookup_expr="isnull", exclude=True)

    class Meta:
        model = JournalEntry
        fields = ()


class PeriodFilter(filters.FilterSet):
    """`?entity=…&state=open&state=closing`"""

    entity = filters.UUIDFilter(field_name="entity_id")
    state = filters.MultipleChoiceFilter(choices=PeriodState.choices)
    starts_from = filters.DateFilter(field_name="starts_on", lookup_expr="gte")
    starts_before = filters.DateFilter(field_name="starts_on", lookup_expr="lt")

    class Meta:
        model = AccountingPeriod
        fields = ()
