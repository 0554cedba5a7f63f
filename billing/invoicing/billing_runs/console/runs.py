"""Billing runs in the console: looked at before they are started, and watched while they run."""

from collections.abc import Mapping
from datetime import date
from functools import partial

from django import forms
from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.urls import path, reverse
from django.utils.html import format_html
from django.views.decorators.cache import never_cache
from unfold.decorators import display

from billing.access.models import User
from billing.entities.models import BillingEntity
from billing.entities.queries import entities_for, today_at
from billing.entities.reach import visible
from billing.invoicing import queries, services
from billing.invoicing.billing_runs.console.tables import FIGURES, failures_of, preview_tables, progress_told
from billing.invoicing.billing_runs.queries import NOTHING_MORE, figures_of
from billing.invoicing.errors import NothingToInvoice
from billing.invoicing.invoices.core.billing_horizon import require_near
from billing.invoicing.models import BillingRun, BillingRunItem
from billing.invoicing.states import RunItemState, RunState
from billing.kernel.console.actions import ConsoleAction, actor_of
from billing.kernel.console.base import Labelled, ReadOnlyAdmin, names_of_actors
from billing.kernel.console.forms import today

RUN = "invoicing.run_billing"
PREVIEW_CUSTOMERS_MAX = 200  # somebody waits for the page


class StartForm(forms.Form):
    seller = forms.ModelChoiceField(BillingEntity.objects.none())
    as_of = forms.DateField(
        label="As of",
        widget=forms.DateInput(),
        initial=today,
        help_text="Usage before this day's month is billed, and the invoices are issued on this day.",
    )

    def __init__(self, *args, user: User, **kwargs):
        super().__init__(*args, **kwargs)
        sellers = entities_for(user, RUN).filter(is_seller=True).order_by("code")
        self.fields["seller"].queryset = sellers
        if len(chosen := list(sellers[:2])) == 1:
            self.fields["seller"].initial = chosen[0]


def _what_would_be_issued(given: Mapping) -> list:
    """Raises TooFarAhead, NothingToInvoice."""
    seller, as_of = given["seller"], given["as_of"]
    require_near(as_of, today=today_at(seller))
    preview = services.preview_billing(seller_id=seller.pk, as_of=as_of, customers_max=PREVIEW_CUSTOMERS_MAX)
    if not preview.customers_due:
        raise NothingToInvoice(NOTHING_MORE)
    return preview_tables(preview)


def _start(request: HttpRequest, *, seller: BillingEntity, as_of: date) -> BillingRun:
    run, _ = services.queue_billing_run(actor=actor_of(request), seller_id=seller.pk, as_of=as_of)
    return run


def _continue(request, run):
    services.queue_billing_run(actor=actor_of(request), seller_id=run.seller_id, as_of=run.as_of)


@admin.register(BillingRun)
class BillingRunAdmin(ReadOnlyAdmin):
    empty_hint = "A run drafts and issues all that is due. You see what it would issue before it starts."
    list_display = ("as_of", "seller", "shown_state", "done", "failed", "pending", "invoices", "finished_at")
    list_filter = ("state", "as_of")
    list_select_related = ("seller",)
    ordering = ("-as_of", "-id")
    change_form_before_template = "admin/invoicing/run_progress.html"
    change_form_after_template = "admin/tables.html"
    fields = (
        ("seller", "as_of"),
        ("asked_by", "continued_at"),
        "customers",
    )  # what changes while it runs is in the progress above
    readonly_fields = ("asked_by", "continued_at", "customers")
    console_actions = (
        ConsoleAction(
            name="continue",
            description="Continue…",
            effect="What became due is added, failed customers get another try, and workers bill them all.",
            permission=RUN,
            run=_continue,
            icon="resume",
        ),
    )

    def get_queryset(self, request):
        return queries.runs_for(request.user).order_by(*self.ordering)

    def get_urls(self):
        progress = path(
            "<uuid:run_id>/progress",
            self.admin_site.admin_view(never_cache(self.progress_view)),
            name="invoicing_billingrun_progress",
        )
        return [progress, *super().get_urls()]

    def has_add_permission(self, request, *args):
        return request.user.has_perm(RUN)

    def add_view(self, request: HttpRequest, form_url="", extra_context=None) -> HttpResponse:
        """Choose, look at what would be issued, start. A second click finds its work done."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        return self.form_page(
            request,
            StartForm(request.POST or None, user=request.user),
            title="Start billing run",
            explanation="Everything due for the seller is drafted and issued: usage before the day's month, and what is"
            " subscribed. First look at what would be issued, then confirm; workers do the rest.",
            submit_label="Start billing run",
            save=partial(_start, request),
            done=lambda run: f"{run}, {run.seller}: started.",
            preview=_what_would_be_issued,
            preview_label="Show what would be issued",
        )

    def change_view(self, request, object_id, form_url="", extra_context=None):
        run = self.get_object(request, unquote(object_id))
        shown = {}
        if run is not None:
            address = reverse("admin:invoicing_billingrun_progress", args=[run.pk])
            told = progress_told(figures_of(run))
            figures = [(name, label, told["figures"][name]) for name, label in FIGURES]
            shown = {"progress": told | {"address": address, "shown": figures}, "tables": [failures_of(run)]}
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **shown})

    def progress_view(self, request: HttpRequest, run_id) -> HttpResponse:
        """What the run's page asks for every two seconds while it runs."""
        run = self.get_object(request, str(run_id))
        if run is None:
            raise Http404
        if not self.has_view_permission(request, run):
            raise PermissionDenied
        return JsonResponse(progress_told(figures_of(run)))

    @display(description="State", ordering="state", label={"running": "info", "finished": "success"})
    def shown_state(self, run):
        return Labelled(run.state, RunState)

    @display(description="Asked for by")
    def asked_by(self, run):
        return names_of_actors({run.requested_by}).get(run.requested_by, run.requested_by)

    @display(description="Customers")
    def customers(self, run):
        listed = f"{reverse('admin:invoicing_billingrunitem_changelist')}?run__id__exact={run.pk}"
        return format_html('<a class="underline" href="{}">All customers of the run</a>', listed)

    @display(description="Done")
    def done(self, run):
        return run.customers_done

    @display(description="Failed")
    def failed(self, run):
        return run.customers_failed

    @display(description="Pending")
    def pending(self, run):
        return run.customers_pending

    @display(description="Invoices issued")
    def invoices(self, run):
        return run.invoices_issued


def _retry(request, item):
    services.retry_customer(actor=actor_of(request), run_id=item.run_id, customer_id=item.customer_id)


@admin.register(BillingRunItem)
class BillingRunItemAdmin(ReadOnlyAdmin):
    list_display = ("customer", "run", "shown_state", "invoices_issued", "reason", "updated_at")
    list_filter = ("state", "run__as_of")
    list_select_related = ("customer", "run")
    search_fields = ("customer__code", "customer__name")
    search_help_text = "Code or name of the customer"
    ordering = ("-run_id", "id")
    fields = (("customer", "run"), ("shown_state", "invoices_issued", "updated_at"), "reason")
    readonly_fields = ("shown_state", "reason", "updated_at")
    console_actions = (
        ConsoleAction(
            name="retry",
            description="Retry…",
            effect="The customer is billed at once as of the run's day; if it is refused again, you see why.",
            permission=RUN,
            run=_retry,
            icon="replay",
            applies=lambda item: item.state == RunItemState.FAILED,
        ),
    )

    def scope(self, request, queryset):
        return visible(queryset, user=request.user, permission=queries.VIEW_RUN, entity="run__seller")

    @display(
        description="State",
        ordering="state",
        label={"pending": "info", "done": "success", "failed": "danger"},
    )
    def shown_state(self, item):
        return Labelled(item.state, RunItemState)

    @display(description="Why it could not be billed")
    def reason(self, item):
        return f"{item.failure['code']}: {item.failure['detail']}" if item.failure else "–"
