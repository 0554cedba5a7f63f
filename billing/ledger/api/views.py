from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.response import Response

from billing.entities import queries as entities
from billing.entities.api.serializers import EntityBrief
from billing.kernel.api.expansion import wanted
from billing.kernel.api.serializers import NoInput
from billing.kernel.api.viewsets import ServiceViewSet
from billing.kernel.money import total_of
from billing.ledger import queries, services
from billing.ledger.api import serializers
from billing.ledger.api.filters import AccountFilter, EntryFilter, PeriodFilter


class AccountViewSet(ServiceViewSet):
    serializer_class = serializers.AccountRead
    filterset_class = AccountFilter
    lookup_url_kwarg = "account_id"
    ordering = "code"
    ordering_fields = ("code", "created_at")
    search_fields = ("name",)
    expandable = {"entity": EntityBrief}
    expand_related = {"entity": ("select", "entity")}
    action_permissions = {"list": queries.VIEW_ACCOUNT, "retrieve": queries.VIEW_ACCOUNT}

    def get_queryset(self):
        return queries.accounts_for(self.request.user)


class EntryViewSet(ServiceViewSet):
    serializer_class = serializers.EntryRead
    filterset_class = EntryFilter
    lookup_url_kwarg = "entry_id"
    ordering = "-posted_on"
    ordering_fields = ("posted_on", "created_at")
    search_fields = ("source", "description")
    expandable = {"entity": EntityBrief, "lines": serializers.LineRead}
    expand_related = {"entity": ("select", "entity"), "lines": ("prefetch", "lines")}
    conditional_reads = False  # an entry has no version: it never changes, but it can be reversed
    action_permissions = {"list": queries.VIEW_ENTRY, "retrieve": queries.VIEW_ENTRY}

    def get_queryset(self):
        entries = queries.entries_for(self.request.user).select_related("reversed_by")
        return queries.with_lines(entries) if "lines" in wanted(self.request, "expand") else entries


class PeriodViewSet(ServiceViewSet):
    serializer_class = serializers.PeriodRead
    filterset_class = PeriodFilter
    lookup_url_kwarg = "period_id"
    ordering = "-starts_on"
    ordering_fields = ("starts_on", "updated_at")
    expandable = {"entity": EntityBrief}
    expand_related = {"entity": ("select", "entity")}
    idempotency_required_actions = frozenset({"begin_closing", "close", "keep_open", "reopen"})
    approval_actions = frozenset({"reopen"})
    action_permissions = {
        "list": queries.VIEW_PERIOD,
        "retrieve": queries.VIEW_PERIOD,
        "begin_closing": "ledger.begin_closing_period",
        "close": "ledger.close_period",
        "keep_open": "ledger.keep_period_open",
        "reopen": "ledger.reopen_period",
    }

    def get_queryset(self):
        return queries.periods_for(self.request.user)

    @action(detail=True, methods=["post"], url_path="begin-closing")
    def begin_closing(self, request, period_id):
        self.parse(NoInput)
        return self.reply(services.begin_closing_period(**self._order()))

    @action(detail=True, methods=["post"])
    def close(self, request, period_id):
        self.parse(NoInput)
        return self.reply(services.close_period(**self._order()))

    @action(detail=True, methods=["post"], url_path="keep-open")
    def keep_open(self, request, period_id):
        order = self.parse(serializers.Reason)
        return self.reply(services.keep_period_open(**self._order(), **order))

    @action(detail=True, methods=["post"])
    def reopen(self, request, period_id):
        order = self.parse(serializers.Reason)
        return self.reply(services.reopen_period(**self._order(), **order))

    def _order(self) -> dict:
        return {
            "period_id": self.get_object().pk,
            "actor": self.actor,
            "expected_version": self.expected_version(),
        }


class TrialBalanceView(ServiceViewSet):
    """The trial balance of a selling entity: debits and credits per account and currency."""

    action_permissions = {"trial_balance": queries.VIEW_ACCOUNT}
    query_serializers = {"trial_balance": serializers.TrialBalanceQuery}
    serializer_class = serializers.TrialBalanceRead

    def get_queryset(self):
        return entities.entities_for(self.request.user, queries.VIEW_ACCOUNT)

    @extend_schema(parameters=[serializers.TrialBalanceQuery], responses=serializers.TrialBalanceRead)
    def trial_balance(self, request):
        asked = self.query()
        entity = get_object_or_404(self.get_queryset(), pk=asked["entity"])
        rows = queries.trial_balance(entity.pk, as_of=asked.get("as_of"), currency=asked.get("currency", ""))
        totals = [
            {
                "currency": currency,
                "debit": total_of([row.debit for row in rows if row.currency == currency]),
                "credit": total_of([row.credit for row in rows if row.currency == currency]),
            }
            for currency in sorted({row.currency for row in rows})
        ]
        said = {"entity": entity.pk, "as_of": asked.get("as_of"), "accounts": rows, "totals": totals}
        return Response(serializers.TrialBalanceRead(said).data)
