from drf_spectacular.utils import extend_schema
from rest_framework.generics import get_object_or_404
from rest_framework.response import Response

from billing.access.api.permissions import require
from billing.entities.api.fields import ActingPermission
from billing.entities.queries import today_at
from billing.kernel.api.viewsets import ServiceView, ServiceViewSet
from billing.subscriptions import queries, quoting, services
from billing.subscriptions.api import serializers
from billing.subscriptions.api.filters import PlanFilter, PriceFilter, ProductFilter


class ProductViewSet(ActingPermission, ServiceViewSet):
    serializer_class = serializers.ProductRead
    filterset_class = ProductFilter
    search_fields = ("code", "name")
    ordering_fields = ("code", "created_at")
    lookup_url_kwarg = "product_id"
    action_permissions = {
        "list": "subscriptions.view_product",
        "retrieve": "subscriptions.view_product",
        "create": "subscriptions.create_product",
        "update": "subscriptions.update_product",
        "partial_update": "subscriptions.update_product",
    }

    def get_queryset(self):
        return queries.products_for(self.request.user, self.action_permissions[self.action])

    @extend_schema(request=serializers.ProductCreate, responses={201: serializers.ProductRead})
    def create(self, request):
        terms = self.parse(serializers.ProductCreate)
        seller = terms.pop("entity")
        require(request.user, "subscriptions.create_product", seller)
        product = services.create_product(actor=self.actor, entity_id=seller.pk, **terms)
        return self.reply(product, created=True)

    @extend_schema(request=serializers.ProductUpdate, responses=serializers.ProductRead)
    def update(self, request, product_id, partial=False):
        product = services.update_product(
            actor=self.actor,
            product_id=self.get_object().pk,
            changes=self.parse(serializers.ProductUpdate, partial=partial),
            version=self.expected_version(),
        )
        return self.reply(product)

    @extend_schema(request=serializers.ProductUpdate(partial=True), responses=serializers.ProductRead)
    def partial_update(self, request, product_id):
        return self.update(request, product_id, partial=True)


class ProductPriceViewSet(ServiceViewSet):
    """The versions of one product's price."""

    serializer_class = serializers.PriceRead
    filterset_class = PriceFilter
    ordering = "-starts_on"
    lookup_url_kwarg = "price_id"
    action_permissions = {
        "list": "subscriptions.view_price",
        "retrieve": "subscriptions.view_price",
        "create": "subscriptions.create_price",
    }

    def get_queryset(self):
        permission = self.action_permissions[self.action]
        return queries.prices_for(self.request.user, permission).filter(product=self.product())

    def product(self):
        permission = self.action_permissions[self.action]
        return get_object_or_404(
            queries.products_for(self.request.user, permission), pk=self.kwargs["product_id"]
        )

    @extend_schema(request=serializers.PriceCreate, responses={201: serializers.PriceRead})
    def create(self, request, product_id):
        """Add the next version of the price."""
        product = self.product()
        price = services.add_price(
            actor=self.actor, product_id=product.pk, **self.parse(serializers.PriceCreate)
        )
        return self.reply(price, created=True)


class PriceQuoteView(ServiceView):
    """What a quantity would cost under the price in force, and how the amount comes about."""

    action_permissions = {"get": "subscriptions.view_price"}
    query_serializers = {"get": serializers.QuoteQuestion}

    @extend_schema(parameters=[serializers.QuoteQuestion], responses=serializers.QuoteAnswer)
    def get(self, request, product_id):
        asked = self.query()
        within = queries.products_for(request.user, "subscriptions.view_price")
        product = get_object_or_404(within, pk=product_id)
        plan, on = asked.pop("plan", None), asked.pop("on", None)
        if plan is not None:
            plans = queries.plans_for(request.user, "subscriptions.view_price")
            plan = get_object_or_404(plans.filter(entity_id=product.entity_id), pk=plan)
        quoted = quoting.quote(product, on=on or today_at(product.entity), plan=plan, **asked)
        return Response(serializers.QuoteAnswer(quoted).data)


class PlanViewSet(ActingPermission, ServiceViewSet):
    """What can be subscribed to. Prices are added to its products, with the plan named."""

    serializer_class = serializers.PlanRead
    filterset_class = PlanFilter
    search_fields = ("code", "name")
    ordering_fields = ("code", "created_at")
    lookup_url_kwarg = "plan_id"
    action_permissions = {
        "list": "subscriptions.view_plan",
        "retrieve": "subscriptions.view_plan",
        "create": "subscriptions.create_plan",
        "update": "subscriptions.update_plan",
        "partial_update": "subscriptions.update_plan",
    }

    def get_queryset(self):
        return queries.plans_for(self.request.user, self.action_permissions[self.action])

    @extend_schema(request=serializers.PlanCreate, responses={201: serializers.PlanRead})
    def create(self, request):
        terms = self.parse(serializers.PlanCreate)
        seller = terms.pop("entity")
        require(request.user, "subscriptions.create_plan", seller)
        plan = services.create_plan(actor=self.actor, entity_id=seller.pk, **terms)
        return self.reply(plan, created=True)

    @extend_schema(request=serializers.PlanUpdate, responses=serializers.PlanRead)
    def update(self, request, plan_id, partial=False):
        """Interval and items stay as they are: another offer is another plan."""
        plan = services.update_plan(
            actor=self.actor,
            plan_id=self.get_object().pk,
            changes=self.parse(serializers.PlanUpdate, partial=partial),
            version=self.expected_version(),
        )
        return self.reply(plan)

    @extend_schema(request=serializers.PlanUpdate(partial=True), responses=serializers.PlanRead)
    def partial_update(self, request, plan_id):
        return self.update(request, plan_id, partial=True)
