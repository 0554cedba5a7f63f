"""What a FOCUS file needs before its charges can be recorded: customers, departments, products, prices, meters."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from uuid import UUID

from django.db import transaction
from django.db.models.functions import Length

from billing.entities.models import BillingEntity, Consolidation, Department
from billing.entities.services import create_department, create_entity, lock_trees
from billing.kernel.retrying import retrying
from billing.subscriptions.models import Price, PriceModel, Product
from billing.subscriptions.queries import price_of
from billing.subscriptions.services import add_price, create_product
from billing.usage import rows
from billing.usage.errors import MarkUpAlreadySet
from billing.usage.importing.files import Line
from billing.usage.importing.focus import Account, Charge, distinct_code, product_code, read_charge
from billing.usage.models import Meter
from billing.usage.services.meters import create_meter

SINCE = date(2000, 1, 1)  # before any bill that could still come
DEPARTMENTS, ENTITIES = "departments", "entities"


@dataclass
class Plan:
    """Everything the charges of a file name: read before the first of them is recorded."""

    accounts: dict[str, Account] = field(default_factory=dict)
    sub_accounts: dict[tuple[str, str], str] = field(default_factory=dict)  # (account, id) -> name
    priced: dict[tuple[str, str], date] = field(default_factory=dict)  # (category, currency) -> first period

    def add(self, charge: Charge) -> None:
        account = self.accounts.setdefault(charge.account.reference, charge.account)
        if charge.sub_account:
            self.sub_accounts.setdefault((account.reference, charge.sub_account), charge.sub_account_name)
        key = charge.category, charge.account.currency
        self.priced[key] = min(self.priced.get(key, charge.period_starts_on), charge.period_starts_on)


@dataclass(frozen=True)
class Places:
    """Where charges go."""

    customers: Mapping[str, UUID]
    sub_accounts: Mapping[tuple[str, str], UUID]
    as_entities: bool

    def of(self, charge: Charge) -> tuple[UUID, UUID | None]:
        """The entity and the department of a charge. Without a sub-account: no department."""
        reference = charge.account.reference
        sub_account = self.sub_accounts.get((reference, charge.sub_account))
        if sub_account and self.as_entities:
            return sub_account, None
        return self.customers[reference], sub_account


def plan_of(lines: Iterable[Line]) -> Plan:
    plan = Plan()
    for line in lines:
        if not line.fault:
            try:
                plan.add(read_charge(line.values))
            except rows.Malformed:
                continue  # told when its turn comes
    return plan


@retrying
@transaction.atomic
def prepare(
    *,
    actor: str,
    seller: BillingEntity,
    plan: Plan,
    sub_accounts: str,
    gl_code: str,
    mark_up: Decimal | None,
) -> Places:
    """Create what is missing, find what is there. Raises MarkUpAlreadySet and what the services raise."""
    lock_trees([seller.pk])  # two imports for one seller do not create twice
    customers = _customers(actor, seller, plan)
    lock_trees({seller.pk, *(customer.pk for customer in customers.values())})  # at once, so in one order
    for category in sorted({category for category, _ in plan.priced}):
        _product(actor, seller, category, gl_code)
    for (category, currency), period_start in sorted(plan.priced.items()):
        product = Product.objects.get(entity=seller, code__iexact=product_code(category))
        _price(actor, product, currency, period_start, mark_up)
    create = _child_entities if sub_accounts == ENTITIES else _departments
    return Places(
        customers={reference: customer.pk for reference, customer in customers.items()},
        sub_accounts=create(actor, customers, plan),
        as_entities=sub_accounts == ENTITIES,
    )


def _customers(actor: str, seller: BillingEntity, plan: Plan) -> dict[str, BillingEntity]:
    known: dict[str, BillingEntity] = {}
    below = BillingEntity.objects.filter(path__startswith=seller.path).exclude(pk=seller.pk)
    found = below.filter(external_reference__in=plan.accounts)
    for entity in found.order_by(Length("path"), "pk"):  # the nearest one, also if it was moved
        known.setdefault(entity.external_reference, entity)
    for reference, account in plan.accounts.items():
        if reference not in known:
            known[reference] = create_entity(
                actor=actor,
                parent_id=seller.pk,
                code=distinct_code(account.name, f"{seller.pk}:{reference}"),
                name=account.name,
                currency=account.currency,
                country=seller.country,
                starts_on=SINCE,
                external_reference=reference,
            )
    return known


def _departments(
    actor: str, customers: Mapping[str, BillingEntity], plan: Plan
) -> dict[tuple[str, str], UUID]:
    by_entity = {customer.pk: reference for reference, customer in customers.items()}
    known = {
        (by_entity[department.entity_id], department.external_reference): department.pk
        for department in Department.objects.filter(entity__in=by_entity).exclude(external_reference="")
    }
    for (reference, sub_account), name in plan.sub_accounts.items():
        if (reference, sub_account) not in known:
            known[reference, sub_account] = create_department(
                actor=actor,
                entity_id=customers[reference].pk,
                code=distinct_code(name, sub_account),
                name=name,
                starts_on=SINCE,
                external_reference=sub_account,
            ).pk
    return known


def _child_entities(
    actor: str, customers: Mapping[str, BillingEntity], plan: Plan
) -> dict[tuple[str, str], UUID]:
    by_entity = {customer.pk: reference for reference, customer in customers.items()}
    known = {
        (by_entity[child.parent_id], child.external_reference): child.pk
        for child in BillingEntity.objects.filter(parent__in=by_entity).exclude(external_reference="")
    }
    for (reference, sub_account), name in plan.sub_accounts.items():
        if (reference, sub_account) not in known:
            parent = customers[reference]
            known[reference, sub_account] = create_entity(
                actor=actor,
                parent_id=parent.pk,
                code=distinct_code(name, f"{parent.pk}:{sub_account}"),
                name=name,
                currency=parent.currency,
                country=parent.country,
                starts_on=SINCE,
                external_reference=sub_account,
                consolidation=Consolidation.ROLL_UP,
            ).pk
    return known


def _product(actor: str, seller: BillingEntity, category: str, gl_code: str) -> None:
    code = product_code(category)
    product = Product.objects.filter(entity=seller, code__iexact=code).first()
    if product is None:
        product = create_product(
            actor=actor, entity_id=seller.pk, code=code, name=category, unit="charge", gl_code=gl_code
        )
    if not Meter.objects.filter(entity=seller, code__iexact=code).exists():
        create_meter(
            actor=actor, entity_id=seller.pk, code=code, name=category, product_id=product.pk, unit="mixed"
        )


def _price(actor: str, product: Product, currency: str, period_start: date, mark_up: Decimal | None) -> None:
    """`mark_up` None: what is in force, or none for a new product."""
    last: Price | None = product.prices.filter(plan=None, currency=currency).order_by("-number").first()
    if last is None:
        starts_on = SINCE
    else:
        in_force = price_of(product.pk, currency, period_start)
        if mark_up is None or (in_force and in_force.markup_percent == mark_up):
            return
        if period_start <= last.starts_on:
            raise MarkUpAlreadySet(
                f"'{product.code}' has its price in {currency} from {last.starts_on} on;"
                f" another mark-up can only start later, not on {period_start}."
            )
        starts_on = period_start
    add_price(
        actor=actor,
        product_id=product.pk,
        currency=currency,
        model=PriceModel.PASS_THROUGH,
        markup_percent=mark_up or Decimal(0),
        starts_on=starts_on,
    )
