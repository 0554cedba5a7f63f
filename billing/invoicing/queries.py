"""Reads over invoices. Everything for a person goes through `visible`."""

from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from uuid import UUID

from django.db.models import (
    Case,
    Count,
    DecimalField,
    Exists,
    F,
    FilteredRelation,
    OuterRef,
    Prefetch,
    Q,
    QuerySet,
    Subquery,
    Sum,
    Value,
    When,
)
from django.db.models.functions import Coalesce

from billing.access.models import User
from billing.entities.models import BillingEntity
from billing.entities.reach import visible
from billing.invoicing.billing_runs.hooks import OWING
from billing.invoicing.models import (
    AllocationRule,
    AllocationRuleVersion,
    AllocationRun,
    BillingRun,
    ChargeClaim,
    ConsolidatedChild,
    ConsolidatedInvoice,
    ConsolidatedTotal,
    CostAllocation,
    CreditNote,
    Discount,
    DiscountGrant,
    GLCodeMapping,
    Invoice,
    InvoiceLine,
    TaxExemption,
    UsageClaim,
)
from billing.invoicing.states import InvoiceState, RuleState, RunItemState
from billing.subscriptions.models import Subscription, SubscriptionCharge
from billing.subscriptions.states import LIVE, SubscriptionState
from billing.usage.models import UsageEvent

# Invoices that drafting makes, and makes anew while they are drafts; and those that somebody writes.
FROM_SOURCES = Q(billing_key__startswith="usage:") | Q(billing_key__startswith="subscriptions:")
WRITTEN_BY_HAND = Q(billing_key__startswith="one_off:")

VIEW_INVOICE = "invoicing.view_invoice"
VIEW_CREDIT_NOTE = "invoicing.view_creditnote"
VIEW_ALLOCATION = "invoicing.view_costallocation"
VIEW_RUN = "invoicing.view_billingrun"
VIEW_CONSOLIDATION = "invoicing.view_consolidatedinvoice"
VIEW_DISCOUNT = "invoicing.view_discount"
VIEW_DISCOUNT_GRANT = "invoicing.view_discountgrant"
VIEW_EXEMPTION = "invoicing.view_taxexemption"
VIEW_RULE = "invoicing.view_allocationrule"
VIEW_ALLOCATION_RUN = "invoicing.view_allocationrun"
VIEW_MAPPING = "invoicing.view_glcodemapping"


def invoices_for(user: User, permission: str = VIEW_INVOICE) -> QuerySet[Invoice]:
    """Invoices whose customer is within reach."""
    invoices = Invoice.objects.select_related("seller", "customer")
    return visible(invoices, user=user, permission=permission, entity="customer")


def with_names(invoices: QuerySet[Invoice]) -> QuerySet[Invoice]:
    """`seller_name` and `customer_name` as columns: a list needs no whole companies, and no snapshots.

    And, of one in a live consolidation, that one's id and due day (`consolidated_invoice`, `consolidated_due_on`).
    """
    named = invoices.select_related(None).defer("snapshot")
    live = FilteredRelation("consolidations", condition=Q(consolidations__released_at__isnull=True))
    return named.annotate(
        seller_name=F("seller__name"),
        customer_name=F("customer__name"),
        live=live,
        consolidated_invoice=F("live__consolidated_invoice_id"),
        consolidated_due_on=F("live__consolidated_invoice__due_on"),
    )


def credit_notes_for(user: User, permission: str = VIEW_CREDIT_NOTE) -> QuerySet[CreditNote]:
    """Credit notes whose customer is within reach, with their invoices."""
    notes = CreditNote.objects.select_related("seller", "customer", "invoice")
    return visible(notes, user=user, permission=permission, entity="customer")


def creditable_lines(invoice: Invoice) -> list[tuple[InvoiceLine, Decimal]]:
    """The lines of which something is left to be credited, with the net that is, by position."""
    credited = Coalesce(
        Sum("credits__net_amount"), Decimal(0), output_field=InvoiceLine._meta.get_field("net_amount")
    )
    lines = invoice.lines.annotate(credited=credited).order_by("position")
    return [(line, left) for line in lines if (left := line.net_amount - line.credited)]


def exemptions_for(user: User, permission: str = VIEW_EXEMPTION) -> QuerySet[TaxExemption]:
    """Tax exemptions of the customers within reach."""
    return visible(TaxExemption.objects.all(), user=user, permission=permission, entity="customer")


def exemptions_in_force(exemptions: QuerySet[TaxExemption], *, on: date) -> QuerySet[TaxExemption]:
    return exemptions.filter(Q(ends_on__isnull=True) | Q(ends_on__gt=on), starts_on__lte=on)


def discounts_for(user: User, permission: str = VIEW_DISCOUNT) -> QuerySet[Discount]:
    """Discounts of the sellers within reach."""
    return visible(
        Discount.objects.select_related("seller"), user=user, permission=permission, entity="seller"
    )


def discount_grants_for(user: User, permission: str = VIEW_DISCOUNT_GRANT) -> QuerySet[DiscountGrant]:
    """What the customers within reach were granted."""
    grants = DiscountGrant.objects.select_related("discount", "customer")
    return visible(grants, user=user, permission=permission, entity="customer")


def overdue(invoices: QuerySet[Invoice], *, as_of: date) -> QuerySet[Invoice]:
    """Open and due before `as_of`; one in a live consolidation once that is due before `as_of`, too."""
    later = ConsolidatedChild.objects.filter(
        invoice=OuterRef("pk"), released_at__isnull=True, consolidated_invoice__due_on__gte=as_of
    )
    return invoices.filter(~Exists(later), state=InvoiceState.ISSUED, due_on__lt=as_of)


def without_document(
    *,
    seller_id: UUID,
    run_id: UUID | None = None,
    issued_from: date | None = None,
    issued_to: date | None = None,
) -> QuerySet[Invoice]:
    """Issued invoices of the seller, but for void ones, with no PDF yet; `issued_to` is exclusive."""
    missing = Invoice.objects.filter(seller_id=seller_id, document=None).exclude(
        state__in=[InvoiceState.DRAFT, InvoiceState.VOID]
    )
    if run_id is not None:
        missing = missing.filter(run_id=run_id)
    if issued_from is not None:
        missing = missing.filter(issued_on__gte=issued_from)
    if issued_to is not None:
        missing = missing.filter(issued_on__lt=issued_to)
    return missing.order_by("pk")


def runs_for(user: User, permission: str = VIEW_RUN) -> QuerySet[BillingRun]:
    """Billing runs of the sellers within reach, with what became of their customers."""
    counted = {
        f"customers_{state}": Count("items", filter=Q(items__state=state)) for state in RunItemState.values
    }
    runs = BillingRun.objects.select_related("seller").annotate(
        **counted, invoices_issued=Coalesce(Sum("items__invoices_issued"), 0)
    )
    return visible(runs, user=user, permission=permission, entity="seller")


def allocations_for(user: User, permission: str = VIEW_ALLOCATION) -> QuerySet[CostAllocation]:
    """Posted shares of entities (and, for budget owners, departments) within reach."""
    return visible(
        CostAllocation.objects.select_related(
            "line", "invoice", "department", "reversed_by", "rule_version__rule"
        ),
        user=user,
        permission=permission,
        entity="entity",
        department="department",
    )


def allocation_rules_for(user: User, permission: str = VIEW_RULE) -> QuerySet[AllocationRule]:
    """Rules of the entities within reach, with `state`: that of the version in force, else of the last one."""
    versions = AllocationRuleVersion.objects.filter(rule=OuterRef("pk"))
    rules = AllocationRule.objects.annotate(
        state=Case(
            When(Exists(versions.filter(state=RuleState.ACTIVE)), then=Value(RuleState.ACTIVE)),
            When(Exists(versions.filter(state=RuleState.RETIRED)), then=Value(RuleState.RETIRED)),
            default=Value(RuleState.DRAFT),
        )
    )
    return visible(rules, user=user, permission=permission)


def allocation_runs_for(user: User, permission: str = VIEW_ALLOCATION_RUN) -> QuerySet[AllocationRun]:
    """Allocation runs of the entities within reach."""
    return visible(
        AllocationRun.objects.select_related("entity", "rule_version__rule"), user=user, permission=permission
    )


def gl_code_mappings_for(user: User, permission: str = VIEW_MAPPING) -> QuerySet[GLCodeMapping]:
    """GL code mappings of the entities within reach."""
    return visible(GLCodeMapping.objects.all(), user=user, permission=permission)


def live_allocations(*, invoice: Invoice) -> QuerySet[CostAllocation]:
    """The shares that count: neither taken back nor taking back."""
    return CostAllocation.objects.filter(
        invoice=invoice, reverses__isnull=True, reversed_by__isnull=True
    ).order_by("pk")


def consolidations_for(user: User, permission: str = VIEW_CONSOLIDATION) -> QuerySet[ConsolidatedInvoice]:
    """Consolidated invoices whose payer is within reach."""
    return visible(
        ConsolidatedInvoice.objects.select_related("seller", "payer"),
        user=user,
        permission=permission,
        entity="payer",
    )


def with_open_amounts(documents: QuerySet[ConsolidatedInvoice]) -> QuerySet[ConsolidatedInvoice]:
    """With their totals by currency, and `open_amount` on each: what is open on its live children. One query more."""
    live = ConsolidatedChild.objects.filter(
        consolidated_invoice=OuterRef("consolidated_invoice"),
        currency=OuterRef("currency"),
        released_at__isnull=True,
    )
    open_amount = (
        live.order_by().values("currency").annotate(sum=Sum("invoice__balance_amount")).values("sum")
    )
    totals = ConsolidatedTotal.objects.annotate(
        open_amount=Coalesce(Subquery(open_amount), Decimal(0), output_field=DecimalField())
    )
    return documents.prefetch_related(Prefetch("totals", totals.order_by("currency")))


def live_consolidations(invoice_ids: Iterable[UUID]) -> dict[UUID, ConsolidatedInvoice]:
    """Of these invoices, those that are in a live consolidation, and which. Ask under the invoices' locks."""
    live = ConsolidatedChild.objects.filter(invoice_id__in=list(invoice_ids), released_at__isnull=True)
    return {
        child.invoice_id: child.consolidated_invoice for child in live.select_related("consolidated_invoice")
    }


def made_anew(*, as_of: date) -> Q:
    """The drafts that drafting as of a day makes anew: all that come from sources, and one-off ones whose day it is."""
    return (FROM_SOURCES | (WRITTEN_BY_HAND & Q(issue_on__lte=as_of))) & Q(state=InvoiceState.DRAFT)


def customers_due(*, seller_id: UUID, as_of: date) -> QuerySet[BillingEntity]:
    """Who may owe something by `as_of`, by code: usage not billed yet, a subscription whose next period begins,
    charges, a draft, or what a higher app knows of."""
    unclaimed = UsageEvent.objects.filter(
        ~Exists(UsageClaim.objects.filter(event=OuterRef("pk"), released_at__isnull=True)),
        entity=OuterRef("pk"),
        meter__entity_id=seller_id,
        counts=True,
    )
    subscribed = Subscription.objects.filter(entity=OuterRef("pk"), seller_id=seller_id)
    drafts = Invoice.objects.filter(made_anew(as_of=as_of), customer=OuterRef("pk"), seller_id=seller_id)
    charged = unbilled_charges(seller_id=seller_id, as_of=as_of)
    known_above = Q()
    for owing in OWING:
        known_above |= Q(pk__in=owing(seller_id=seller_id, as_of=as_of))
    return BillingEntity.objects.filter(
        Exists(unclaimed.filter(billed_on__lt=as_of.replace(day=1)))
        | (Exists(subscribed) & Exists(unclaimed.filter(billed_on__lt=as_of)))
        | Exists(subscribed.filter(state__in=LIVE, next_on__lte=as_of))
        | Exists(charged.filter(subscription__entity=OuterRef("pk")))
        | Exists(drafts)
        | known_above
    ).order_by("code")


def unbilled_charges(*, seller_id: UUID, as_of: date) -> QuerySet[SubscriptionCharge]:
    """Charges that are due by `as_of` and on no live line."""
    return _on_no_line(
        SubscriptionCharge.objects.filter(subscription__seller_id=seller_id, due_on__lte=as_of)
    )


def pending_credits(*, subscription_ids: Iterable[UUID]) -> QuerySet[SubscriptionCharge]:
    """What the subscriptions get back on an invoice to come that has enough to set it off against, oldest first."""
    credits = SubscriptionCharge.objects.filter(subscription_id__in=list(subscription_ids), amount__lt=0)
    return _on_no_line(credits).order_by("due_on", "pk")


def _on_no_line(charges: QuerySet[SubscriptionCharge]) -> QuerySet[SubscriptionCharge]:
    claims = ChargeClaim.objects.filter(charge=OuterRef("pk"), released_at__isnull=True)
    return charges.filter(~Exists(claims))


def subscriptions_overdue(*, as_of: date) -> QuerySet[Subscription]:
    """Those with a charge on an invoice that is overdue on `as_of`."""
    late = overdue(Invoice.objects.all(), as_of=as_of)
    claims = ChargeClaim.objects.filter(released_at__isnull=True, line__invoice__in=late)
    return Subscription.objects.filter(pk__in=claims.values("charge__subscription"))


def standing_to_review(*, as_of: date) -> QuerySet[Subscription]:
    """Whose standing may have changed: active ones that are overdue, and all that were."""
    late = Q(pk__in=subscriptions_overdue(as_of=as_of).values("pk"), state=SubscriptionState.ACTIVE)
    return Subscription.objects.filter(late | Q(state=SubscriptionState.PAST_DUE))


def subscriptions_on(*, invoice_id: UUID) -> QuerySet[Subscription]:
    """Whose charges are, or were until it was void, on the invoice."""
    claims = ChargeClaim.objects.filter(line__invoice=invoice_id)
    return Subscription.objects.filter(pk__in=claims.values("charge__subscription"))


def has_invoices(entity_id: UUID) -> bool:
    """Has the entity sent or received one? From then on it keeps its currency. (A draft is made anew.)"""
    theirs = Invoice.objects.filter(Q(customer_id=entity_id) | Q(seller_id=entity_id))
    return theirs.exclude(state=InvoiceState.DRAFT).exists()
