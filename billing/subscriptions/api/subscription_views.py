"""Subscriptions: a preview answers what the operation would charge; the operation charges exactly that."""

from datetime import date
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.exceptions import ValidationError
from rest_framework.generics import get_object_or_404
from rest_framework.response import Response

from billing.access.api.permissions import require
from billing.entities import queries as entities
from billing.entities.api.fields import ActingPermission, seen_or_done
from billing.entities.api.serializers import EntityBrief
from billing.entities.models import BillingEntity
from billing.kernel.api.viewsets import ServiceViewSet
from billing.subscriptions import queries, services
from billing.subscriptions.api import subscription_serializers as serializers
from billing.subscriptions.api.subscription_filters import ChargeFilter, SubscriptionFilter
from billing.subscriptions.models import Subscription, SubscriptionItem, SubscriptionPeriod

CREATE = "subscriptions.create_subscription"
CHANGE = "subscriptions.change_subscription_terms"
PAUSE = "subscriptions.pause_subscription"
CANCEL = "subscriptions.cancel_subscription"


class SubscriptionViewSet(ActingPermission, ServiceViewSet):
    """A preview needs the permission of its operation and changes nothing."""

    serializer_class = serializers.SubscriptionRead
    filterset_class = SubscriptionFilter
    lookup_url_kwarg = "subscription_id"
    ordering_fields = ("created_at", "starts_on", "next_on")
    search_fields = ("reference",)
    expandable = {"entity": EntityBrief, "plan": serializers.PlanBrief}
    expand_related = {"entity": ("select", "entity"), "plan": ("select", "plan")}
    idempotency_required_actions = frozenset({"create", "change", "pause", "resume", "cancel"})
    action_permissions = {
        "list": queries.VIEW_SUBSCRIPTION,
        "retrieve": queries.VIEW_SUBSCRIPTION,
        "create": CREATE,
        "preview": CREATE,
        "partial_update": CHANGE,
        "change": CHANGE,
        "preview_change": CHANGE,
        "withdraw_change": CHANGE,
        "pause": PAUSE,
        "resume": PAUSE,
        "preview_pause": PAUSE,
        "preview_resume": PAUSE,
        "cancel": CANCEL,
        "preview_cancel": CANCEL,
    }

    def get_queryset(self):
        return queries.with_standing(seen_or_done(queries.subscriptions_for, self, queries.VIEW_SUBSCRIPTION))

    def create(self, request):
        terms = self._terms(self.parse(serializers.SubscriptionTerms))
        return self.reply(services.create_subscription(actor=self.actor, **terms), created=True)

    @extend_schema(request=serializers.SubscriptionTerms, responses=serializers.SubscriptionPreview)
    @action(detail=False, methods=["post"])
    def preview(self, request):
        terms = self._terms(self.parse(serializers.SubscriptionTerms))
        return _shown(services.preview_subscription(**terms))

    def partial_update(self, request, subscription_id):
        """Its metadata; everything else has an operation of its own."""
        subscription = services.update_subscription(
            actor=self.actor,
            subscription_id=self.get_object().pk,
            changes=self.parse(serializers.SubscriptionUpdate, partial=True),
            version=self.expected_version(),
        )
        return self.reply(subscription)

    @action(detail=True, methods=["post"])
    def change(self, request, subscription_id):
        order = self.parse(serializers.ChangeTerms)
        subscription = self.get_object()
        services.change_subscription(
            actor=self.actor, version=self.expected_version(), **self._change_of(subscription, order)
        )
        return self.reply(subscription)

    @extend_schema(request=serializers.ChangeTerms, responses=serializers.SubscriptionPreview)
    @action(detail=True, methods=["post"], url_path="preview-change")
    def preview_change(self, request, subscription_id):
        order = self.parse(serializers.ChangeTerms)
        return _shown(services.preview_change(**self._change_of(self.get_object(), order)))

    @action(detail=True, methods=["post"], url_path="withdraw-change")
    def withdraw_change(self, request, subscription_id):
        """Take back what is scheduled for the end of the period: a change, or the cancellation."""
        subscription = self.get_object()
        services.withdraw_change(
            actor=self.actor,
            subscription_id=subscription.pk,
            as_of=entities.today_at(subscription.entity),
            version=self.expected_version(),
        )
        return self.reply(subscription)

    @action(detail=True, methods=["post"])
    def pause(self, request, subscription_id):
        order = self.parse(serializers.OnDay)
        subscription = self.get_object()
        services.pause_subscription(
            actor=self.actor, version=self.expected_version(), **_on(subscription, order)
        )
        return self.reply(subscription)

    @action(detail=True, methods=["post"])
    def resume(self, request, subscription_id):
        order = self.parse(serializers.OnDay)
        subscription = self.get_object()
        services.resume_subscription(
            actor=self.actor, version=self.expected_version(), **_on(subscription, order)
        )
        return self.reply(subscription)

    @extend_schema(request=serializers.OnDay, responses=serializers.SubscriptionPreview)
    @action(detail=True, methods=["post"], url_path="preview-pause")
    def preview_pause(self, request, subscription_id):
        order = self.parse(serializers.OnDay)
        return _shown(services.preview_pause(**_on(self.get_object(), order)))

    @extend_schema(request=serializers.OnDay, responses=serializers.SubscriptionPreview)
    @action(detail=True, methods=["post"], url_path="preview-resume")
    def preview_resume(self, request, subscription_id):
        order = self.parse(serializers.OnDay)
        return _shown(services.preview_resumption(**_on(self.get_object(), order)))

    @action(detail=True, methods=["post"])
    def cancel(self, request, subscription_id):
        order = self.parse(serializers.SubscriptionCancel)
        subscription = self.get_object()
        services.cancel_subscription(
            actor=self.actor, version=self.expected_version(), **_on(subscription, order)
        )
        return self.reply(subscription)

    @extend_schema(request=serializers.CancelTerms, responses=serializers.SubscriptionPreview)
    @action(detail=True, methods=["post"], url_path="preview-cancel")
    def preview_cancel(self, request, subscription_id):
        order = self.parse(serializers.CancelTerms)
        return _shown(services.preview_cancellation(**_on(self.get_object(), order)))

    def _terms(self, order: dict) -> dict:
        """As the services take them; who may not do it for this customer is refused."""
        entity = order.pop("entity")
        require(self.request.user, CREATE, entity)
        today = entities.today_at(entity)
        order.setdefault("starts_on", today)
        if department := order.pop("department", None):
            order["department_id"] = department.pk
        plan_id = self._plan(order.pop("plan"), seller=entities.seller_of(entity))
        return {"entity_id": entity.pk, "plan_id": plan_id, "as_of": today, **order}

    def _change_of(self, subscription: Subscription, order: dict) -> dict:
        if plan_id := order.pop("plan", None):
            order["plan_id"] = self._plan(plan_id, seller=subscription.seller)
        return _on(subscription, order)

    def _plan(self, plan_id: UUID, *, seller: BillingEntity | None) -> UUID:
        """A plan of the customer's seller, or one within reach that the service then refuses by name."""
        within = entities.entities_for(self.request.user, self.acting_permission)
        if not queries.plans_of(seller, also=within).filter(pk=plan_id).exists():
            raise ValidationError({"plan": [f"There is no plan {plan_id}."]})
        return plan_id


class EntitySubscriptionViewSet(ServiceViewSet):
    """The subscriptions of one entity, with those of the entities below it when asked."""

    queryset = Subscription.objects.none()  # what the schema looks at
    serializer_class = serializers.SubscriptionRead
    filterset_class = SubscriptionFilter
    ordering_fields = SubscriptionViewSet.ordering_fields
    search_fields = SubscriptionViewSet.search_fields
    expandable = SubscriptionViewSet.expandable
    expand_related = SubscriptionViewSet.expand_related
    action_permissions = {"list": queries.VIEW_SUBSCRIPTION}
    query_serializers = {"list": serializers.OfEntity}

    def get_queryset(self):
        reachable = entities.entities_for(self.request.user, queries.VIEW_SUBSCRIPTION)
        entity = get_object_or_404(reachable, pk=self.kwargs["entity_id"])
        found = queries.with_standing(queries.subscriptions_for(self.request.user))
        if self.query().get("include_descendants"):
            return found.filter(entity__path__startswith=entity.path)
        return found.filter(entity=entity)


class _PartsViewSet(ServiceViewSet):
    """What one subscription has many of."""

    action_permissions = {"list": queries.VIEW_SUBSCRIPTION}

    def subscription(self) -> Subscription:
        within = queries.subscriptions_for(self.request.user)
        return get_object_or_404(within, pk=self.kwargs["subscription_id"])


class SubscriptionItemViewSet(_PartsViewSet):
    """Every stretch of days at one price and quantity."""

    queryset = SubscriptionItem.objects.none()
    serializer_class = serializers.SubscriptionItemRead
    ordering = ("starts_on", "pk")

    def get_queryset(self):
        return queries.items_of(self.subscription())


class SubscriptionPeriodViewSet(_PartsViewSet):
    queryset = SubscriptionPeriod.objects.none()
    serializer_class = serializers.SubscriptionPeriodRead
    ordering = "-starts_on"

    def get_queryset(self):
        return self.subscription().periods.all()


class SubscriptionChargeViewSet(_PartsViewSet):
    """What it owes and gets back, as its prices tell it; invoicing puts each on one line."""

    serializer_class = serializers.SubscriptionChargeRead
    filterset_class = ChargeFilter

    def get_queryset(self):
        return queries.charges_for(self.request.user).filter(subscription=self.subscription())


def _on(subscription: Subscription, order: dict) -> dict:
    return {"subscription_id": subscription.pk, "as_of": _today(subscription), **order}


def _today(subscription: Subscription) -> date:
    return entities.today_at(subscription.entity)


def _shown(preview: services.Preview) -> Response:
    return Response(serializers.SubscriptionPreview(preview).data)
