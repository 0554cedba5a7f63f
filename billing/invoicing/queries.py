"""Reads over invoices. Everything for a person goes through `visible`."""

from datetime import date
from uuid import UUID

from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet, Sum
from django.db.models.functions import Coalesce

from billing.access.models import User
from billing.entities.models import BillingEntity
from billing.entities.reach import visible
from billing.invoicing.models import BillingRun, CostAllocation, Invoice, UsageClaim
from billing.invoicing.states import InvoiceState, RunItemState
from billing.usage.models import UsageEvent

VIEW_INVOICE = "invoicing.view_invoice"
VIEW_ALLOCATION = "invoicing.view_costallocation"
VIEW_RUN = "invoicing.view_billingrun"


def invoices_for(user: User, verb: str = VIEW_INVOICE) -> QuerySet[Invoice]:
    """Invoices whose customer is within reach."""
    invoices = Invoice.objects.select_related("seller", "customer")
    return visible(invoices, user=user, verb=verb, entity="customer")


def with_names(invoices: QuerySet[Invoice]) -> QuerySet[Invoice]:
    """`seller_name` and `customer_name` as columns: a list needs no whole companies, and no snapshots."""
    named = invoices.select_related(None).defer("snapshot")
    return named.annotate(seller_name=F("seller__name"), customer_name=F("customer__name"))


def overdue(invoices: QuerySet[Invoice], *, as_of: date) -> QuerySet[Invoice]:
    """Open and due before `as_of`."""
    return invoices.filter(state=InvoiceState.ISSUED, due_on__lt=as_of)


def runs_for(user: User, verb: str = VIEW_RUN) -> QuerySet[BillingRun]:
    """Billing runs of the sellers within reach, with what became of their customers."""
    counted = {
        f"customers_{state}": Count("items", filter=Q(items__state=state)) for state in RunItemState.values
    }
    runs = BillingRun.objects.select_related("seller").annotate(
        **counted, invoices_issued=Coalesce(Sum("items__invoices_issued"), 0)
    )
    return visible(runs, user=user, verb=verb, entity="seller")


def allocations_for(user: User, verb: str = VIEW_ALLOCATION) -> QuerySet[CostAllocation]:
    """Posted shares of entities (and, for budget owners, departments) within reach."""
    return visible(
        CostAllocation.objects.select_related("line", "invoice", "department", "reversed_by"),
        user=user,
        verb=verb,
        entity="entity",
        department="department",
    )


def live_allocations(*, invoice: Invoice) -> QuerySet[CostAllocation]:
    """The shares that count: neither taken back nor taking back."""
    return CostAllocation.objects.filter(
        invoice=invoice, reverses__isnull=True, reversed_by__isnull=True
    ).order_by("pk")


def customers_due(*, seller_id: UUID, as_of: date) -> QuerySet[BillingEntity]:
    """Customers with unbilled usage before the month of `as_of`, or with a usage draft, by code."""
    unclaimed = UsageEvent.objects.filter(
        ~Exists(UsageClaim.objects.filter(event=OuterRef("pk"), released_at__isnull=True)),
        entity=OuterRef("pk"),
        meter__entity_id=seller_id,
        billed_on__lt=as_of.replace(day=1),
    )
    drafts = Invoice.objects.filter(
        customer=OuterRef("pk"),
        seller_id=seller_id,
        state=InvoiceState.DRAFT,
        billing_key__startswith="usage:",
    )
    return BillingEntity.objects.filter(Exists(unclaimed) | Exists(drafts)).order_by("code")


def has_invoices(entity_id: UUID) -> bool:
    """Has the entity sent or received one? From then on it keeps its currency. (A draft is made anew.)"""
    theirs = Invoice.objects.filter(Q(customer_id=entity_id) | Q(seller_id=entity_id))
    return theirs.exclude(state=InvoiceState.DRAFT).exists()
