"""Reads over invoices. Everything for a person goes through `visible`."""

from datetime import date
from uuid import UUID

from django.db.models import Exists, OuterRef, QuerySet

from billing.access.models import User
from billing.entities.models import BillingEntity
from billing.entities.reach import visible
from billing.invoicing.models import CostAllocation, Invoice, UsageClaim
from billing.invoicing.states import InvoiceState
from billing.usage.models import UsageEvent


def invoices_for(user: User) -> QuerySet[Invoice]:
    """Invoices whose customer is within reach."""
    return visible(
        Invoice.objects.select_related("seller", "customer"),
        user=user,
        verb="invoicing.view_invoice",
        entity="customer",
    )


def allocations_for(user: User) -> QuerySet[CostAllocation]:
    """Posted shares of entities (and, for budget owners, departments) within reach."""
    return visible(
        CostAllocation.objects.select_related("line", "invoice", "department"),
        user=user,
        verb="invoicing.view_costallocation",
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
