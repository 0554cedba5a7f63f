from decimal import Decimal

from django import forms
from django.contrib import admin
from unfold.admin import TabularInline
from unfold.decorators import display

from billing.kernel.admin import ReadOnlyAdmin
from billing.kernel.adminverbs import AdminVerb, actor_of
from billing.kernel.money import plain
from billing.subscriptions import (
    console_licenses,  # noqa: F401  registers its pages
    queries,
    services,
)
from billing.subscriptions.models import Price, PriceModel, Product


class PriceForm(forms.Form):
    currency = forms.CharField(min_length=3, max_length=3)
    model = forms.ChoiceField(choices=PriceModel.choices)
    unit_price = forms.DecimalField(required=False, max_digits=28, decimal_places=12, min_value=Decimal(0))
    markup_percent = forms.DecimalField(required=False, max_digits=28, decimal_places=12)
    starts_on = forms.DateField(widget=forms.DateInput)


class GLCodeForm(forms.Form):
    gl_code = forms.CharField(max_length=64, required=False)


def _add_price(request, product, **terms):
    services.add_price(actor=actor_of(request), product_id=product.pk, **terms)


def _update(**fixed):
    def run(request, product, **changes):
        services.update_product(actor=actor_of(request), product_id=product.pk, changes=fixed | changes)

    return run


class ShowsPrice:
    @display(description="Price")
    def shown_price(self, price):
        if price.unit_price is None:
            return f"cost + {plain(price.markup_percent)} %"
        return f"{plain(price.unit_price)} {price.currency}"


class PriceInline(ShowsPrice, TabularInline):
    model = Price
    fields = readonly_fields = ("number", "currency", "model", "shown_price", "starts_on")
    hide_title = True
    ordering = ("currency", "-number")
    extra = 0
    can_delete = False

    def has_view_permission(self, request, obj=None):
        return request.user.has_perm("subscriptions.view_price")

    def has_add_permission(self, request, obj=None):
        return False

    def has_change_permission(self, request, obj=None):
        return False


@admin.register(Product)
class ProductAdmin(ReadOnlyAdmin):
    list_display = ("code", "name", "entity", "unit", "tax_category", "gl_code", "is_active")
    list_filter = ("is_active", "tax_category")
    search_fields = ("code", "name", "gl_code")
    list_select_related = ("entity",)
    ordering = ("code",)
    inlines = (PriceInline,)
    verbs = (
        AdminVerb(
            name="add_price",
            description="Add price…",
            effect="A new version of the price is added to",
            permission="subscriptions.create_price",
            form=PriceForm,
            run=_add_price,
            icon="sell",
        ),
        AdminVerb(
            name="change_gl_code",
            description="Change GL code…",
            effect="The GL code of what is billed from now on changes for",
            permission="subscriptions.update_product",
            form=GLCodeForm,
            run=_update(),
            icon="edit",
        ),
        AdminVerb(
            name="stop_selling",
            description="Stop selling",
            effect="No new sales of",
            permission="subscriptions.update_product",
            run=_update(is_active=False),
            icon="block",
            danger=True,
            applies=lambda product: product.is_active,
        ),
        AdminVerb(
            name="sell_again",
            description="Sell again",
            effect="On sale again:",
            permission="subscriptions.update_product",
            run=_update(is_active=True),
            applies=lambda product: not product.is_active,
        ),
    )

    def scope(self, request, queryset):
        return queryset.filter(pk__in=queries.products_for(request.user))


@admin.register(Price)
class PriceAdmin(ShowsPrice, ReadOnlyAdmin):
    fields = ("product", "number", "currency", "model", "shown_price", "starts_on")
    readonly_fields = ("shown_price",)
    list_display = ("product", "number", "currency", "model", "shown_price", "starts_on")
    list_filter = ("currency", "model", "starts_on")
    search_fields = ("product__code", "product__name")
    list_select_related = ("product",)
    ordering = ("-id",)

    def scope(self, request, queryset):
        return queryset.filter(pk__in=queries.prices_for(request.user))
