"""Licences in the console."""

from datetime import date

from django import forms
from django.contrib import admin
from django.utils import timezone
from django.utils.html import format_html
from unfold.admin import TabularInline
from unfold.decorators import display

from billing.entities.queries import today_at
from billing.kernel.console.actions import ConsoleAction, actor_of
from billing.kernel.console.base import Labelled, ReadOnlyAdmin
from billing.kernel.console.forms import ReasonForm
from billing.subscriptions import queries, services
from billing.subscriptions.models import License, LicenseAssignment, LicenseTerms
from billing.subscriptions.states import LicenseState

SEATS_PER_PAGE = 25
_MARK = (
    '<span style="position: absolute; left: {}%; height: 100%; width: 2px; margin-left: -1px;'
    ' background: currentColor"></span>'
)
_BAR = (
    '<span style="display: inline-flex; flex-direction: column; gap: .25rem; min-width: 9rem">'
    '<span aria-hidden="true" class="bg-base-200 dark:bg-base-700" style="position: relative; display: flex;'
    ' height: .5rem; width: 9rem; border-radius: .25rem; overflow: hidden">'
    '<span style="width: {}%; background: var(--color-primary-600)"></span>'
    '<span style="width: {}%; background: #d97706"></span>{}</span>'
    '<span style="white-space: nowrap">{}</span></span>'
)


class HolderForm(forms.Form):
    holder = forms.CharField(max_length=200, help_text="The user as the licensed product knows them.")


class ChangeForm(forms.Form):
    tier = forms.CharField(max_length=64, required=False, help_text="Leave empty what stays as it is.")
    seats = forms.IntegerField(min_value=0, max_value=2**31 - 1, required=False)
    included_seats = forms.IntegerField(
        min_value=0,
        max_value=2**31 - 1,
        required=False,
        help_text="Paid for; those used beyond are trued up.",
    )
    features = forms.CharField(
        max_length=6600, required=False, help_text="All of them, separated by commas. A dash for none."
    )
    ends_on = forms.DateField(
        widget=forms.DateInput, required=False, help_text="The first day it is no longer valid."
    )
    without_end = forms.BooleanField(required=False, label="Without an end")

    def clean(self):
        given = super().clean()
        if given.get("without_end") and given.get("ends_on"):
            raise forms.ValidationError("Either a day, or without an end.")
        return given


def _change(
    request,
    license,
    *,
    tier: str,
    seats: int | None,
    included_seats: int | None,
    features: str,
    ends_on: date | None,
    without_end: bool,
):
    changes = {"tier": tier or None, "seats": seats, "included_seats": included_seats, "ends_on": ends_on}
    changes = {name: value for name, value in changes.items() if value is not None}
    if features.strip():
        named = [name.strip() for name in features.split(",")]
        changes["features"] = [] if named == ["-"] else named
    if without_end:
        changes["ends_on"] = None
    services.change_license(
        actor=actor_of(request), license_id=license.pk, changes=changes, on=today_at(license.entity)
    )


def _assign(request, license, *, holder):
    services.assign_seat(actor=actor_of(request), license_id=license.pk, holder=holder, as_of=timezone.now())


def _release(request, license, *, holder):
    services.release_seat(actor=actor_of(request), license_id=license.pk, holder=holder, as_of=timezone.now())


def _revoke(request, license, *, reason):
    services.revoke_license(
        actor=actor_of(request), license_id=license.pk, reason=reason, as_of=timezone.now()
    )


class _Shown(TabularInline):
    hide_title = True
    extra = 0
    can_delete = False
    permission = ""

    def has_view_permission(self, request, obj=None):
        return request.user.has_perm(self.permission)

    def has_add_permission(self, request, obj=None):
        return False

    def has_change_permission(self, request, obj=None):
        return False


class SeatInline(_Shown):
    model = LicenseAssignment
    permission = "subscriptions.view_licenseassignment"
    verbose_name_plural = "Seats, those in use first"
    fields = readonly_fields = ("holder", "assigned_at", "released_at")
    ordering = ("-released_at", "holder")  # NULL, in use, sorts first
    per_page = SEATS_PER_PAGE


class TermsInline(_Shown):
    model = LicenseTerms
    permission = "subscriptions.view_licenseterms"
    verbose_name_plural = "Terms"
    fields = readonly_fields = (
        "number",
        "tier",
        "granted",
        "seats",
        "included_seats",
        "starts_on",
        "ends_on",
    )
    ordering = ("-number",)

    @display(description="Features")
    def granted(self, terms):
        return ", ".join(terms.features) or "–"


@admin.register(License)
class LicenseAdmin(ReadOnlyAdmin):
    empty_hint = "A licence comes with a subscription, or is granted over the API."
    list_display = ("entity", "product", "tier", "shown_state", "seats_picture", "starts_on", "ends_on")
    list_filter = ("state", "tier", "ends_on")
    search_fields = ("entity__code", "entity__name", "product__code", "tier")
    list_select_related = ("entity", "product")
    ordering = ("-id",)
    fields = (
        *("entity", "product", "shown_state", "tier", "granted", "seats_picture"),
        *("starts_on", "ends_on", "subscription", "metadata"),
    )
    readonly_fields = ("shown_state", "granted", "seats_picture")
    inlines = (SeatInline, TermsInline)
    console_actions = (
        ConsoleAction(
            name="assign_seat",
            description="Assign seat…",
            effect="The user you name gets a seat.",
            permission="subscriptions.assign_license",
            form=HolderForm,
            run=_assign,
            icon="person_add",
            applies=lambda license: license.state == LicenseState.ACTIVE,
        ),
        ConsoleAction(
            name="release_seat",
            description="Release seat…",
            effect="The user you name gives back a seat.",
            permission="subscriptions.assign_license",
            form=HolderForm,
            run=_release,
            icon="person_remove",
            applies=lambda license: license.used_seats > 0,
        ),
        ConsoleAction(
            name="change_license",
            description="Change…",
            effect="From today on it is as you say below; a later end renews it.",
            permission="subscriptions.update_license",
            form=ChangeForm,
            run=_change,
            icon="edit",
            applies=lambda license: license.state != LicenseState.REVOKED,
        ),
        ConsoleAction(
            name="revoke_license",
            description="Revoke…",
            effect="Every seat is released and nobody may use it again, for good.",
            permission="subscriptions.revoke_license",
            form=ReasonForm,
            run=_revoke,
            icon="block",
            danger=True,
            applies=lambda license: license.state != LicenseState.REVOKED,
        ),
    )

    def scope(self, request, queryset):
        return queryset.filter(pk__in=queries.licenses_for(request.user))

    def described(self, license):
        return f"{license.product.name} for {license.entity.name}: {license}"

    @display(
        description="State",
        ordering="state",
        label={"active": "success", "expired": "warning", "revoked": "danger"},
    )
    def shown_state(self, license):
        return Labelled(license.state, LicenseState)

    @display(description="Features")
    def granted(self, license):
        return ", ".join(license.features) or "–"

    @display(description="Seats", ordering="used_seats")
    def seats_picture(self, license):
        """A bar of all seats: those in use filled, in another colour beyond the mark of those included."""
        whole = max(license.seats, 1)
        paid = min(license.used_seats, license.included_seats)
        words = f"{license.used_seats} of {license.seats} in use"
        mark = ""
        if license.included_seats < license.seats:
            words += f", {license.included_seats} included"
            mark = format_html(_MARK, 100 * license.included_seats // whole)
        return format_html(_BAR, 100 * paid // whole, 100 * (license.used_seats - paid) // whole, mark, words)
