"""The console's first page: how much, and what to do. Every figure is that of the list behind it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from urllib.parse import urlencode

from django.db.models import Count, QuerySet, Sum
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone

from approvals import queries as approvals
from billing.entities import queries as entities
from billing.entities.states import EntityState
from billing.invoicing import queries as invoicing
from billing.invoicing.models import BillingRun
from billing.invoicing.states import InvoiceState
from billing.kernel.console.tables import money
from billing.ledger import queries as ledger
from billing.ledger.states import PeriodState
from billing.payments import queries as payments
from billing.usage import queries as usage

CLAIMS = (InvoiceState.ISSUED, InvoiceState.PAID, InvoiceState.UNCOLLECTIBLE)


@dataclass(frozen=True)
class Card:
    """A figure; `link` leads to the list whose rows it counts."""

    title: str
    count: int
    unit: str
    link: str
    amounts: list[str] = field(default_factory=list)  # one per currency
    is_bad: bool = False


def home(request: HttpRequest, context: dict) -> dict:
    """What the theme calls before it shows the page."""
    today = timezone.now().date()
    return context | {
        "title": "Home",
        "cards": list(cards(request.user, today)),
        "todos": [todo for todo in todos(request.user, today) if todo.count],
    }


def cards(user, today: date) -> Iterator[Card]:
    """What this person may see of it."""
    if user.has_perm(invoicing.VIEW_INVOICE):
        yield _billed(user, today)
        found = invoicing.invoices_for(user)
        listed = _list("invoicing", "invoice", state__exact=InvoiceState.ISSUED)
        yield _sum("Open receivables", found.filter(state=InvoiceState.ISSUED), "balance_amount", listed)
        late = invoicing.overdue(found, as_of=today)
        yield _sum(
            "Overdue", late, "balance_amount", _list("invoicing", "invoice", overdue="yes"), is_bad=True
        )
    if user.has_perm(invoicing.VIEW_RUN) and (run := _last_run(user)):
        yield Card(
            title="Not billed in the last run",
            count=run.customers_failed,
            unit="customer" if run.customers_failed == 1 else "customers",
            link=reverse("admin:invoicing_billingrun_change", args=[run.pk]),
            is_bad=run.customers_failed > 0,
        )


def todos(user, today: date) -> Iterator[Card]:
    """What waits for somebody; what this person may not see is left out."""
    now = timezone.now()
    waiting = [
        (
            invoicing.VIEW_INVOICE,
            "drafts to look at and issue",
            lambda: invoicing.invoices_for(user).filter(state=InvoiceState.DRAFT),
            ("invoicing", "invoice", {"state__exact": InvoiceState.DRAFT}),
        ),
        (
            invoicing.VIEW_INVOICE,
            "invoices overdue",
            lambda: invoicing.overdue(invoicing.invoices_for(user), as_of=today),
            ("invoicing", "invoice", {"overdue": "yes"}),
        ),
        (
            payments.VIEW_PAYMENT,
            "payments with something left to apply",
            lambda: payments.unapplied(payments.payments_for(user)),
            ("payments", "payment", {"unapplied": "yes"}),
        ),
        (
            "usage.view_quota",
            "quotas nearly used up",
            lambda: usage.nearly_used(usage.quotas_for(user), as_of=now),
            ("usage", "quota", {"nearly_used": "yes"}),
        ),
        (
            "approvals.view_inboxrequest",
            "requests for you to decide",
            lambda: approvals.inbox_of(user, as_of=now.date()),
            ("approvals", "inboxrequest", {}),
        ),
        (
            "approvals.confirm_rule",
            "approval rules to confirm",
            lambda: approvals.rules_to_confirm(user),
            ("approvals", "approvalrule", {"versions__state__exact": "proposed"}),
        ),
        (
            entities.VIEW_GRANT,
            "roles to confirm",
            lambda: entities.grants_for(user).filter(confirmed_at=None, revoked_at=None),
            ("entities", "rolegrant", {"confirmed_at__isnull": True, "revoked_at__isnull": True}),
        ),
        (
            entities.VIEW_ENTITY,
            "proposed entities to activate",
            lambda: entities.entities_for(user).filter(state=EntityState.DRAFT),
            ("entities", "billingentity", {"state__exact": EntityState.DRAFT}),
        ),
        (
            ledger.VIEW_PERIOD,
            "months for a second person to close",
            lambda: ledger.periods_for(user).filter(state=PeriodState.CLOSING),
            ("ledger", "accountingperiod", {"state__exact": PeriodState.CLOSING}),
        ),
    ]
    for permission, unit, rows, (app, model, wanted) in waiting:
        if user.has_perm(permission):
            yield Card(title="", count=rows().count(), unit=unit, link=_list(app, model, **wanted))


def _billed(user, today: date) -> Card:
    first = today.replace(day=1)
    after = (first + timedelta(days=31)).replace(day=1)
    billed = invoicing.invoices_for(user).filter(issued_on__gte=first, issued_on__lt=after, state__in=CLAIMS)
    link = _list(
        "invoicing", "invoice", issued_on__gte=first, issued_on__lt=after, state__in=",".join(CLAIMS)
    )
    return _sum("Billed this month", billed, "total_amount", link)


def _sum(title: str, invoices: QuerySet, amount: str, link: str, *, is_bad: bool = False) -> Card:
    rows = invoices.order_by("currency").values("currency").annotate(count=Count("pk"), sum=Sum(amount))
    count = sum(row["count"] for row in rows)
    return Card(
        title=title,
        count=count,
        unit="invoice" if count == 1 else "invoices",
        link=link,
        amounts=[money(row["sum"], row["currency"]) for row in rows],
        is_bad=is_bad and count > 0,
    )


def _last_run(user) -> BillingRun | None:
    return invoicing.runs_for(user).order_by("-as_of", "-id").first()


def _list(app: str, model: str, **wanted: object) -> str:
    return f"{reverse(f'admin:{app}_{model}_changelist')}?{urlencode(wanted)}"
