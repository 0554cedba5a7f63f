from decimal import Decimal

from django import forms
from django.contrib import admin
from django.contrib.postgres.forms import SimpleArrayField
from django.utils import timezone
from unfold.decorators import display

from billing.kernel.console.actions import ConsoleAction, actor_of
from billing.kernel.console.base import ReadOnlyAdmin
from billing.kernel.money import plain
from billing.usage import queries, services
from billing.usage.models import (
    LatePolicy,
    Meter,
    Quota,
    QuotaAlert,
    QuotaCounter,
    QuotaMode,
    QuotaWindow,
    UsageEvent,
    usual_thresholds,
)


class QuotaForm(forms.Form):
    limit_quantity = forms.DecimalField(max_digits=28, decimal_places=12, min_value=Decimal(0))
    window = forms.ChoiceField(choices=QuotaWindow.choices, initial=QuotaWindow.MONTH)
    mode = forms.ChoiceField(choices=QuotaMode.choices, initial=QuotaMode.BLOCK)
    thresholds = SimpleArrayField(
        forms.IntegerField(min_value=1, max_value=1000),
        required=False,
        max_length=10,
        initial=usual_thresholds,
        label="Alerts at (percent)",
        help_text="Ascending, with commas between them.",
    )


class LateForm(forms.Form):
    late_policy = forms.ChoiceField(choices=LatePolicy.choices)
    late_days = forms.IntegerField(
        min_value=1, max_value=3650, required=False, help_text="For the policy that rejects after days."
    )
    allows_negative = forms.BooleanField(required=False, label="Take corrections by negative quantities")


class NearlyUsed(admin.SimpleListFilter):
    title, parameter_name = "room", "nearly_used"

    def lookups(self, request, model_admin):
        return [("yes", "Nine tenths used, or more")]

    def queryset(self, request, queryset):
        return queries.nearly_used(queryset, as_of=timezone.now()) if self.value() else queryset


def _update_meter(**changes):
    def run(request, meter):
        services.update_meter(actor=actor_of(request), meter_id=meter.pk, changes=changes)

    return run


def _change_late_policy(request, meter, **terms):
    services.update_meter(actor=actor_of(request), meter_id=meter.pk, changes=terms)


def _set_quota(request, quota, **terms):
    services.set_quota(actor=actor_of(request), entity_id=quota.entity_id, meter_id=quota.meter_id, **terms)


@admin.register(Meter)
class MeterAdmin(ReadOnlyAdmin):
    list_display = ("code", "name", "entity", "product", "aggregation", "unit", "is_active")
    list_filter = ("is_active", "aggregation", "late_policy")
    search_fields = ("code", "name")
    list_select_related = ("entity", "product")
    ordering = ("code",)
    console_actions = (
        ConsoleAction(
            name="close_meter",
            description="Take no more usage",
            effect="Its usage is rejected from now on.",
            permission="usage.update_meter",
            run=_update_meter(is_active=False),
            icon="block",
            danger=True,
            applies=lambda meter: meter.is_active,
        ),
        ConsoleAction(
            name="open_meter",
            description="Take usage again",
            effect="Its usage is accepted again.",
            permission="usage.update_meter",
            run=_update_meter(is_active=True),
            applies=lambda meter: not meter.is_active,
        ),
        ConsoleAction(
            name="change_late_policy",
            description="Late events and corrections…",
            effect="What is reported late or negative is treated differently from now on.",
            permission="usage.update_meter",
            form=LateForm,
            run=_change_late_policy,
            icon="schedule",
        ),
    )

    def scope(self, request, queryset):
        return queryset.filter(pk__in=queries.meters_for(request.user))


@admin.register(UsageEvent)
class UsageEventAdmin(ReadOnlyAdmin):
    list_display = (
        *("occurred_at", "customer", "meter", "department", "shown_quantity", "shown_cost"),
        *("billed_on", "transaction_id"),
    )
    list_filter = ("meter", "counts", "currency", "billed_on")
    search_fields = ("transaction_id__startswith", "source__startswith")
    search_help_text = "Beginning of the transaction id or of the source"
    list_select_related = ("entity", "meter", "department")
    ordering = ("-id",)
    fields = (
        *("entity", "meter", "department", "source", "transaction_id", "occurred_at", "billed_on"),
        *("shown_quantity", "shown_cost", "properties", "subscription", "counts", "group_values"),
        *("created_at", "fingerprint"),
    )
    readonly_fields = ("shown_quantity", "shown_cost", "created_at")

    def scope(self, request, queryset):
        return queryset.filter(pk__in=queries.events_for(request.user))

    @display(description="Entity", ordering="entity__code")
    def customer(self, event):
        return event.entity.code

    @display(description="Quantity", ordering="quantity")
    def shown_quantity(self, event):
        return f"{plain(event.quantity)} {event.meter.unit}"

    @display(description="Cost", ordering="cost")
    def shown_cost(self, event):
        return "–" if event.cost is None else f"{plain(event.cost)} {event.currency}"


@admin.register(Quota)
class QuotaAdmin(ReadOnlyAdmin):
    list_display = ("entity", "meter", "shown_limit", "used", "left", "window", "mode", "updated_at")
    list_filter = (NearlyUsed, "window", "mode")
    fields = ("entity", "meter", "window", "mode", "shown_limit", "thresholds", "used", "left", "updated_at")
    readonly_fields = ("shown_limit", "used", "left", "updated_at")
    search_fields = ("entity__code", "entity__name", "meter__code")
    list_select_related = ("entity", "meter")
    ordering = ("-id",)
    console_actions = (
        ConsoleAction(
            name="change_quota",
            description="Change quota…",
            effect="It changes, and what was used is counted anew.",
            permission="usage.set_quota",
            form=QuotaForm,
            run=_set_quota,
            icon="speed",
        ),
    )

    def scope(self, request, queryset):
        mine = queryset.filter(pk__in=queries.quotas_for(request.user))
        return queries.with_use(mine, as_of=timezone.now())

    @display(description="Limit", ordering="limit_quantity")
    def shown_limit(self, quota):
        return f"{plain(quota.limit_quantity)} {quota.meter.unit}"

    @display(description="Used now", ordering="used_now")
    def used(self, quota):
        return plain(quota.used_now)

    @display(description="Left now", ordering="left_now")
    def left(self, quota):
        return plain(quota.left_now)


@admin.register(QuotaAlert)
class QuotaAlertAdmin(ReadOnlyAdmin):
    list_display = ("raised_at", "customer", "meter", "percent", "shown_use", "window", "starts_on")
    list_filter = ("threshold", "window", "raised_at")
    search_fields = ("quota__entity__code", "quota__meter__code")
    list_select_related = ("quota__entity", "quota__meter")
    ordering = ("-id",)
    fields = ("quota", "customer", "meter", "percent", "shown_use", "window", "starts_on", "raised_at")
    readonly_fields = ("customer", "meter", "percent", "shown_use", "raised_at")

    def scope(self, request, queryset):
        return queryset.filter(pk__in=queries.alerts_for(request.user))

    @display(description="Entity", ordering="quota__entity__code")
    def customer(self, alert):
        return alert.quota.entity.code

    @display(description="Meter", ordering="quota__meter__code")
    def meter(self, alert):
        return alert.quota.meter.code

    @display(description="Reached", ordering="threshold")
    def percent(self, alert):
        return f"{alert.threshold} %"

    @display(description="Used of the limit", ordering="used_quantity")
    def shown_use(self, alert):
        return f"{plain(alert.used_quantity)} of {plain(alert.limit_quantity)} {alert.quota.meter.unit}"


@admin.register(QuotaCounter)
class QuotaCounterAdmin(ReadOnlyAdmin):
    list_display = ("quota", "starts_on", "used_quantity", "ceiling")
    list_select_related = ("quota",)
    ordering = ("-starts_on",)

    def scope(self, request, queryset):
        return queryset.filter(quota__in=queries.quotas_for(request.user))
