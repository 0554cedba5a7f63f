"""Products, plans and prices in the console: looked at freely, changed by actions, tried out with a quantity."""

from datetime import date
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from unfold.admin import TabularInline
from unfold.decorators import action, display

from billing.entities.queries import today_at
from billing.kernel.console.actions import ConsoleAction, actor_of
from billing.kernel.console.base import ReadOnlyAdmin
from billing.kernel.console.forms import styled
from billing.kernel.errors import DomainError
from billing.subscriptions import console_catalogue as console
from billing.subscriptions import (
    console_licenses,  # noqa: F401  registers its pages
    console_subscriptions,  # noqa: F401  and this its own
    picture,
    queries,
    quoting,
    services,
)
from billing.subscriptions.models import Plan, PlanItem, Price, Product

TABLES = "admin/tables.html"
NO_PRICE = "This product has no price yet. Press “Add price…” on its page, then come back."


class GLCodeForm(forms.Form):
    gl_code = forms.CharField(max_length=64, required=False)


def _add_product_price(request, product, *, plan, **terms):
    services.add_price(
        actor=actor_of(request), product_id=product.pk, plan_id=plan.pk if plan else None, **terms
    )


def _add_plan_price(request, plan, *, product, **terms):
    services.add_price(actor=actor_of(request), product_id=product.pk, plan_id=plan.pk, **terms)


def _update(**fixed):
    def run(request, product, **changes):
        services.update_product(actor=actor_of(request), product_id=product.pk, changes=fixed | changes)

    return run


def _update_plan(**fixed):
    def run(request, plan, **changes):
        services.update_plan(actor=actor_of(request), plan_id=plan.pk, changes=fixed | changes)

    return run


class ShowsPrice:
    @display(description="Price")
    def shown_price(self, price):
        return console.price_in_words(price)

    @display(description="Model", ordering="model")
    def shown_model(self, price):
        return price.get_model_display()

    @display(description="On plan", ordering="plan")
    def on_plan(self, price):
        return price.plan.code if price.plan_id else "– (list)"


class _Rows(TabularInline):
    """Rows to look at, for whoever may see them."""

    hide_title = True
    extra = 0
    can_delete = False
    view_permission = ""

    def has_view_permission(self, request, obj=None):
        return request.user.has_perm(self.view_permission)

    def has_add_permission(self, request, obj=None):
        return False

    def has_change_permission(self, request, obj=None):
        return False


class PriceInline(ShowsPrice, _Rows):
    model = Price
    view_permission = "subscriptions.view_price"
    fields = readonly_fields = ("on_plan", "number", "currency", "shown_model", "shown_price", "starts_on")
    ordering = ("plan", "currency", "-number")

    def get_queryset(self, request):
        return super().get_queryset(request).select_related("plan")


class PlanPriceInline(ShowsPrice, _Rows):
    model = Price
    view_permission = "subscriptions.view_price"
    fields = readonly_fields = ("product", "number", "currency", "shown_model", "shown_price", "starts_on")
    ordering = ("product__code", "currency", "-number")

    def get_queryset(self, request):
        return super().get_queryset(request).select_related("product")


class PlanItemInline(_Rows):
    model = PlanItem
    view_permission = "subscriptions.view_plan"
    fields = readonly_fields = ("position", "product", "timing", "basis")
    ordering = ("position",)

    def get_queryset(self, request):
        return super().get_queryset(request).select_related("product")


@admin.register(Product)
class ProductAdmin(ReadOnlyAdmin):
    list_display = ("code", "name", "entity", "unit", "tax_category", "is_goods", "gl_code", "is_active")
    list_filter = ("is_active", "tax_category")
    search_fields = ("code", "name", "gl_code")
    list_select_related = ("entity",)
    ordering = ("code",)
    inlines = (PriceInline,)
    actions_detail = ("try_quantity",)
    console_actions = (
        ConsoleAction(
            name="add_price",
            description="Add price…",
            effect="A new version of its price, of the list or on a plan, is added.",
            permission="subscriptions.create_price",
            form=console.ProductPriceForm,
            prepare=console.offer_plans,
            run=_add_product_price,
            icon="sell",
        ),
        ConsoleAction(
            name="change_gl_code",
            description="Change GL code…",
            effect="The GL code of what is billed from now on changes.",
            permission="subscriptions.update_product",
            form=GLCodeForm,
            run=_update(),
            icon="edit",
        ),
        ConsoleAction(
            name="sell_as_goods",
            description="Sell as goods",
            effect="From now on invoices tax it as goods that are sent to the customer, and no longer as a service.",
            permission="subscriptions.update_product",
            run=_update(is_goods=True),
            icon="package_2",
            applies=lambda product: not product.is_goods,
        ),
        ConsoleAction(
            name="sell_as_service",
            description="Sell as a service",
            effect="From now on invoices tax it as a service, and no longer as goods that are sent to the customer.",
            permission="subscriptions.update_product",
            run=_update(is_goods=False),
            icon="build",
            applies=lambda product: product.is_goods,
        ),
        ConsoleAction(
            name="stop_selling",
            description="Stop selling",
            effect="There are no new sales of it.",
            permission="subscriptions.update_product",
            run=_update(is_active=False),
            icon="block",
            danger=True,
            applies=lambda product: product.is_active,
        ),
        ConsoleAction(
            name="sell_again",
            description="Sell again",
            effect="It is on sale again.",
            permission="subscriptions.update_product",
            run=_update(is_active=True),
            applies=lambda product: not product.is_active,
        ),
    )

    def scope(self, request, queryset):
        return queryset.filter(pk__in=queries.products_for(request.user))

    def has_try_quantity_permission(self, request, object_id=None):
        return request.user.has_perm("subscriptions.view_price")

    @action(
        description="Try a quantity…",
        url_path="try-quantity",
        icon="calculate",
        permissions=["try_quantity"],
    )
    def try_quantity(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """What a quantity would cost, with a picture of the price around it. Nothing is written."""
        product = self.get_object(request, unquote(object_id))
        if product is None:
            raise Http404
        given = _asked(request, product, today_at(product.entity))
        form = given and console.QuoteForm(
            given, product=product, codes=list(queries.currencies_of(product.pk))
        )
        context = {
            **self.admin_site.each_context(request),
            "title": f"Try a quantity: {product}",
            "opts": self.opts,
            "form": form and styled(form),
            "product": product,
            "no_price": NO_PRICE,
            "back": reverse("admin:subscriptions_product_change", args=[product.pk]),
            **(_shown_quote(product, form) if form and form.is_valid() else {}),
        }
        return TemplateResponse(request, "admin/subscriptions/quote.html", context)


def _asked(request: HttpRequest, product: Product, today: date) -> dict | None:
    """What was asked for; at first, a telling quantity at the first price of the product. None without one."""
    if "quantity" in request.GET:
        return request.GET
    price = queries.prices_in_force([product.pk], today).first() or product.prices.first()
    if price is None:
        return None
    return {
        "quantity": f"{quoting.furthest_of(price.terms).normalize():f}",
        "currency": price.currency,
        "on": str(max(today, price.starts_on)),
        "plan": str(price.plan_id or ""),
    }


def _shown_quote(product: Product, form: console.QuoteForm) -> dict:
    try:
        quoted = quoting.quote(product, **form.cleaned_data)
    except DomainError as refusal:
        form.add_error(None, refusal.detail)
        return {}
    points = quoting.curve(quoted)
    steps, amounts = console.quote_tables(quoted, console.telling_quantities(quoted, points[-1][0]))
    price = quoted.price
    return {
        "amount": console.shown_money(quoted.amount, price.currency),
        "exact": f"{quoted.exact_amount.normalize():,f} {price.currency}",
        "price": price,
        "price_link": reverse("admin:subscriptions_price_change", args=[price.pk]),
        "in_words": console.price_in_words(price),
        "picture": picture.draw(
            points,
            edges=quoting.edges_of(price.terms),
            asked=(quoted.quantity, quoted.exact_amount),
        ),
        "unit": product.unit,
        "amounts": amounts,
        "tables": [steps, *console.tier_table(price)],
    }


@admin.register(Plan)
class PlanAdmin(ReadOnlyAdmin):
    empty_hint = "Create products first; a plan bundles them at its own prices."
    list_display = ("code", "name", "entity", "billed", "trial_days", "is_active")
    list_filter = ("is_active", "interval")
    search_fields = ("code", "name")
    list_select_related = ("entity",)
    ordering = ("code",)
    fields = (
        ("code", "name", "entity"),
        ("billed", "trial_days", "is_active"),
        "metadata",
        ("created_at", "updated_at"),
    )
    readonly_fields = ("billed", "created_at", "updated_at")
    inlines = (PlanItemInline, PlanPriceInline)
    change_form_before_template = TABLES  # what is missing is told first
    console_actions = (
        ConsoleAction(
            name="add_price",
            description="Add price…",
            effect="A new version of the price of one of its products is added.",
            permission="subscriptions.create_price",
            form=console.PlanPriceForm,
            prepare=console.offer_products,
            run=_add_plan_price,
            icon="sell",
        ),
        ConsoleAction(
            name="change_plan",
            description="Change…",
            effect="Subscriptions from now on have another name or trial; running ones keep theirs.",
            permission="subscriptions.update_plan",
            form=console.PlanChangeForm,
            prepare=console.show_as_it_is,
            run=_update_plan(),
            icon="edit",
        ),
        ConsoleAction(
            name="stop_offering",
            description="Stop offering",
            effect="Nobody new can subscribe; running subscriptions go on.",
            permission="subscriptions.update_plan",
            run=_update_plan(is_active=False),
            icon="block",
            danger=True,
            applies=lambda plan: plan.is_active,
        ),
        ConsoleAction(
            name="offer_again",
            description="Offer again",
            effect="It is on offer again.",
            permission="subscriptions.update_plan",
            run=_update_plan(is_active=True),
            applies=lambda plan: not plan.is_active,
        ),
    )

    def scope(self, request, queryset):
        return queryset.filter(pk__in=queries.plans_for(request.user))

    def has_add_permission(self, request, *args):
        return request.user.has_perm("subscriptions.create_plan")

    def add_view(self, request: HttpRequest, form_url="", extra_context=None) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        asked = request.POST if request.method == "POST" else None
        form = console.PlanForm(asked, user=request.user)
        items = console.ItemForms(
            asked, prefix="items", form_kwargs={"products": console.sold_products(request.user)}
        )
        if asked and all([form.is_valid(), items.is_valid()]):
            try:
                plan = _create_plan(request, items=items, **form.cleaned_data)
            except DomainError as refusal:
                form.add_error(None, refusal.detail)
            else:
                self.message_user(
                    request, f"{plan}: made. Now give each product its price on it.", messages.SUCCESS
                )
                return HttpResponseRedirect(reverse("admin:subscriptions_plan_change", args=[plan.pk]))
        context = {
            **self.admin_site.each_context(request),
            "title": "New plan",
            "opts": self.opts,
            "form": styled(form),
            "items": items,
            "row_count": console.ITEM_ROWS,
            "rows": [styled(item) for item in items],
            "back": reverse("admin:subscriptions_plan_changelist"),
        }
        return TemplateResponse(request, "admin/subscriptions/plan_form.html", context)

    def change_view(self, request, object_id, form_url="", extra_context=None):
        plan = self.get_object(request, unquote(object_id))
        tables = []
        if plan is not None and request.user.has_perm("subscriptions.view_price"):
            tables = [console.offer_table(plan, on=today_at(plan.entity))]
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), "tables": tables})

    @display(description="Billed every")
    def billed(self, plan):
        return plan.interval if plan.interval_count == 1 else f"{plan.interval_count} {plan.interval}s"


def _create_plan(request: HttpRequest, *, items, seller, **terms) -> Plan:
    chosen = [item.cleaned_data for item in items if item.cleaned_data.get("product")]
    return services.create_plan(
        actor=actor_of(request),
        entity_id=seller.pk,
        items=[
            {"product_id": UUID(item["product"]), "timing": item["timing"], "basis": item["basis"]}
            for item in chosen
        ],
        **terms,
    )


@admin.register(Price)
class PriceAdmin(ShowsPrice, ReadOnlyAdmin):
    fields = ("product", "on_plan", "number", "currency", "shown_model", "shown_price", "starts_on")
    readonly_fields = ("on_plan", "shown_model", "shown_price")
    list_display = ("product", "on_plan", "number", "currency", "shown_model", "shown_price", "starts_on")
    list_filter = ("currency", "model", "starts_on", ("plan", admin.EmptyFieldListFilter))
    search_fields = ("product__code", "product__name", "plan__code")
    search_help_text = "Code or name of the product, or code of the plan"
    list_select_related = ("product", "plan")
    ordering = ("-id",)
    change_form_after_template = TABLES

    def scope(self, request, queryset):
        return queryset.filter(pk__in=queries.prices_for(request.user))

    def change_view(self, request, object_id, form_url="", extra_context=None):
        price = self.get_object(request, unquote(object_id))
        tables = console.tier_table(price) if price is not None else []
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), "tables": tables})
