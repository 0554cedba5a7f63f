"""One-off invoices in the console: a page to write one, a page to revise it while it is a draft, and deleting it.
What it comes to is shown before anything is saved."""

from collections.abc import Callable
from functools import partial
from uuid import uuid4

from django import forms
from django.contrib import messages
from django.contrib.admin.options import ModelAdmin
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse

from billing.access.models import User
from billing.entities.models import BillingEntity
from billing.entities.queries import entities_for, today_at
from billing.invoicing import services
from billing.invoicing.console import lines_table
from billing.invoicing.drafting.console.one_off_lines import (
    DRAFT,
    LineRows,
    charged_departments,
    departments_of,
    line_rows,
    preview_tables,
    products_of,
    sold_products,
)
from billing.invoicing.models import Invoice
from billing.invoicing.states import InvoiceState
from billing.kernel.console.actions import ConsoleAction, actor_of
from billing.kernel.console.base import names_of_actors
from billing.kernel.console.forms import Seen, previewed, styled
from billing.kernel.console.tables import Table
from billing.kernel.errors import DomainError
from billing.kernel.idempotency_keys import claim_once
from billing.kernel.models import AuditEntry
from billing.kernel.money import currencies
from billing.kernel.retrying import retrying

ISSUE_ON = {
    "widget": forms.DateInput(),
    "required": False,
    "help_text": "The billing run of that day issues it. Empty: you issue it.",
}


class RowsForm(forms.Form):
    """The head of an invoice; its `rows` are cleaned with it, as `lines`."""

    def __init__(self, *args, rows: LineRows, **kwargs):
        super().__init__(*args, **kwargs)
        self.rows = rows

    def clean(self) -> dict:
        given = super().clean()
        if not self.rows.is_valid():
            raise forms.ValidationError("Some lines are not complete: see below.")
        return given | {"lines": self.rows.written()}


class OneOffForm(RowsForm):
    seller = forms.ModelChoiceField(BillingEntity.objects.none())
    customer = forms.ModelChoiceField(BillingEntity.objects.none())
    currency = forms.ChoiceField(choices=[(code, code) for code in currencies()], initial="EUR")
    key = forms.RegexField(
        r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}\Z",
        required=False,
        help_text="An order's number, for example: a second invoice of it is refused.",
    )
    issue_on = forms.DateField(**ISSUE_ON)

    def __init__(self, *args, user: User, **kwargs):
        super().__init__(*args, **kwargs)
        within = entities_for(user, DRAFT).order_by("code")
        self.fields["seller"].queryset = within.filter(is_seller=True)
        self.fields["seller"].initial = within.filter(is_seller=True).first()
        self.fields["customer"].queryset = within


class ReviseForm(RowsForm):
    """`version` is that of the draft on which the reader's changes are based."""

    version = forms.IntegerField(widget=forms.HiddenInput())
    issue_on = forms.DateField(**ISSUE_ON)


class OneOffInvoices:
    """For the admin of invoices: "add" drafts a one-off invoice."""

    def has_add_permission(self, request, *args):
        return request.user.has_perm(DRAFT)

    def add_view(self, request: HttpRequest, form_url="", extra_context=None) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        asked = _asked(request)
        rows = line_rows(
            asked, products=sold_products(request.user), departments=charged_departments(request.user)
        )
        form = OneOffForm(asked, user=request.user, rows=rows)
        seen = previewed(form, _what_is_drafted) if _wants_totals(request) else None
        if "confirm" in request.POST and self.agreed(request, seen):
            made = _save(
                self, request, form, partial(_draft, request), done="Drafted. Issue it when you are ready."
            )
            if made is not None:
                return made
        return _page(
            self,
            request,
            form,
            seen,
            title="New one-off invoice",
            back=reverse("admin:invoicing_invoice_changelist"),
        )


def revise_page(shown: ModelAdmin, request: HttpRequest, invoice: Invoice) -> HttpResponse:
    """The draft's lines to be changed, added to and left out.

    Whoever sends changes to a draft that somebody else changed in the meantime keeps what he wrote, sees
    what it says now, and decides; nothing is overwritten unseen.
    """
    here = reverse("admin:invoicing_invoice_change", args=[invoice.pk])
    asked = _asked(request)
    if asked is None and not REVISE.applies(invoice):
        shown.message_user(request, f"{invoice} is not a draft that was written by hand.", messages.WARNING)
        return HttpResponseRedirect(here)
    rows = line_rows(
        asked,
        products=products_of(invoice, request.user),
        departments=departments_of(invoice),
        lines=invoice.lines.order_by("position"),
    )
    form = ReviseForm(asked, rows=rows, initial={"issue_on": invoice.issue_on})
    theirs = asked is not None and asked.get("version") != str(invoice.version)
    wanted = _wants_totals(request) and not theirs
    seen = previewed(form, partial(_what_is_revised, invoice)) if wanted else None
    if "confirm" in request.POST and not theirs and shown.agreed(request, seen):
        work = partial(_revise, request, invoice)
        made = _save(shown, request, form, work, done="Revised. Issue it when you are ready.")
        if made is not None:
            return made
    return _page(
        shown,
        request,
        form,
        seen,
        title="Revise the draft",
        back=here,
        invoice=invoice,
        theirs=_told(invoice) if theirs else None,
    )


def _asked(request: HttpRequest):
    return request.POST if request.method == "POST" else None


def _wants_totals(request: HttpRequest) -> bool:
    return "preview" in request.POST or "confirm" in request.POST


def _page(
    shown: ModelAdmin, request: HttpRequest, form: RowsForm, seen: Seen | None, **told
) -> TemplateResponse:
    context = {
        **shown.admin_site.each_context(request),
        "opts": shown.opts,
        "form": styled(form),
        "lines": form.rows,
        "rows": [styled(line) for line in form.rows],
        "lines_max": services.ONE_OFF_LINES_MAX,
        "seen": seen,
        "preview_variant": "default" if seen else "primary",
        "once": request.POST.get("once") or uuid4().hex,
        **told,
    }
    return TemplateResponse(request, "admin/invoicing/one_off_form.html", context)


def _save(
    shown: ModelAdmin, request: HttpRequest, form: RowsForm, work: Callable[..., Invoice], *, done: str
) -> HttpResponse | None:
    """None if a rule refuses: the form then says why. A second click finds its work done."""
    try:
        invoice = retrying(_once)(request, partial(work, **form.cleaned_data))
    except DomainError as refusal:
        form.add_error(None, refusal.detail)
        return None
    if invoice is None:
        shown.message_user(request, "This was saved before; nothing was done twice.", messages.WARNING)
        return HttpResponseRedirect(reverse("admin:invoicing_invoice_changelist"))
    shown.message_user(request, done, messages.SUCCESS)
    return HttpResponseRedirect(reverse("admin:invoicing_invoice_change", args=[invoice.pk]))


@transaction.atomic
def _once(request: HttpRequest, work: Callable[[], Invoice]) -> Invoice | None:
    """Claimed and done together: what a rule refused can be tried again, what was saved cannot."""
    key = f"admin:one_off:{request.POST.get('once', '')}"[:255]
    if not claim_once(principal=actor_of(request), key=key, route=request.path[:255]):
        return None
    return work()


def _terms(*, seller: BillingEntity, customer: BillingEntity, **given) -> dict:
    return {"seller_id": seller.pk, "customer_id": customer.pk, "as_of": today_at(seller), **given}


def _what_is_drafted(given: dict) -> list[Table]:
    return preview_tables(services.preview_one_off_invoice(**_terms(**given)))


def _draft(request: HttpRequest, **given) -> Invoice:
    return services.draft_one_off_invoice(actor=actor_of(request), **_terms(**given))


def _what_is_revised(invoice: Invoice, given: dict) -> list[Table]:
    shown = services.preview_one_off_revision(invoice_id=invoice.pk, as_of=today_at(invoice.seller), **given)
    return preview_tables(shown, before=invoice)


def _revise(request: HttpRequest, invoice: Invoice, **given) -> Invoice:
    return services.revise_one_off_invoice(
        actor=actor_of(request), invoice_id=invoice.pk, as_of=today_at(invoice.seller), **given
    )


def _told(invoice: Invoice) -> dict:
    """Who changed it last, and what it says since then."""
    trail = AuditEntry.objects.filter(subject_type=invoice._meta.db_table, subject_id=str(invoice.pk))
    last = trail.order_by("-id").first()
    return {
        "who": names_of_actors({last.actor}).get(last.actor, last.actor) if last else "Somebody",
        "at": last.at if last else invoice.updated_at,
        "is_draft": invoice.state == InvoiceState.DRAFT,
        "tables": [lines_table(invoice.lines.order_by("position"), title="What it says now")],
    }


def _delete(request, invoice):
    services.delete_one_off_invoice(actor=actor_of(request), invoice_id=invoice.pk)


def _is_one_off_draft(invoice: Invoice) -> bool:
    return invoice.state == InvoiceState.DRAFT and invoice.billing_key.startswith("one_off:")


REVISE = ConsoleAction(
    name="revise_one_off",
    description="Revise lines…",
    effect="The draft's lines are replaced by those of the page.",
    permission=DRAFT,
    run=_revise,
    page=revise_page,
    icon="edit",
    applies=_is_one_off_draft,
)
DELETE = ConsoleAction(
    name="delete_one_off",
    description="Delete draft…",
    effect="The draft is gone, with its lines. It had no number.",
    permission=DRAFT,
    run=_delete,
    icon="delete",
    danger=True,
    applies=_is_one_off_draft,
)
