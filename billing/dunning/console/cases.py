"""What has been done about unpaid invoices: cases with their steps, pauses, late fees, runs."""

from datetime import timedelta
from decimal import Decimal
from functools import partial

from django import forms
from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html
from unfold.decorators import display

from billing.dunning import queries, services
from billing.dunning.models import DunningCase, DunningNotice, DunningPause, DunningRun, LateFee
from billing.dunning.states import CaseState, FeeState, ItemState, Outcome, PauseKind, RunState
from billing.entities.queries import today_at
from billing.invoicing.queries import invoices_for
from billing.kernel.console.actions import ConsoleAction, actor_of
from billing.kernel.console.base import Labelled, ReadOnlyAdmin
from billing.kernel.console.forms import ReasonForm
from billing.kernel.console.tables import Table, link, money, number
from billing.kernel.errors import NotFound

TABLES = "admin/tables.html"
PAUSE = "dunning.pause_dunning"


@admin.register(DunningCase)
class DunningCaseAdmin(ReadOnlyAdmin):
    empty_hint = "Nobody is late. A dunning run opens a case for each invoice that its policy asks for."
    list_display = ("invoice", "customer", "shown_state", "policy", "opened_on", "shown_open")
    list_filter = ("state", "opened_on")
    list_select_related = ("invoice", "customer", "policy")
    search_fields = ("invoice__number", "customer__code", "customer__name")
    search_help_text = "Invoice number, or name or code of the customer"
    ordering = ("-id",)
    change_form_after_template = TABLES
    fields = (
        ("invoice", "customer", "policy"),
        ("shown_state", "shown_open"),
        ("opened_on", "closed_on", "closed_because"),
    )
    readonly_fields = ("shown_state", "shown_open")

    def get_queryset(self, request):
        return queries.cases_for(request.user).order_by(*self.ordering)

    def change_view(self, request, object_id, form_url="", extra_context=None):
        case = self.get_object(request, unquote(object_id))
        tables = [_steps(case), _suspensions(case)] if case is not None else []
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), "tables": tables})

    @display(
        description="State",
        ordering="state",
        label={"open": "warning", "handed_over": "danger", "closed": "success"},
    )
    def shown_state(self, case):
        return Labelled(case.state, CaseState)

    @display(description="Open on the invoice")
    def shown_open(self, case):
        return money(case.invoice.balance_amount, case.invoice.currency)


def _steps(case: DunningCase) -> Table:
    notices = case.notices.select_related("step", "mail").order_by("step__position")
    return Table(
        title="Steps",
        headers=["On", "Step", "Outcome", "Days late", "Open", "Asked for", "Letter", "Detail"],
        rows=[
            [
                str(notice.noticed_on),
                str(notice.step),
                Outcome(notice.outcome).label,
                str(notice.days_late),
                money(notice.open_amount, notice.currency),
                money(notice.collectable_amount, notice.currency),
                link(notice.mail, "dunning_dunningmail") if notice.mail else "–",
                _said(notice),
            ]
            for notice in notices
        ],
    )


def _suspensions(case: DunningCase) -> Table:
    suspended = case.suspensions.select_related("subscription__plan").order_by("pk")
    return Table(
        title="Suspended subscriptions",
        headers=["Subscription", "Since", "Lifted on"],
        rows=[
            [
                link(one.subscription, "subscriptions_subscription"),
                str(one.suspended_on),
                str(one.lifted_on or "–"),
            ]
            for one in suspended
        ],
        note="They go on when the invoice is paid or void. Of one written off a person decides.",
    )


@admin.register(DunningNotice)
class DunningNoticeAdmin(ReadOnlyAdmin):
    empty_hint = "No step was taken. Dunning runs take them, by the policy of each customer."
    list_display = ("invoice", "customer", "step", "shown_outcome", "noticed_on", "days_late", "shown_asked")
    list_filter = ("outcome", "step__effect", "noticed_on")
    list_select_related = ("invoice", "customer", "step")
    search_fields = ("invoice__number", "customer__code", "customer__name")
    search_help_text = "Invoice number, or name or code of the customer"
    ordering = ("-id",)
    fields = (
        ("invoice", "customer", "step"),
        ("shown_outcome", "noticed_on", "days_late"),
        ("shown_open", "shown_asked"),
        ("mail", "shown_detail"),
    )
    readonly_fields = ("shown_outcome", "shown_open", "shown_asked", "shown_detail")

    def get_queryset(self, request):
        return queries.notices_for(request.user).select_related("mail").order_by(*self.ordering)

    @display(description="Outcome", ordering="outcome", label={"taken": "success", "skipped": "info"})
    def shown_outcome(self, notice):
        return Labelled(notice.outcome, Outcome)

    @display(description="Open", ordering="open_amount")
    def shown_open(self, notice):
        return money(notice.open_amount, notice.currency)

    @display(description="Asked for", ordering="collectable_amount")
    def shown_asked(self, notice):
        return money(notice.collectable_amount, notice.currency)

    @display(description="Detail")
    def shown_detail(self, notice):
        return _said(notice)


def _said(notice: DunningNotice) -> str:
    """Why it was passed over, or what it came to."""
    return " · ".join(f"{name}: {value}" for name, value in notice.detail.items()) or "–"


class PauseForm(forms.Form):
    """The rest of the invoice is still asked for."""

    invoice_number = forms.CharField(max_length=64)
    amount = forms.DecimalField(
        max_digits=19,
        decimal_places=4,
        min_value=0,
        required=False,
        help_text="In the invoice's currency, tax included. Empty: the whole invoice.",
    )
    kind = forms.ChoiceField(choices=PauseKind.choices)
    ends_on = forms.DateField(
        widget=forms.DateInput(),
        required=False,
        help_text="The first day on which it is asked for again. A promise to pay has one.",
    )
    reason = forms.CharField(max_length=1000, widget=forms.Textarea(attrs={"rows": 3}))


def _resume(request, pause, *, reason):
    services.resume_dunning(
        actor=actor_of(request), pause_id=pause.pk, as_of=today_at(pause.invoice.seller), reason=reason
    )


@admin.register(DunningPause)
class DunningPauseAdmin(ReadOnlyAdmin):
    empty_hint = "Pause an invoice, or the part of it that is in dispute, and nobody is reminded of that."
    list_display = ("invoice", "customer", "kind", "shown_amount", "starts_on", "shown_end", "reason")
    list_filter = ("kind", "starts_on")
    list_select_related = ("invoice", "customer")
    search_fields = ("invoice__number", "customer__code", "customer__name", "reason")
    search_help_text = "Invoice number, reason, or name or code of the customer"
    ordering = ("-id",)
    fields = (
        ("invoice", "customer", "kind"),
        ("shown_amount", "starts_on", "shown_end"),
        "reason",
        "created_at",
    )
    readonly_fields = ("shown_amount", "shown_end", "created_at")
    console_actions = (
        ConsoleAction(
            name="resume",
            description="Resume…",
            effect="From today its amount is asked for again, and days count again.",
            permission="dunning.resume_dunning",
            form=ReasonForm,
            run=_resume,
            icon="play_arrow",
        ),
    )

    def get_queryset(self, request):
        return queries.pauses_for(request.user).select_related("invoice__seller").order_by(*self.ordering)

    def has_add_permission(self, request, *args):
        return request.user.has_perm(PAUSE)

    def add_view(self, request: HttpRequest, form_url="", extra_context=None) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        return self.form_page(
            request,
            PauseForm(request.POST or None),
            title="Pause dunning",
            explanation="Reminders leave out what is paused; the rest of the invoice is still asked for. While everything"
            " is paused, days are not counted.",
            submit_label="Pause",
            save=partial(self._pause, request),
            done=lambda pause: f"{pause.invoice}: paused.",
        )

    def _pause(self, request: HttpRequest, *, invoice_number: str, **terms) -> DunningPause:
        within = invoices_for(request.user, PAUSE).filter(number=invoice_number.strip())
        found = list(within[:2])
        if len(found) != 1:
            raise NotFound(
                f"There is {'more than one' if found else 'no'} invoice {invoice_number} within your reach."
            )
        return services.pause_dunning(
            actor=actor_of(request), invoice_id=found[0].pk, as_of=today_at(found[0].seller), **terms
        )

    @display(description="Amount", ordering="amount")
    def shown_amount(self, pause):
        return money(pause.amount, pause.currency) if pause.amount else "the whole invoice"

    @display(description="Last day", ordering="ends_on")
    def shown_end(self, pause):
        if pause.ends_on is None:
            return "until it is resumed"
        return "none" if pause.ends_on == pause.starts_on else pause.ends_on - timedelta(days=1)


def _waive(request, fee, *, reason):
    services.waive_late_fee(actor=actor_of(request), fee_id=fee.pk, reason=reason)


@admin.register(LateFee)
class LateFeeAdmin(ReadOnlyAdmin):
    empty_hint = "No fee was charged. Policies say whether and when there is one."
    list_display = ("invoice", "customer", "basis", "shown_amount", "charged_on", "shown_state", "billed_on")
    list_filter = ("state", "basis", "currency", "charged_on")
    list_select_related = ("invoice", "customer")
    search_fields = ("invoice__number", "customer__code", "customer__name")
    search_help_text = "Invoice number, or name or code of the customer"
    ordering = ("-id",)
    change_form_after_template = TABLES
    fields = (
        ("invoice", "customer", "basis"),
        ("shown_amount", "charged_on", "shown_state", "billed_on"),
        ("starts_on", "shown_last", "shown_percent"),
        "reference",
    )
    readonly_fields = ("shown_amount", "shown_last", "shown_percent", "shown_state", "billed_on")
    console_actions = (
        ConsoleAction(
            name="waive",
            description="Waive…",
            effect="It will not be billed, and its days are not charged again. A draft it is on is taken back, and"
            " made anew without it. Once it is on an issued invoice, credit it there instead.",
            permission="dunning.waive_late_fee",
            form=ReasonForm,
            run=_waive,
            icon="money_off",
            applies=lambda fee: fee.state == FeeState.TO_BE_BILLED and not fee.billed_invoice_number,
        ),
    )

    def get_queryset(self, request):
        return queries.fees_for(request.user).order_by(*self.ordering)

    def change_view(self, request, object_id, form_url="", extra_context=None):
        fee = self.get_object(request, unquote(object_id))
        tables = [_derivation(fee)] if fee is not None else []
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), "tables": tables})

    @display(description="Amount", ordering="amount")
    def shown_amount(self, fee):
        return money(fee.amount, fee.currency)

    @display(description="Interest per year")
    def shown_percent(self, fee):
        return f"{number(fee.percent)} %" if fee.percent else "–"

    @display(description="Last day charged")
    def shown_last(self, fee):
        return fee.ends_on - timedelta(days=1) if fee.ends_on else "–"

    @display(description="State", label={"to_be_billed": "warning", "billed": "success", "waived": "info"})
    def shown_state(self, fee):
        return "billed" if fee.billed_invoice_number else Labelled(fee.state, FeeState)

    @display(description="Billed on")
    def billed_on(self, fee):
        if fee.billed_invoice is None:
            return "–"
        address = reverse("admin:invoicing_invoice_change", args=[fee.billed_invoice])
        named = fee.billed_invoice_number or "a draft"
        return format_html('<a class="underline" href="{}">{}</a>', address, named)


def _derivation(fee: LateFee) -> Table:
    return Table(
        title="How it came about",
        headers=["From", "To", "Days", "Amount that bore interest"],
        rows=[
            [one["since"], one["until"], str(one["days"]), money(Decimal(one["amount"]), fee.currency)]
            for one in fee.derivation.get("interest_periods", ())
        ],
        note="Σ amount × days × percent / 100 / 365, rounded half-up once. “To” is exclusive."
        if fee.percent
        else "The flat fee of the policy.",
    )


@admin.register(DunningRun)
class DunningRunAdmin(ReadOnlyAdmin):
    empty_hint = "Dunning runs once a day, as soon as a seller has an active policy."
    list_display = ("as_of", "seller", "shown_state", "done", "failed", "created_at", "finished_at")
    list_filter = ("state", "as_of")
    search_fields = ("seller__code", "seller__name")
    ordering = ("-as_of", "-id")
    change_form_after_template = TABLES
    fields = (("seller", "as_of", "shown_state"), ("done", "failed"), ("created_at", "finished_at"))
    readonly_fields = ("shown_state", "done", "failed", "created_at")

    def get_queryset(self, request):
        return queries.runs_for(request.user).order_by(*self.ordering)

    def change_view(self, request, object_id, form_url="", extra_context=None):
        run = self.get_object(request, unquote(object_id))
        tables = [_failures(run)] if run is not None else []
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), "tables": tables})

    @display(description="State", ordering="state", label={"running": "info", "finished": "success"})
    def shown_state(self, run):
        return Labelled(run.state, RunState)

    @display(description="Customers looked at")
    def done(self, run):
        return run.customers_done

    @display(description="Customers that failed")
    def failed(self, run):
        return run.customers_failed


def _failures(run: DunningRun) -> Table:
    failed = run.items.filter(state=ItemState.FAILED).select_related("customer").order_by("customer__code")
    return Table(
        title="Customers that could not be reminded",
        headers=["Customer", "Reason", "What to do"],
        rows=[
            [
                link(item.customer, "entities_billingentity"),
                item.failure["code"],
                item.failure["detail"],
            ]
            for item in failed
        ],
        note="Put right what the reason names; the next run takes what is due then.",
    )
