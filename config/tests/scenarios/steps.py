"""The steps of the stories, in the words of the business. Amounts are texts ("19.99") and days are given, so that a
story can be read, and its figures recomputed, without looking here. Every step calls a public service."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal
from itertools import count

from django.utils import timezone

from billing.access.models import User
from billing.access.tests.makers import make_user
from billing.entities import services as entities
from billing.entities.models import BillingEntity, Department
from billing.entities.tests.makers import make_grant
from billing.invoicing import services as invoicing
from billing.invoicing.models import Invoice
from billing.invoicing.queries import live_allocations
from billing.kernel.tests.commits import as_if_committed
from billing.kernel.tests.invariants import assert_invariants_hold
from billing.ledger import services as ledger
from billing.ledger.models import AccountingPeriod
from billing.ledger.queries import trial_balance
from billing.payments import services as payments
from billing.payments.models import Payment
from billing.subscriptions import services as catalogue
from billing.subscriptions.models import Basis, Interval, Plan, PriceModel, Product, Timing
from billing.usage import services as usage
from billing.usage.models import UsageEvent

FOUNDED = date(2024, 1, 1)
ACTOR = "command:story"
_serial = count(1)


def found_seller(code: str = "NORTHWIND", *, currency: str = "EUR", country: str = "DE") -> BillingEntity:
    """A company that sells, in Germany unless said otherwise, where the standard tax rate is 19 %."""
    invoicing.add_tax_rate(actor=ACTOR, country="DE", category="S", percent=Decimal(19), starts_on=FOUNDED)
    return entities.create_root_entity(
        actor=ACTOR,
        code=code,
        name=code.title(),
        currency=currency,
        country=country,
        starts_on=FOUNDED,
        tax_id="DE200000005",
        is_seller=True,
        is_customer=False,
    )


def sign_customer(parent: BillingEntity, code: str, **facts: object) -> BillingEntity:
    """An active customer below `parent`, in Germany, in EUR, with payment terms of 30 days. Its default department
    is GENERAL, and cost without another GL code is charged to 6300."""
    terms = {"currency": "EUR", "country": "DE", "payment_terms_days": 30} | facts
    email = f"accounts@{code.lower()}.example"
    customer = entities.create_entity(
        actor=ACTOR,
        parent_id=parent.pk,
        code=code,
        name=code.title(),
        starts_on=FOUNDED,
        email=email,
        **terms,
    )
    entities.update_department(
        actor=ACTOR,
        department_id=Department.objects.get(entity=customer, is_default=True).pk,
        changes={"default_gl_code": "6300"},
    )
    return customer


def open_department(customer: BillingEntity, code: str) -> Department:
    return entities.create_department(
        actor=ACTOR,
        entity_id=customer.pk,
        code=code,
        name=code.title(),
        starts_on=FOUNDED,
        default_gl_code="6300",
    )


def offer_product(seller: BillingEntity, code: str, prices: Mapping[str, str] | None = None) -> Product:
    """A product with a list price per unit in each currency. With prices it is metered under the same code."""
    product = catalogue.create_product(actor=ACTOR, entity_id=seller.pk, code=code, name=code.title())
    for currency, price in (prices or {}).items():
        catalogue.add_price(
            actor=ACTOR,
            product_id=product.pk,
            currency=currency,
            model=PriceModel.PER_UNIT,
            unit_price=Decimal(price),
            starts_on=FOUNDED,
        )
    if prices:
        usage.create_meter(
            actor=ACTOR,
            entity_id=seller.pk,
            code=code,
            name=code.title(),
            product_id=product.pk,
            unit="unit",
        )
    return product


def offer_plan(seller: BillingEntity, code: str, *, monthly: str) -> Plan:
    """One product for a flat amount of EUR, charged monthly in advance."""
    product = offer_product(seller, code)
    plan = catalogue.create_plan(
        actor=ACTOR,
        entity_id=seller.pk,
        code=code,
        name=code.title(),
        interval=Interval.MONTH,
        items=[{"product_id": product.pk, "timing": Timing.IN_ADVANCE, "basis": Basis.FIXED}],
    )
    catalogue.add_price(
        actor=ACTOR,
        product_id=product.pk,
        plan_id=plan.pk,
        currency="EUR",
        model=PriceModel.FLAT,
        flat_amount=Decimal(monthly),
        starts_on=FOUNDED,
    )
    return plan


def report_usage(
    customer: BillingEntity,
    meter: str,
    quantity: str,
    *,
    on: date,
    by: Department | None = None,
    reported_on: date | None = None,
) -> UsageEvent:
    """One usage event at noon UTC of a day, reported on the same day unless said otherwise."""
    [result] = usage.record_usage(
        actor=ACTOR,
        events=[
            usage.UsageReport(
                source="story",
                transaction_id=f"story-{next(_serial)}",
                entity_id=customer.pk,
                department_id=by.pk if by else None,
                meter=meter,
                occurred_at=_noon(on),
                quantity=Decimal(quantity),
            )
        ],
        as_of=_noon(reported_on or on),
    )
    assert result.status == "accepted", result
    return UsageEvent.objects.get(pk=result.event_id)


def run_billing(seller: BillingEntity, *, on: date) -> list[Invoice]:
    """The billing run of a day. Returns the invoices that it issued, in the order of their numbers."""
    run = invoicing.start_billing_run(actor=ACTOR, seller_id=seller.pk, as_of=on)
    run = invoicing.continue_billing_run(actor=ACTOR, run_id=run.pk)
    as_if_committed()
    assert not run.items.filter(state="failed").exists(), list(run.items.values("customer__code", "failure"))
    return list(
        Invoice.objects.filter(seller=seller, issued_on=on, number__isnull=False).order_by("sequence")
    )


def issue_one_off(
    seller: BillingEntity, customer: BillingEntity, amounts: Mapping[Product, str], *, on: date
) -> Invoice:
    """A one-off invoice with one line for each product: its net amount in EUR, for service on the day of issue."""
    draft = invoicing.draft_one_off_invoice(
        actor=ACTOR,
        seller_id=seller.pk,
        customer_id=customer.pk,
        currency="EUR",
        lines=[
            invoicing.OneOffLine(
                product_id=product.pk,
                description=product.name,
                quantity=Decimal(1),
                unit_price=Decimal(net),
                service_starts_on=on,
                service_ends_on=date.fromordinal(on.toordinal() + 1),
            )
            for product, net in amounts.items()
        ],
        as_of=on,
    )
    invoicing.issue_invoice(actor=ACTOR, invoice_id=draft.pk, issued_on=on)
    as_if_committed()
    return Invoice.objects.get(pk=draft.pk)


def receive_payment(
    customer: BillingEntity, seller: BillingEntity, amount: str, *, on: date, **terms: object
) -> Payment:
    """A bank transfer in EUR, unless said otherwise. It settles the oldest due invoice first."""
    payment = payments.record_payment(
        actor=ACTOR,
        seller_id=seller.pk,
        customer_id=customer.pk,
        amount=Decimal(amount),
        received_on=on,
        method="bank_transfer",
        reference=f"wire {next(_serial)}",
        **{"currency": "EUR", "as_of": on} | terms,
    )
    as_if_committed()
    return payment


def close_period(seller: BillingEntity, month: date) -> AccountingPeriod:
    """One controller asks for it, another closes."""
    period = AccountingPeriod.objects.get(entity=seller, starts_on=month)
    first, second = (employ(seller, "FC") for _ in range(2))
    ledger.begin_closing_period(period_id=period.pk, actor=actor_of(first))
    closed = ledger.close_period(period_id=period.pk, actor=actor_of(second))
    as_if_committed()
    return closed


def employ(entity: BillingEntity, role: str) -> User:
    """A person with a role at the entity and below it, who has just signed in."""
    return make_grant(role=role, entity=entity, user=make_user(last_login=timezone.now())).user


def actor_of(user: User) -> str:
    return f"user:{user.pk}"


def fresh(invoice: Invoice) -> Invoice:
    """The invoice as it is now."""
    return Invoice.objects.get(pk=invoice.pk)


def lines_of(invoice: Invoice) -> list[tuple[str, Decimal, Decimal]]:
    """Description, quantity and net amount of every line."""
    return [(line.description, line.quantity, line.net_amount) for line in invoice.lines.order_by("position")]


def net_by_department(*invoices: Invoice) -> dict[str, Decimal]:
    """What each department bears of the invoices before tax."""
    costs: dict[str, Decimal] = {}
    for invoice in invoices:
        for allocation in live_allocations(invoice=invoice).select_related("department"):
            code = allocation.department.code
            costs[code] = costs.get(code, Decimal(0)) + allocation.net_amount
    return costs


def balances(
    seller: BillingEntity, *, as_of: date | None = None, currency: str = "EUR"
) -> dict[str, Decimal]:
    """The seller's trial balance: debits less credits by account, accounts without a balance left out."""
    rows = trial_balance(seller.pk, as_of=as_of, currency=currency)
    return {row.code: row.balance for row in rows if row.balance}


def money(**amounts: str) -> dict[str, Decimal]:
    return {name: Decimal(amount) for name, amount in amounts.items()}


def assert_books_are_sound() -> None:
    """Everything that waits for COMMIT agrees, and every invariant of every app holds."""
    as_if_committed()
    assert_invariants_hold()


def _noon(day: date) -> datetime:
    return datetime.combine(day, time(12), UTC)
