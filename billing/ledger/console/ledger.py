"""The books in the console: nothing is typed in, months are closed and reopened by two controllers."""

from django import forms
from django.contrib import admin
from django.urls import reverse
from django.utils.html import format_html
from unfold.admin import TabularInline
from unfold.decorators import display

from billing.entities.reach import visible
from billing.kernel.console.actions import ConsoleAction, actor_of
from billing.kernel.console.base import Labelled, ReadOnlyAdmin
from billing.kernel.console.forms import ReasonForm
from billing.kernel.money import round_half_up
from billing.ledger import queries, services
from billing.ledger.models import AccountBalance, AccountingPeriod, JournalEntry, JournalLine, LedgerAccount
from billing.ledger.states import PERIOD_MOVES, PeriodState

PAGES = {"invoice": "admin:invoicing_invoice_change", "payment": "admin:payments_payment_change"}


class _ReadOnlyInline(TabularInline):
    """Whoever may see the object sees these rows of it."""

    extra = 0
    can_delete = False

    def has_view_permission(self, request, obj=None):
        return True

    def has_add_permission(self, request, obj=None):
        return False

    def has_change_permission(self, request, obj=None):
        return False

    @display(description="Debit")
    def shown_debit(self, row):
        return _amount(row.debit, row.currency)

    @display(description="Credit")
    def shown_credit(self, row):
        return _amount(row.credit, row.currency)


def _amount(amount, currency: str) -> str:
    return f"{round_half_up(amount, currency)} {currency}" if amount else "–"


class BalanceInline(_ReadOnlyInline):
    model = AccountBalance
    fields = readonly_fields = ("period", "currency", "shown_debit", "shown_credit", "shown_balance")
    ordering = ("-period__starts_on", "currency")
    verbose_name_plural = "Balances by month"

    def get_queryset(self, request):
        return super().get_queryset(request).select_related("period")

    @display(description="Debits minus credits")
    def shown_balance(self, row):
        return _amount(row.debit - row.credit, row.currency)


class LineInline(_ReadOnlyInline):
    model = JournalLine
    fields = readonly_fields = (
        *("account", "shown_debit", "shown_credit", "customer", "department"),
        *("product_code", "gl_code", "contract_reference"),
    )
    ordering = ("id",)
    hide_title = True

    def get_queryset(self, request):
        return super().get_queryset(request).select_related("account", "customer", "department")


@admin.register(LedgerAccount)
class LedgerAccountAdmin(ReadOnlyAdmin):
    list_display = ("code", "name", "entity", "normal_side")
    list_filter = ("code", "normal_side")
    list_select_related = ("entity",)
    search_fields = ("code", "name", "entity__name", "entity__code")
    ordering = ("entity__code", "code")
    fields = ("entity", "code", "name", "normal_side")
    inlines = (BalanceInline,)

    def scope(self, request, queryset):
        return visible(queryset, user=request.user, permission=queries.VIEW_ACCOUNT)


@admin.register(JournalEntry)
class JournalEntryAdmin(ReadOnlyAdmin):
    list_display = ("posted_on", "description", "event", "entity", "reverses")
    list_filter = ("event", "posted_on")
    list_select_related = ("entity", "reverses")
    search_fields = ("source", "description")
    search_help_text = "Source or description"
    date_hierarchy = "posted_on"
    ordering = ("-posted_on", "-id")
    fields = ("entity", "period", "posted_on", "document", "event", "description", "reverses", "created_at")
    readonly_fields = ("document",)
    inlines = (LineInline,)

    def scope(self, request, queryset):
        return visible(queryset, user=request.user, permission=queries.VIEW_ENTRY)

    @display(description="What it books")
    def document(self, entry):
        """The source, with a link to it where the console has a page of it."""
        kind, _, key = entry.source.partition(":")
        if page := PAGES.get(kind):
            return format_html('<a class="underline" href="{}">{}</a>', reverse(page, args=[key]), kind)
        return entry.source


def _verb(action: str, service, *, form: type[forms.Form] = forms.Form, **said: object) -> ConsoleAction:
    """`service` on one month; the button shows in the states that `action` leaves."""
    return ConsoleAction(
        name=action,
        permission=f"ledger.{service.__name__}",
        run=lambda request, period, **given: service(period_id=period.pk, actor=actor_of(request), **given),
        form=form,
        applies=lambda period: period.state in PERIOD_MOVES[action].sources,
        **said,
    )


@admin.register(AccountingPeriod)
class AccountingPeriodAdmin(ReadOnlyAdmin):
    list_display = ("starts_on", "entity", "shown_state", "closing_requested_by", "closed_by", "reopened_by")
    list_filter = ("state", "starts_on")
    list_select_related = ("entity",)
    search_fields = ("entity__name", "entity__code")
    ordering = ("-starts_on", "entity__code")
    fields = (
        *("entity", "starts_on", "ends_on", "state"),
        *("closing_requested_by", "closed_by", "reopened_by"),
    )
    console_actions = (
        _verb(
            "begin_closing",
            services.begin_closing_period,
            description="Ask to close…",
            effect="The month still takes entries until a second controller closes it.",
            icon="lock_clock",
        ),
        _verb(
            "close",
            services.close_period,
            description="Close…",
            effect="Nothing is booked into this month any more.",
            icon="lock",
            danger=True,
        ),
        _verb(
            "keep_open",
            services.keep_period_open,
            description="Keep open…",
            effect="The request to close this month is turned down.",
            form=ReasonForm,
            icon="lock_open",
        ),
        _verb(
            "reopen",
            services.reopen_period,
            description="Reopen…",
            effect="The month takes entries again. Whoever closed it cannot do this.",
            asks="approvals.request_period_reopening",
            form=ReasonForm,
            icon="lock_reset",
            danger=True,
        ),
    )

    def scope(self, request, queryset):
        return visible(queryset, user=request.user, permission=queries.VIEW_PERIOD)

    @display(
        description="State",
        ordering="state",
        label={"open": "success", "closing": "warning", "closed": "info"},
    )
    def shown_state(self, period):
        return Labelled(period.state, PeriodState)
