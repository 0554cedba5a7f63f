"""Reads over dunning. Everything for a person goes through `visible`."""

from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db.models import Count, Exists, Min, OuterRef, Prefetch, Q, QuerySet, Subquery, Sum

from billing.access.models import User
from billing.dunning.models import (
    DunningAssignment,
    DunningCase,
    DunningMail,
    DunningNotice,
    DunningPause,
    DunningPolicy,
    DunningRun,
    DunningStep,
    LateFee,
    LateFeeClaim,
)
from billing.dunning.states import CaseState, FeeState, ItemState, PolicyState, RunState
from billing.entities.models import BillingEntity
from billing.entities.reach import visible
from billing.invoicing.models import ChargeClaim, Invoice
from billing.invoicing.states import InvoiceState

VIEW_POLICY = "dunning.view_dunningpolicy"
VIEW_ASSIGNMENT = "dunning.view_dunningassignment"
VIEW_CASE = "dunning.view_dunningcase"
VIEW_NOTICE = "dunning.view_dunningnotice"
VIEW_PAUSE = "dunning.view_dunningpause"
VIEW_FEE = "dunning.view_latefee"
VIEW_MAIL = "dunning.view_dunningmail"
VIEW_RUN = "dunning.view_dunningrun"
LIVE = (CaseState.OPEN, CaseState.HANDED_OVER)
FIRST_HOUR = 6  # of the seller's day: nobody likes a reminder at midnight


def policies_for(user: User, permission: str = VIEW_POLICY) -> QuerySet[DunningPolicy]:
    """The policies of sellers within reach, with their steps and amounts."""
    policies = DunningPolicy.objects.select_related("seller").prefetch_related(
        Prefetch("steps", DunningStep.objects.order_by("position")), "amounts"
    )
    return visible(policies, user=user, permission=permission, entity="seller")


def assignments_for(user: User, permission: str = VIEW_ASSIGNMENT) -> QuerySet[DunningAssignment]:
    assignments = DunningAssignment.objects.select_related("customer", "policy")
    return visible(assignments, user=user, permission=permission, entity="customer")


def cases_for(user: User, permission: str = VIEW_CASE) -> QuerySet[DunningCase]:
    cases = DunningCase.objects.select_related("customer", "invoice", "policy")
    return visible(cases, user=user, permission=permission, entity="customer")


def notices_for(user: User, permission: str = VIEW_NOTICE) -> QuerySet[DunningNotice]:
    notices = DunningNotice.objects.select_related("customer", "invoice", "step")
    return visible(notices, user=user, permission=permission, entity="customer")


def pauses_for(user: User, permission: str = VIEW_PAUSE) -> QuerySet[DunningPause]:
    pauses = DunningPause.objects.select_related("customer", "invoice")
    return visible(pauses, user=user, permission=permission, entity="customer")


def fees_for(user: User, permission: str = VIEW_FEE) -> QuerySet[LateFee]:
    """With `billed_invoice` and `billed_invoice_number` of the live invoice, or draft, that a fee is on."""
    live = LateFeeClaim.objects.filter(fee=OuterRef("pk"), released_at__isnull=True)
    fees = LateFee.objects.select_related("customer", "invoice", "step").annotate(
        billed_invoice=Subquery(live.values("line__invoice_id")),
        billed_invoice_number=Subquery(live.values("line__invoice__number")),
    )
    return visible(fees, user=user, permission=permission, entity="customer")


def unbilled_fees(*, seller_id: UUID, as_of: date) -> QuerySet[LateFee]:
    """Charged by `as_of`, neither waived nor on a live line. Of a void invoice nothing was owed, nor is a fee."""
    claims = LateFeeClaim.objects.filter(fee=OuterRef("pk"), released_at__isnull=True)
    fees = LateFee.objects.filter(
        ~Exists(claims), invoice__seller_id=seller_id, state=FeeState.TO_BE_BILLED, charged_on__lte=as_of
    )
    return fees.exclude(invoice__state=InvoiceState.VOID)


def fees_on(invoice_ids: Iterable[UUID]) -> dict[UUID, Decimal]:
    """By invoice, what of its total is late fees for other invoices."""
    claims = LateFeeClaim.objects.filter(released_at__isnull=True, line__invoice__in=list(invoice_ids))
    return dict(claims.values_list("line__invoice").annotate(Sum("line__net_amount")))


def mails_for(user: User, permission: str = VIEW_MAIL) -> QuerySet[DunningMail]:
    mails = DunningMail.objects.select_related("customer", "seller")
    return visible(mails, user=user, permission=permission, entity="customer")


def runs_for(user: User, permission: str = VIEW_RUN) -> QuerySet[DunningRun]:
    counted = {
        f"customers_{state}": Count("items", filter=Q(items__state=state)) for state in ItemState.values
    }
    runs = DunningRun.objects.select_related("seller").annotate(**counted)
    return visible(runs, user=user, permission=permission, entity="seller")


def in_force(rows: QuerySet, *, on: date) -> QuerySet:
    """Assignments or pauses that cover the day."""
    return rows.filter(Q(ends_on__isnull=True) | Q(ends_on__gt=on), starts_on__lte=on)


def open_invoices(*, seller_id: UUID, customer_ids: Iterable[UUID]) -> QuerySet[Invoice]:
    return Invoice.objects.filter(
        seller_id=seller_id, customer_id__in=list(customer_ids), state=InvoiceState.ISSUED
    ).order_by("customer_id", "due_on", "sequence", "pk")


def customers_to_see(*, seller_id: UUID, as_of: date) -> QuerySet[BillingEntity]:
    """Who may have a step due, by code: something open that the earliest step of any policy has reached, or a
    live case (which may have to be closed)."""
    earliest = DunningStep.objects.filter(policy__seller_id=seller_id).exclude(
        policy__state=PolicyState.DRAFT
    ).aggregate(first=Min("days_after_due"))["first"]  # fmt: skip
    if earliest is None:
        return BillingEntity.objects.none()
    reached = Invoice.objects.filter(
        customer=OuterRef("pk"),
        seller_id=seller_id,
        state=InvoiceState.ISSUED,
        due_on__lte=as_of - timedelta(days=earliest),
    )
    cases = DunningCase.objects.filter(customer=OuterRef("pk"), seller_id=seller_id, state__in=LIVE)
    return BillingEntity.objects.filter(Exists(reached) | Exists(cases)).order_by("code")


def policies_of(
    customers: Sequence[BillingEntity], *, seller_id: UUID, on: date
) -> dict[UUID, DunningPolicy]:
    """Customer -> the active policy it goes by on the day; who goes by none is left out. Three queries.

    The nearest assignment at or above the customer counts, and means what is active under its policy's code;
    without one, or if nothing is active under it, the seller's default.
    """
    active = DunningPolicy.objects.filter(seller_id=seller_id, state=PolicyState.ACTIVE)
    by_code = {policy.code.lower(): policy for policy in active}
    default = next((policy for policy in by_code.values() if policy.is_default), None)
    lines = {customer.pk: _line_of(customer) for customer in customers}
    assigned = in_force(DunningAssignment.objects.filter(seller_id=seller_id), on=on).filter(
        customer_id__in={pk for line in lines.values() for pk in line}
    )
    code_at = dict(assigned.values_list("customer_id", "policy__code"))
    found = {}
    for customer_id, line in lines.items():
        code = next((code_at[pk] for pk in line if pk in code_at), None)
        policy = by_code.get(code.lower(), default) if code else default
        if policy:
            found[customer_id] = policy
    return found


def subscriptions_on(invoice_ids: Iterable[UUID]) -> list[tuple[UUID, UUID]]:
    """(invoice, subscription) for every subscription that is charged on one of the invoices."""
    claims = ChargeClaim.objects.filter(released_at__isnull=True, line__invoice__in=list(invoice_ids))
    return sorted(set(claims.values_list("line__invoice_id", "charge__subscription_id")))


def sellers_with_policies() -> QuerySet[BillingEntity]:
    """Who has, or had, an active dunning policy, by code: cases of a retired one go on."""
    policies = DunningPolicy.objects.filter(seller=OuterRef("pk")).exclude(state=PolicyState.DRAFT)
    return BillingEntity.objects.filter(Exists(policies)).order_by("code")


def sellers_due(*, at: datetime) -> list[tuple[BillingEntity, date]]:
    """Sellers whose working day has begun and whose run of that day is not finished, with the day."""
    yesterday = at.date() - timedelta(days=1)  # somewhere it is still yesterday
    finished = set(
        DunningRun.objects.filter(state=RunState.FINISHED, as_of__gte=yesterday).values_list(
            "seller", "as_of"
        )
    )
    due = []
    for seller in sellers_with_policies():
        there = at.astimezone(ZoneInfo(seller.time_zone))
        if there.hour >= FIRST_HOUR and (seller.pk, there.date()) not in finished:
            due.append((seller, there.date()))
    return due


def _line_of(customer: BillingEntity) -> list[UUID]:
    """The customer and everything above it, the nearest first."""
    return [UUID(hex=part) for part in reversed(customer.path.strip("/").split("/"))]
