from collections.abc import Mapping, Sequence
from uuid import UUID

from django.db import transaction

from billing.entities.models import BillingEntity
from billing.kernel import audit
from billing.kernel.errors import Invalid, NotFound
from billing.kernel.versions import require_version
from billing.subscriptions.errors import NotASeller, PlanCodeTaken, PlanItemNotPossible
from billing.subscriptions.models import Basis, Interval, Plan, PlanItem, Product, Timing

EDITABLE = {"name", "trial_days", "is_active", "metadata"}
ITEMS_MAX = 100
INTERVAL_COUNT_MAX = 120
TRIAL_DAYS_MAX = 3650
BILLED_AFTERWARDS = {Basis.USAGE, Basis.SEATS}  # nobody knows how much before the period is over

Item = Mapping[str, object]


@transaction.atomic
def create_plan(
    *,
    actor: str,
    entity_id: UUID,
    code: str,
    name: str,
    interval: str,
    items: Sequence[Item],
    interval_count: int = 1,
    trial_days: int = 0,
    metadata: dict | None = None,
) -> Plan:
    """Add a plan to a seller's catalogue: what a subscription subscribes to, every so many intervals.

    `items` are {"product_id", "timing", "basis"}, 1 to 100, in the order of the invoice; usage and seats are
    billed in arrears. Interval and items stay as they are: another offer is another plan. Prices come
    beside it, by `add_price`. Codes are unique per seller, whatever their case. Raises NotFound, NotASeller,
    PlanCodeTaken, PlanItemNotPossible (a product that is not the seller's, not sold any more, or named
    twice; a timing that its basis cannot have; seats twice), or Invalid.
    """
    _require_cycle(interval, interval_count)
    _require_trial(trial_days)
    # The seller's row is the queue for its codes, so that the second of two is told and not crashed.
    seller = BillingEntity.objects.locked().filter(pk=entity_id).first()
    if seller is None:
        raise NotFound("There is no such entity.")
    if not seller.is_seller:
        raise NotASeller(f"{seller.name} sells nothing.")
    if Plan.objects.filter(entity=seller, code__iexact=code).exists():
        raise PlanCodeTaken(f"There is already a plan '{code}'.", plan_code=code)
    products = _products_of(seller, items)

    plan = Plan.objects.create(
        entity=seller,
        code=code,
        name=name,
        interval=interval,
        interval_count=interval_count,
        trial_days=trial_days,
        metadata=metadata or {},
    )
    PlanItem.objects.bulk_create(
        PlanItem(
            plan=plan,
            position=position,
            product=products[item["product_id"]],
            timing=item["timing"],
            basis=item["basis"],
        )
        for position, item in enumerate(items, start=1)
    )
    audit.record(
        actor=actor,
        action="plan.created",
        subject=plan,
        detail={"code": code, "products": [products[item["product_id"]].code for item in items]},
    )
    return plan


@transaction.atomic
def update_plan(
    *, actor: str, plan_id: UUID, changes: Mapping[str, object], version: int | None = None
) -> Plan:
    """Change name, days of trial, metadata, or whether it is still offered.

    Running subscriptions keep the trial they were given, and a plan that is not offered any more.
    `version` is the one last seen. Raises NotFound, PreconditionFailed, or Invalid for what is not editable.
    """
    if unknown := sorted(changes.keys() - EDITABLE):
        raise Invalid(f"Not editable: {', '.join(unknown)}.", fields=unknown)
    plan = Plan.objects.locked().filter(pk=plan_id).first()
    if plan is None:
        raise NotFound("There is no such plan.")
    require_version(plan, version)
    _require_trial(changes.get("trial_days", plan.trial_days))
    changed = sorted(name for name, value in changes.items() if getattr(plan, name) != value)
    if not changed:
        return plan
    for name in changed:
        setattr(plan, name, changes[name])
    plan.save(update_fields=changed)
    plan.refresh_from_db()
    audit.record(actor=actor, action="plan.updated", subject=plan, detail={"fields": changed})
    return plan


def _require_cycle(interval: str, interval_count: int) -> None:
    if interval not in Interval.values:
        raise Invalid(f"'{interval}' is not an interval.", known=Interval.values)
    if not 1 <= interval_count <= INTERVAL_COUNT_MAX:
        raise Invalid(f"A plan is billed every 1 to {INTERVAL_COUNT_MAX} intervals.")


def _require_trial(days: object) -> None:
    if not isinstance(days, int) or not 0 <= days <= TRIAL_DAYS_MAX:
        raise Invalid(f"A trial has 0 to {TRIAL_DAYS_MAX} days.")


def _products_of(seller: BillingEntity, items: Sequence[Item]) -> dict[UUID, Product]:
    """The products of the items by id, locked: none of them stops being sold meanwhile."""
    if not 1 <= len(items) <= ITEMS_MAX:
        raise Invalid(f"A plan has 1 to {ITEMS_MAX} items.")
    wanted = [item["product_id"] for item in items]
    products = {p.pk: p for p in Product.objects.locked().filter(pk__in=wanted, entity=seller)}
    for position, item in enumerate(items, start=1):
        product = products.get(item["product_id"])
        if product is None:
            raise _refusal(position, "the seller has no such product")
        if not product.is_active:
            raise _refusal(position, f"'{product.code}' is not sold any more")
        if wanted.index(product.pk) != position - 1:
            raise _refusal(position, f"'{product.code}' is on the plan already")
        if item["timing"] not in Timing.values or item["basis"] not in Basis.values:
            raise Invalid(
                f"Item {position} has no such timing or basis.", timings=Timing.values, bases=Basis.values
            )
        if item["basis"] in BILLED_AFTERWARDS and item["timing"] != Timing.IN_ARREARS:
            raise _refusal(position, f"what is charged by {item['basis']} is billed in arrears")
    if [item["basis"] for item in items].count(Basis.SEATS) > 1:
        raise PlanItemNotPossible("Seats are trued up once: one item of a plan is charged by seats.")
    return products


def _refusal(position: int, why: str) -> PlanItemNotPossible:
    return PlanItemNotPossible(f"Item {position}: {why}.", item=position)
