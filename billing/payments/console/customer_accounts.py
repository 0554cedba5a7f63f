"""Customer accounts in the console: what each owes, and its statement of any period."""

from datetime import date, timedelta
from decimal import Decimal

from django import forms
from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.db.models import F, OuterRef, Q, Subquery, Sum
from django.urls import reverse
from django.utils.http import urlencode
from unfold.decorators import display

from billing.entities.models import BillingEntity
from billing.entities.queries import entities_for, seller_of, today_at
from billing.invoicing.models import Invoice
from billing.invoicing.states import InvoiceState
from billing.kernel.console.base import ReadOnlyAdmin
from billing.kernel.console.forms import styled, today
from billing.kernel.console.tables import Table, money
from billing.payments import queries
from billing.payments.models import CustomerAccount
from billing.payments.queries.statements import Statement, balances_of, currencies_of, statement_of

AGE_LABELS = {
    "not_due": "Not due",
    "overdue_30": "1 to 30 days",
    "overdue_60": "31 to 60 days",
    "overdue_90": "61 to 90 days",
    "overdue_more": "More than 90 days",
    "unapplied": "Not applied",
}


class PeriodForm(forms.Form):
    """Which statement is shown."""

    starts_on = forms.DateField(widget=forms.DateInput(), label="From")
    ends_on = forms.DateField(widget=forms.DateInput(), label="Until, included")
    currency = forms.ChoiceField()

    def __init__(self, *args, currencies: list[str], **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.fields["currency"].choices = [(code, code) for code in currencies]

    def clean(self):
        given = super().clean()
        if len(given) == 3 and given["ends_on"] < given["starts_on"]:
            self.add_error("ends_on", "The period ends before it starts.")
        return given


@admin.register(CustomerAccount)
class CustomerAccountAdmin(ReadOnlyAdmin):
    list_display = ("code", "name", "shown_open", "shown_overdue", "payment_terms_days")
    list_filter = ("state", "currency")
    search_fields = ("code", "name", "legal_name")
    search_help_text = "Code or name of the customer"
    ordering = ("code",)
    fields = (("code", "name"), ("currency", "payment_terms_days"))
    change_form_after_template = "admin/payments/account.html"

    def get_queryset(self, request):
        """Customers within reach, with what is open and overdue in their own currency."""
        open_ones = (
            Invoice.objects.filter(
                customer=OuterRef("pk"), currency=OuterRef("currency"), state=InvoiceState.ISSUED
            )
            .order_by()
            .values("customer")
        )
        late = Q(due_on__lt=today())
        within = entities_for(request.user, queries.VIEW_ACCOUNT)
        return (
            CustomerAccount.objects.filter(pk__in=within.values("pk"), is_customer=True)
            .annotate(
                open_amount=Subquery(open_ones.annotate(sum=Sum("balance_amount")).values("sum")),
                overdue_amount=Subquery(
                    open_ones.annotate(sum=Sum("balance_amount", filter=late)).values("sum")
                ),
            )
            .order_by(*self.ordering)
        )

    def change_view(self, request, object_id, form_url="", extra_context=None):
        account = self.get_object(request, unquote(object_id))
        context = _account(request, account) if account is not None else {}
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **context})

    @display(description="Open", ordering=F("open_amount").desc(nulls_last=True))
    def shown_open(self, account):
        return money(account.open_amount or Decimal(0), account.currency)

    @display(description="Overdue", ordering=F("overdue_amount").desc(nulls_last=True))
    def shown_overdue(self, account):
        return money(account.overdue_amount or Decimal(0), account.currency)


def _account(request, account: BillingEntity) -> dict:
    """The balances of today, the form of the period, and the statement it asks for."""
    seller = seller_of(account)
    if seller is None:
        return {"tables": [], "account_note": "Nobody sells to this entity."}
    day = today_at(seller)
    currencies = currencies_of(seller=seller, customer=account) or [account.currency]
    shown = {
        "starts_on": (day - timedelta(days=90)).isoformat(),
        "ends_on": day.isoformat(),
        "currency": account.currency if account.currency in currencies else currencies[0],
    }
    asked = {name: request.GET.get(name, default) for name, default in shown.items()}
    form = PeriodForm(asked, currencies=currencies)
    tables, link = [_balances(account, seller, day)], ""
    if form.is_valid():
        given = form.cleaned_data
        statement = statement_of(
            seller=seller,
            customer=account,
            currency=given["currency"],
            starts_on=given["starts_on"],
            ends_on=given["ends_on"] + timedelta(days=1),
        )
        tables += tables_of(statement)
        link = _document(statement)
    return {"tables": tables, "period_form": styled(form), "document": link}


def _document(statement: Statement) -> str:
    """Where the statement is as PDF."""
    asked = {
        "seller": statement.seller.pk,
        "currency": statement.currency,
        "period_start": statement.starts_on,
        "period_end": statement.ends_on,
    }
    return f"{reverse('entity-statement-pdf', args=[statement.customer.pk])}?{urlencode(asked)}"


def _balances(account: BillingEntity, seller: BillingEntity, day: date) -> Table:
    return Table(
        title=f"Owed to {seller.name} today",
        headers=["Currency", "Open invoices", "Overdue", "Not applied", "Balance"],
        rows=[
            [
                row.currency,
                *(
                    money(amount, row.currency)
                    for amount in (
                        row.receivable_amount,
                        row.overdue_amount,
                        row.unapplied_amount,
                        row.balance_amount,
                    )
                ),
            ]
            for row in balances_of(seller=seller, customer=account, as_of=day)
        ],
        note="Not applied: payments and credit notes that settle no invoice yet.",
    )


def tables_of(statement: Statement) -> list[Table]:
    """Movements, what is open at the end, and how old it is."""
    currency, last = statement.currency, statement.ends_on - timedelta(days=1)
    return [
        Table(
            title=f"Statement of account, {statement.starts_on} – {last}",
            headers=["Day", "Document", "Reference", "What", "Debit", "Credit", "Balance"],
            rows=[
                ["", "", "", "Opening balance", "", "", money(statement.opening_balance, currency)],
                *(
                    [
                        str(move.day),
                        move.kind.replace("_", " "),
                        move.reference,
                        f"{move.description} ({move.event.replace('_', ' ')})",
                        money(move.debit, currency) if move.debit else "",
                        money(move.credit, currency) if move.credit else "",
                        money(move.balance, currency),
                    ]
                    for move in statement.movements
                ),
                [
                    "",
                    "",
                    "",
                    "Closing balance",
                    money(statement.debit_amount, currency),
                    money(statement.credit_amount, currency),
                    money(statement.closing_balance, currency),
                ],
            ],
        ),
        Table(
            title=f"Open at the end of {last}",
            headers=["Document", "Reference", "Of", "Due on", "Amount", "Open"],
            rows=[
                [
                    item.kind.replace("_", " "),
                    item.reference,
                    str(item.day),
                    str(item.due_on or "–"),
                    money(item.amount, currency),
                    money(item.open_amount, currency),
                ]
                for item in statement.open_items
            ],
        ),
        Table(
            title="How old it is",
            headers=[AGE_LABELS[age.label] for age in statement.ageing],
            rows=[[money(age.amount, currency) for age in statement.ageing]],
        ),
    ]
