from drf_spectacular.utils import extend_schema
from rest_framework.generics import get_object_or_404

from billing.access.permissions import require
from billing.entities.api.fields import ActingVerb
from billing.kernel.api.viewsets import ServiceViewSet
from billing.subscriptions import queries, services
from billing.subscriptions.api import serializers
from billing.subscriptions.api.filters import PriceFilter, ProductFilter


class ProductViewSet(ActingVerb, ServiceViewSet):
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
        verb = self.action_permissions[self.action]
        return queries.prices_for(self.request.user, verb).filter(product=self.product())

    def product(self):
        verb = self.action_permissions[self.action]
        return get_object_or_404(queries.products_for(self.request.user, verb), pk=self.kwargs["product_id"])

    @extend_schema(request=serializers.PriceCreate, responses={201: serializers.PriceRead})
    def create(self, request, product_id):
        product = self.product()
        price = services.add_price(
            actor=self.actor, product_id=product.pk, **self.parse(serializers.PriceCreate)
        )
        return self.reply(price, created=True)
