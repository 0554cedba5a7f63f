"""Subscriptions in the console: nothing that costs money is confirmed before it was shown."""

from datetime import date
from functools import partial

from django import forms
from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from unfold.decorators import display

from billing.access.models import User
from billing.entities import queries as entities
from billing.kernel.console.actions import ConsoleAction, actor_of
from billing.kernel.console.base import Labelled, ReadOnlyAdmin
from billing.kernel.console.forms import today
from billing.kernel.errors import NotFound
from billing.kernel.money import plain
from billing.subscriptions import queries, services
from billing.subscriptions.models import Alignment, Plan, Subscription
from billing.subscriptions.services.subscribing import TRIAL_DAYS_MAX
from billing.subscriptions.states import CHANGEABLE, SubscriptionState
from billing.subscriptions.stretches import stretches_of
from billing.subscriptions.subscription_tables import (
    days,
    next_step,
    preview_tables,
    scheduled_of,
    subscription_tables,
)

CREATE = "subscriptions.create_subscription"
CHANGE = "subscriptions.change_subscription_terms"
PAUSE = "subscriptions.pause_subscription"
CANCEL = "subscriptions.cancel_subscription"
NOW, AT_PERIOD_END = "now", "period_end"
COLOURS = {
    "trialing": "info",
    "active": "success",
    "past_due": "danger",
    "paused": "warning",
    "canceled": "default",
}
QUANTITY = {"max_digits": 28, "decimal_places": 12, "min_value": 0}


class DayForm(forms.Form):
    on = forms.DateField(
        label="From",
        required=False,
        widget=forms.DateInput(),
        help_text="Today if empty. An earlier day must lie in the open period, after the last change.",
    )


class WhenForm(DayForm):
    when = forms.ChoiceField(
        choices=[(NOW, "Now, or on the day below"), (AT_PERIOD_END, "At the end of the period")]
    )
    field_order = ("when", "on")

    def clean(self):
        given = super().clean()
        if given.get("on") and given.get("when") == AT_PERIOD_END:
            self.add_error("on", "Leave it empty for the end of the period.")
        return given


class ChangeForm(WhenForm):
    plan = forms.ModelChoiceField(
        Plan.objects.none(), required=False, empty_label="As it is", help_text="Of the same seller."
    )
    quantity = forms.DecimalField(required=False, help_text="As it is if empty.", **QUANTITY)
    use_current_prices = forms.BooleanField(
        required=False,
        help_text="Take the prices in force. Otherwise what stays on the same plan keeps the price it has.",
    )
    field_order = ("plan", "quantity", "use_current_prices", "when", "on")


class CancelForm(WhenForm):
    keep_unused = forms.BooleanField(
        required=False,
        label="No credit",
        help_text="Keep what was charged for days not used. Otherwise they are credited.",
    )
    reason = forms.CharField(max_length=1000, widget=forms.Textarea(attrs={"rows": 3}))
    field_order = ("when", "on", "keep_unused", "reason")


class SubscribeForm(forms.Form):
    customer_code = forms.CharField(max_length=64, help_text="The code of the entity that subscribes.")
    plan = forms.ModelChoiceField(Plan.objects.none(), help_text="Of the customer's seller.")
    quantity = forms.DecimalField(
        initial=1, help_text="Seats, licences, units: what the plan counts.", **QUANTITY
    )
    starts_on = forms.DateField(widget=forms.DateInput(), initial=today)
    alignment = forms.ChoiceField(
        label="Periods",
        choices=[
            (Alignment.ANNIVERSARY, "Count from the first day"),
            (Alignment.CALENDAR, "Follow the calendar; the first one is a part"),
        ],
    )
    trial_days = forms.IntegerField(
        required=False,
        min_value=0,
        max_value=TRIAL_DAYS_MAX,
        label="Days of trial",
        help_text="Those of the plan if empty; 0 for none.",
    )
    reference = forms.CharField(
        required=False, max_length=200, help_text="The customer's order number, for instance."
    )

    def __init__(self, *args, user: User, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["plan"].queryset = queries.plans_offered_to(user, CREATE)


def _offer_plans(form: ChangeForm, subscriptions: list[Subscription]) -> None:
    sellers = {subscription.seller_id for subscription in subscriptions}
    form.fields["plan"].queryset = Plan.objects.filter(entity__in=sellers, is_active=True).order_by("code")
    if len(subscriptions) == 1:
        form.fields["quantity"].help_text = f"Now {plain(subscriptions[0].quantity)}. As it is if empty."


def _day(subscription: Subscription, *, on: date | None = None) -> dict:
    today_there = entities.today_at(subscription.entity)
    return {"subscription_id": subscription.pk, "as_of": today_there, "on": on}


def _change(subscription, *, plan, quantity, use_current_prices, when, on) -> dict:
    return {
        "plan_id": plan.pk if plan else None,
        "quantity": quantity,
        "use_current_prices": use_current_prices,
        "at_period_end": when == AT_PERIOD_END,
        **_day(subscription, on=on),
    }


def _cancel(subscription, *, when, on, keep_unused) -> dict:
    return {
        "at_period_end": when == AT_PERIOD_END,
        "credit_unused": not keep_unused,
        **_day(subscription, on=on),
    }


def _preview(service, terms_of):
    def preview(request, subscription, reason=None, **given):
        return preview_tables(service(**terms_of(subscription, **given)), subject=str(subscription))

    return preview


def _run(service, terms_of):
    """Against the version the preview was made of, so that what was seen is what happens."""

    def run(request, subscription, **given):
        extra = {"reason": given.pop("reason")} if "reason" in given else {}
        service(
            actor=actor_of(request),
            version=subscription.version,
            **terms_of(subscription, **given),
            **extra,
        )

    return run


def _withdraw(request, subscription):
    services.withdraw_change(
        actor=actor_of(request),
        subscription_id=subscription.pk,
        as_of=entities.today_at(subscription.entity),
        version=subscription.version,
    )


class SubscriptionAdmin(ReadOnlyAdmin):
    empty_hint = "Create a plan with its prices first, then subscribe a customer to it."
    list_display = ("name", "entity", "plan", "shown_quantity", "shown_state", "starts_on", "next_on")
    list_filter = ("state", "plan", "currency", "starts_on")
    list_select_related = ("entity", "plan")
    search_fields = ("reference", "entity__code", "entity__name", "plan__code")
    search_help_text = "Reference, code or name of the customer, or code of the plan"
    ordering = ("-id",)
    change_form_after_template = "admin/subscriptions/subscription.html"
    fieldsets = (
        ("", {"fields": (("shown_state", "shown_next"), ("entity", "plan"), ("shown_quantity", "currency"))}),
        (
            "Days",
            {"fields": (("starts_on", "trial_ends_on"), ("current", "next_on"), ("cancels_on", "ended_on"))},
        ),
        ("More", {"fields": (("reference", "department"), ("alignment", "anchor_on"), "metadata")}),
    )
    readonly_fields = ("shown_state", "shown_next", "shown_quantity", "current")
    console_actions = (
        ConsoleAction(
            name="change_terms",
            description="Change plan or quantity…",
            effect="What is left of the old is credited by the day, and of the new charged. First look at it.",
            permission=CHANGE,
            form=ChangeForm,
            prepare=_offer_plans,
            preview=_preview(services.preview_change, _change),
            run=_run(services.change_subscription, _change),
            icon="swap_horiz",
            applies=lambda subscription: subscription.state in CHANGEABLE and not _waits(subscription),
        ),
        ConsoleAction(
            name="pause",
            description="Pause…",
            effect="Nothing recurring is charged until it is resumed; usage still is. Days paid for are credited.",
            permission=PAUSE,
            form=DayForm,
            preview=_preview(services.preview_pause, _day),
            run=_run(services.pause_subscription, _day),
            icon="pause",
            applies=lambda subscription: (
                subscription.state in {SubscriptionState.ACTIVE, SubscriptionState.PAST_DUE}
            ),
        ),
        ConsoleAction(
            name="resume",
            description="Resume…",
            effect="It is charged again, at the prices from before; of this period the days that are left.",
            permission=PAUSE,
            form=DayForm,
            preview=_preview(services.preview_resumption, _day),
            run=_run(services.resume_subscription, _day),
            icon="resume",
            applies=lambda subscription: subscription.state == SubscriptionState.PAUSED,
        ),
        ConsoleAction(
            name="withdraw",
            description="Withdraw…",
            effect="What was scheduled for the end of the period does not happen: the change, or the cancellation.",
            permission=CHANGE,
            run=_withdraw,
            icon="undo",
            applies=lambda subscription: _waits(subscription),
        ),
        ConsoleAction(
            name="cancel",
            description="Cancel…",
            effect="It ends for good, and cannot be resumed. Take Pause… for a rest.",
            permission=CANCEL,
            form=CancelForm,
            preview=_preview(services.preview_cancellation, _cancel),
            run=_run(services.cancel_subscription, _cancel),
            icon="block",
            danger=True,
            applies=lambda subscription: subscription.state != SubscriptionState.CANCELED,
        ),
    )

    def scope(self, request, queryset):
        return queryset.filter(pk__in=queries.subscriptions_for(request.user))

    def has_add_permission(self, request, *args):
        return request.user.has_perm(CREATE)

    def add_view(self, request: HttpRequest, form_url="", extra_context=None) -> HttpResponse:
        """Fill in, look at what it charges, subscribe. A second click finds its work done."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        return self.form_page(
            request,
            SubscribeForm(request.POST or None, user=request.user),
            title="Add subscription",
            explanation="Every product of the plan gets the price in force on the first day and keeps it. First look at"
            " what it charges, then confirm.",
            submit_label="Subscribe",
            save=partial(_subscribe, request),
            done=lambda subscription: f"{subscription.entity} subscribes to {subscription.plan}.",
            preview=partial(_first_charges, request),
            preview_label="Show what it charges",
        )

    def change_view(self, request, object_id, form_url="", extra_context=None):
        subscription = self.get_object(request, unquote(object_id))
        shown = _shown(subscription) if subscription is not None else {}
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **shown})

    def described(self, subscription):
        quantity = plain(subscription.quantity)
        return f"{subscription}: {subscription.plan} × {quantity}, of {subscription.entity}"

    @display(description="Subscription", ordering="reference")
    def name(self, subscription):
        return str(subscription)

    @display(description="Quantity", ordering="quantity")
    def shown_quantity(self, subscription):
        return plain(subscription.quantity)

    @display(description="State", ordering="state", label=COLOURS)
    def shown_state(self, subscription):
        return Labelled(subscription.state, SubscriptionState)

    @display(description="What happens next")
    def shown_next(self, subscription):
        return next_step(subscription, today=entities.today_at(subscription.entity))

    @display(description="Current period")
    def current(self, subscription):
        period = subscription.periods.filter(is_closed=False).first()
        return days(period.starts_on, period.ends_on) if period else "–"


admin.site.register(Subscription, SubscriptionAdmin)


def _waits(subscription: Subscription) -> bool:
    return bool(subscription.cancels_on) or scheduled_of(subscription) is not None


def _shown(subscription: Subscription) -> dict:
    today_there = entities.today_at(subscription.entity)
    return {
        "tables": subscription_tables(subscription),
        "stretches": stretches_of(
            subscription,
            queries.items_of(subscription),
            subscription.periods.all(),
            today=today_there,
        ),
    }


def _terms(request: HttpRequest, given: dict) -> dict:
    """Raises NotFound for a customer out of reach."""
    terms = {name: value for name, value in given.items() if value is not None}
    code, plan = terms.pop("customer_code"), terms.pop("plan")
    within = entities.entities_for(request.user, CREATE)
    customer = within.filter(code__iexact=code.strip()).first()
    if customer is None:
        raise NotFound(f"There is no customer {code}.")
    return {
        "entity_id": customer.pk,
        "plan_id": plan.pk,
        "as_of": entities.today_at(customer),
        **terms,
    }


def _subscribe(request: HttpRequest, **given) -> Subscription:
    return services.create_subscription(actor=actor_of(request), **_terms(request, given))


def _first_charges(request: HttpRequest, given: dict) -> list[dict]:
    terms = _terms(request, given)
    return preview_tables(services.preview_subscription(**terms), subject=given["plan"].name)
