"""Discounts and their grants in the console."""

from datetime import timedelta
from decimal import Decimal, InvalidOperation

from django import forms
from django.contrib import admin
from unfold.decorators import display

from billing.access.creating import CreatesByService, ScopedForm
from billing.access.models import User
from billing.entities.models import BillingEntity
from billing.entities.queries import entities_for
from billing.invoicing import queries, services
from billing.invoicing.models import Discount, DiscountGrant, DiscountKind
from billing.kernel.console import tables
from billing.kernel.console.actions import ConsoleAction, actor_of
from billing.kernel.console.base import ReadOnlyAdmin
from billing.kernel.console.forms import ReasonForm, today
from billing.subscriptions.models import Product, Subscription
from billing.subscriptions.queries import products_for, subscriptions_for

DAY = {"widget": forms.DateInput()}
CREATE, GRANT = "invoicing.create_discount", "invoicing.grant_discount"


class DiscountForm(ScopedForm):
    seller = forms.ModelChoiceField(BillingEntity.objects.none())
    amounts = forms.CharField(
        required=False,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="Of an amount: one line for each currency, such as 10.00 EUR.",
    )
    products = forms.ModelMultipleChoiceField(
        Product.objects.none(), required=False, help_text="None: it is off every line."
    )
    starts_on = forms.DateField(**DAY, initial=today, help_text="The first day on which it can be granted.")
    ends_on = forms.DateField(**DAY, required=False, help_text="The first day on which it can't any more.")

    class Meta:
        model = Discount
        fields = (
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
        )

    def limit_to(self, user: User) -> None:
        sellers = entities_for(user, CREATE).filter(is_seller=True).order_by("code")
        self.fields["seller"].queryset = sellers
        self.fields["seller"].initial = sellers.first()
        self.fields["products"].queryset = products_for(user, CREATE).filter(is_active=True).order_by("code")
        for name in ("percent", "months", "max_redemptions"):
            self.fields[name].required = False

    def clean_amounts(self) -> dict[str, Decimal]:
        found = {}
        for line in self.cleaned_data["amounts"].splitlines():
            try:
                amount, currency = line.split()
                found[currency] = Decimal(amount)
            except (ValueError, InvalidOperation):
                raise forms.ValidationError(f"'{line}' is not an amount such as 10.00 EUR.") from None
        return found


def _retire(request, discount, *, reason):
    services.retire_discount(actor=actor_of(request), discount_id=discount.pk, reason=reason)


@admin.register(Discount)
class DiscountAdmin(CreatesByService, ReadOnlyAdmin):
    empty_hint = "Create a discount first, then grant it to customers."
    creates = CREATE
    create_form = DiscountForm
    list_display = ("code", "name", "seller", "worth", "lasts", "redemptions", "is_active")
    list_filter = ("kind", "duration", "is_active")
    list_select_related = ("seller",)
    search_fields = ("code", "name")
    ordering = ("seller__code", "code")
    fields = (
        ("seller", "code", "name"),
        ("worth", "lasts", "covers"),
        ("starts_on", "ends_on", "is_active"),
        ("redemptions", "max_redemptions"),
    )
    readonly_fields = ("worth", "lasts", "covers")
    console_actions = (
        ConsoleAction(
            name="retire",
            description="Retire…",
            effect="It is granted to nobody any more. Who has it keeps it.",
            permission="invoicing.retire_discount",
            run=_retire,
            form=ReasonForm,
            icon="block",
            danger=True,
            applies=lambda discount: discount.is_active,
        ),
    )

    def get_queryset(self, request):
        discounts = queries.discounts_for(request.user).prefetch_related("amounts", "product_rows__product")
        return discounts.order_by(*self.ordering)

    def create(self, request, given):
        seller, products = given.pop("seller"), given.pop("products")
        return services.create_discount(
            actor=actor_of(request),
            seller_id=seller.pk,
            product_ids=[product.pk for product in products],
            **given,
        )

    @display(description="Off")
    def worth(self, discount):
        if discount.kind == DiscountKind.PERCENT:
            return f"{tables.number(discount.percent)} %"
        amounts = sorted(discount.amounts.all(), key=lambda each: each.currency)
        return ", ".join(tables.money(each.amount, each.currency) for each in amounts)

    @display(description="How long")
    def lasts(self, discount):
        return f"{discount.months} months" if discount.months else discount.get_duration_display()

    @display(description="Of")
    def covers(self, discount):
        products = sorted(str(row.product) for row in discount.product_rows.all())
        return ", ".join(products) or "everything"


class GrantForm(ScopedForm):
    discount = forms.ModelChoiceField(Discount.objects.none())
    customer = forms.ModelChoiceField(BillingEntity.objects.none())
    subscription = forms.ModelChoiceField(
        Subscription.objects.none(), required=False, help_text="None: it is off all the customer's lines."
    )
    starts_on = forms.DateField(**DAY, initial=today, help_text="Off what is served from this day on.")
    ends_on = forms.DateField(
        **DAY, required=False, help_text="The first day it is not. Repeating ones end by themselves."
    )

    class Meta:
        model = DiscountGrant
        fields = ("discount", "customer", "subscription", "starts_on", "ends_on")

    def limit_to(self, user: User) -> None:
        discounts = queries.discounts_for(user, GRANT).filter(is_active=True)
        self.fields["discount"].queryset = discounts.order_by("code")
        self.fields["customer"].queryset = entities_for(user, GRANT).order_by("code")
        subscribed = subscriptions_for(user, GRANT).select_related("plan", "entity")
        self.fields["subscription"].queryset = subscribed.order_by("entity__code", "pk")


class EndGrantForm(forms.Form):
    ends_on = forms.DateField(
        **DAY, initial=today, help_text="The first day whose service is not discounted."
    )
    reason = forms.CharField(max_length=1000, widget=forms.Textarea(attrs={"rows": 3}))


def _end(request, grant, *, ends_on, reason):
    services.end_discount_grant(actor=actor_of(request), grant_id=grant.pk, ends_on=ends_on, reason=reason)


@admin.register(DiscountGrant)
class DiscountGrantAdmin(CreatesByService, ReadOnlyAdmin):
    empty_hint = "Grant a discount to a customer, and it is taken off what is drafted from then on."
    creates = GRANT
    create_form = GrantForm
    list_display = ("discount", "customer", "subscription", "starts_on", "shown_end")
    list_select_related = ("discount", "customer", "subscription__plan", "subscription__entity")
    search_fields = ("discount__code", "customer__code", "customer__name")
    ordering = ("customer__code", "-starts_on")
    fields = (("discount", "customer", "subscription"), ("starts_on", "shown_end"), "created_at")
    readonly_fields = ("shown_end", "created_at")
    console_actions = (
        ConsoleAction(
            name="end",
            description="End…",
            effect="What is served from that day on is at full price again. What is issued stays.",
            permission=GRANT,
            run=_end,
            form=EndGrantForm,
            icon="event_busy",
        ),
    )

    def get_queryset(self, request):
        grants = queries.discount_grants_for(request.user)
        return grants.select_related(*self.list_select_related).order_by(*self.ordering)

    def create(self, request, given):
        discount, customer, subscription = (
            given.pop("discount"),
            given.pop("customer"),
            given.pop("subscription"),
        )
        return services.grant_discount(
            actor=actor_of(request),
            discount_id=discount.pk,
            customer_id=customer.pk,
            subscription_id=subscription.pk if subscription else None,
            **given,
        )

    @display(description="Last day", ordering="ends_on")
    def shown_end(self, grant):
        return grant.ends_on - timedelta(days=1) if grant.ends_on else "until further notice"
