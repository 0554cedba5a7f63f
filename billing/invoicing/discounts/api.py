"""Discounts of sellers, and who was granted them."""

import django_filters as filters
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.exceptions import ValidationError

from billing.access.api.permissions import require
from billing.entities.api.fields import ActingPermission, EntityField, seen_or_done
from billing.invoicing import queries, services
from billing.invoicing.models import (
    Discount,
    DiscountAmount,
    DiscountDuration,
    DiscountGrant,
    DiscountKind,
)
from billing.kernel.api.fields import (
    CurrencyCodeField,
    ExactAmountField,
    IdField,
    MoneyAmountField,
    StrictCharField,
    StrictChoiceField,
    StrictDateField,
    StrictIntegerField,
)
from billing.kernel.api.serializers import ReadSerializer, StrictSerializer
from billing.kernel.api.viewsets import ServiceViewSet

LARGEST_COUNT = 2**31 - 1


class DiscountAmountRead(ReadSerializer):
    class Meta:
        model = DiscountAmount
        fields = ("currency", "amount")
        read_only_fields = fields


class DiscountRead(ReadSerializer):
    """`redemptions`: how often it was granted. Without `products` it is off every line."""

    amounts = DiscountAmountRead(many=True, read_only=True)
    products = serializers.SerializerMethodField()

    class Meta:
        model = Discount
        fields = (
            "id",
            "seller",
            "code",
            "name",
            "kind",
            "percent",
            "amounts",
            "products",
            "duration",
            "months",
            "starts_on",
            "ends_on",
            "max_redemptions",
            "redemptions",
            "is_active",
            "version",
            "created_at",
            "updated_at",
        )
        read_only_fields = fields

    def get_products(self, discount) -> list[str]:
        return sorted(str(row.product_id) for row in discount.product_rows.all())


class DiscountAmountWrite(StrictSerializer):
    currency = CurrencyCodeField()
    amount = MoneyAmountField(above=0)


class DiscountCreate(StrictSerializer):
    """`percent` or `amounts`, as its `kind` says; `months` if it is repeating."""

    seller = EntityField()
    code = serializers.RegexField(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
    name = StrictCharField(max_length=120, help_text="As it is printed on invoices.")
    kind = StrictChoiceField(choices=DiscountKind.choices)
    percent = ExactAmountField(required=False, above=0, max_value=100)
    amounts = DiscountAmountWrite(many=True, required=False, allow_empty=False, max_length=50)
    products = serializers.ListField(
        child=IdField(), required=False, allow_empty=False, max_length=services.DISCOUNT_PRODUCTS_MAX
    )
    duration = StrictChoiceField(
        choices=DiscountDuration.choices,
        help_text="once: off one invoice. An amount that lasts is taken once a month.",
    )
    months = StrictIntegerField(required=False, min_value=1, max_value=services.DISCOUNT_MONTHS_MAX)
    starts_on = StrictDateField(help_text="The first day on which a grant can start.")
    ends_on = StrictDateField(required=False, help_text="Exclusive.")
    max_redemptions = StrictIntegerField(required=False, min_value=1, max_value=LARGEST_COUNT)

    def validate_amounts(self, given: list[dict]) -> list[dict]:
        if len({each["currency"] for each in given}) < len(given):
            raise ValidationError("A currency has one amount.")
        return given


class DiscountRetire(StrictSerializer):
    reason = StrictCharField(max_length=1000, multiline=True)


class DiscountFilter(filters.FilterSet):
    seller = filters.UUIDFilter(field_name="seller_id")
    code = filters.CharFilter(lookup_expr="iexact")
    is_active = filters.BooleanFilter()

    class Meta:
        model = Discount
        fields = ()


class DiscountViewSet(ActingPermission, ServiceViewSet):
    """What sellers take off their prices, before tax."""

    serializer_class = DiscountRead
    filterset_class = DiscountFilter
    lookup_url_kwarg = "discount_id"
    ordering_fields = ("created_at", "code", "starts_on")
    search_fields = ("code", "name")
    action_permissions = {
        "list": queries.VIEW_DISCOUNT,
        "retrieve": queries.VIEW_DISCOUNT,
        "create": "invoicing.create_discount",
        "retire": "invoicing.retire_discount",
    }

    def get_queryset(self):
        discounts = seen_or_done(queries.discounts_for, self, queries.VIEW_DISCOUNT)
        return discounts.prefetch_related("amounts", "product_rows")

    def create(self, request):
        order = self.parse(DiscountCreate)
        seller = order.pop("seller")
        require(request.user, "invoicing.create_discount", seller)
        amounts = {each["currency"]: each["amount"] for each in order.pop("amounts", [])}
        discount = services.create_discount(
            actor=self.actor,
            seller_id=seller.pk,
            amounts=amounts,
            product_ids=order.pop("products", []),
            **order,
        )
        return self.reply(discount, created=True)

    @extend_schema(request=DiscountRetire)
    @action(detail=True, methods=["post"])
    def retire(self, request, discount_id):
        """It is granted to nobody any more; who has it keeps it."""
        order = self.parse(DiscountRetire)
        discount = services.retire_discount(
            actor=self.actor,
            discount_id=self.get_object().pk,
            version=self.expected_version(),
            **order,
        )
        return self.reply(discount)


class DiscountGrantRead(ReadSerializer):
    code = serializers.CharField(source="discount.code", read_only=True)

    class Meta:
        model = DiscountGrant
        fields = (
            "id",
            "discount",
            "code",
            "customer",
            "subscription",
            "starts_on",
            "ends_on",
            "version",
            "created_at",
            "updated_at",
        )
        read_only_fields = fields


class DiscountGrantCreate(StrictSerializer):
    """Off what is served from `starts_on` on. Without `subscription`: off all the customer's lines."""

    discount = IdField()
    customer = EntityField()
    subscription = IdField(required=False, source="subscription_id")
    starts_on = StrictDateField()
    ends_on = StrictDateField(required=False, help_text="Exclusive. A repeating discount ends by itself.")


class DiscountGrantEnd(StrictSerializer):
    ends_on = StrictDateField(help_text="The first day whose service is no longer discounted.")
    reason = StrictCharField(max_length=1000, multiline=True)


class DiscountGrantFilter(filters.FilterSet):
    discount = filters.UUIDFilter(field_name="discount_id")
    customer = filters.UUIDFilter(field_name="customer_id")
    subscription = filters.UUIDFilter(field_name="subscription_id")

    class Meta:
        model = DiscountGrant
        fields = ()


class DiscountGrantViewSet(ActingPermission, ServiceViewSet):
    """Who was given which discount, from when until when."""

    serializer_class = DiscountGrantRead
    filterset_class = DiscountGrantFilter
    lookup_url_kwarg = "grant_id"
    ordering_fields = ("created_at", "starts_on", "ends_on")
    search_fields = ("discount__code", "customer__name", "customer__code")
    idempotency_required_actions = frozenset({"create"})
    action_permissions = {
        "list": queries.VIEW_DISCOUNT_GRANT,
        "retrieve": queries.VIEW_DISCOUNT_GRANT,
        "create": "invoicing.grant_discount",
        "end": "invoicing.grant_discount",
    }

    def get_queryset(self):
        return seen_or_done(queries.discount_grants_for, self, queries.VIEW_DISCOUNT_GRANT)

    def create(self, request):
        order = self.parse(DiscountGrantCreate)
        customer, discount_id = order.pop("customer"), order.pop("discount")
        require(request.user, "invoicing.grant_discount", customer)
        if (
            not queries.discounts_for(request.user, "invoicing.grant_discount")
            .filter(pk=discount_id)
            .exists()
        ):
            raise ValidationError({"discount": ["There is no such object."]})
        grant = services.grant_discount(
            actor=self.actor, discount_id=discount_id, customer_id=customer.pk, **order
        )
        return self.reply(grant, created=True)

    @extend_schema(request=DiscountGrantEnd)
    @action(detail=True, methods=["post"])
    def end(self, request, grant_id):
        """It ends on a day before the one on which it would. What is issued stays as it is."""
        order = self.parse(DiscountGrantEnd)
        grant = services.end_discount_grant(
            actor=self.actor, grant_id=self.get_object().pk, version=self.expected_version(), **order
        )
        return self.reply(grant)
