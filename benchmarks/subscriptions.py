"""Opening the next period of subscriptions, against the same rows by plain INSERT … SELECT."""

import time
from datetime import date
from decimal import Decimal

from django.db import connection, transaction

from billing.entities.models import BillingEntity, Department
from billing.entities.states import EntityState
from billing.kernel.ids import uuid7
from billing.subscriptions import services
from billing.subscriptions.models import Product, SubscriptionCharge

START, NEXT = date(2026, 1, 1), date(2026, 2, 1)
PLAIN = """
    UPDATE subscription_periods p SET is_closed = true FROM subscriptions s
     WHERE s.id = p.subscription_id AND s.seller_id = %(seller)s AND NOT p.is_closed;
    INSERT INTO subscription_periods (id, subscription_id, starts_on, ends_on, whole_starts_on, whole_ends_on,
        is_trial, is_closed, version)
    SELECT gen_random_uuid(), id, DATE '2026-02-01', DATE '2026-03-01', DATE '2026-02-01', DATE '2026-03-01',
        false, false, 1 FROM subscriptions WHERE seller_id = %(seller)s;
    INSERT INTO subscription_charges (id, subscription_id, item_id, kind, quantity, amount, currency,
        service_starts_on, service_ends_on, due_on, derivation)
    SELECT gen_random_uuid(), s.id, c.item_id, c.kind, c.quantity, c.amount, c.currency, DATE '2026-02-01',
        DATE '2026-03-01', DATE '2026-02-01', c.derivation
    FROM subscriptions s JOIN subscription_charges c ON c.subscription_id = s.id WHERE s.seller_id = %(seller)s;
    UPDATE subscriptions SET next_on = DATE '2026-03-01' WHERE seller_id = %(seller)s
"""


def run(size: int = 100) -> list[dict]:
    """`size` subscriptions of two products each; subscriptions moved on per second, in one transaction."""
    plain_seller, _ = _subscribed(size)
    seller, customers = _subscribed(size)

    started = time.perf_counter()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(PLAIN, {"seller": plain_seller.pk})
    limit = size / (time.perf_counter() - started)

    started = time.perf_counter()
    moved = services.roll_forward(actor="benchmark", seller_id=seller.pk, entity_ids=customers, as_of=NEXT)
    reached = size / (time.perf_counter() - started)

    assert moved == size
    assert SubscriptionCharge.objects.filter(subscription__seller=seller, due_on=NEXT).count() == 2 * size
    return [
        {
            "work": "open the next period of subscriptions, 2 charges each",
            "n": size,
            "plain_sql_per_second": round(limit),
            "ours_per_second": round(reached),
            "ratio": round(reached / limit, 2),
        }
    ]


def _subscribed(size: int) -> tuple[BillingEntity, list]:
    mark = uuid7().hex[-12:]
    facts = {"currency": "USD", "country": "US", "state": EntityState.ACTIVE}
    seller = BillingEntity.objects.create(code=f"bench-{mark}", name="Seller", is_seller=True, **facts)
    products = [
        Product.objects.create(entity=seller, code=f"bench-{number}", name="Bench") for number in range(2)
    ]
    for product in products:
        services.add_price(
            actor="benchmark",
            product_id=product.pk,
            currency="USD",
            model="per_unit",
            unit_price=Decimal("9.99"),
            starts_on=START,
        )
    plan = services.create_plan(
        actor="benchmark",
        entity_id=seller.pk,
        code="bench",
        name="Bench",
        interval="month",
        items=[{"product_id": p.pk, "timing": "in_advance", "basis": "quantity"} for p in products],
    )
    customers = []
    for number in range(size):
        customer = BillingEntity.objects.create(
            code=f"bench-{mark}-{number}", name="Customer", parent=seller, **facts
        )
        customer.refresh_from_db()
        Department.objects.create(
            entity=customer, code="GENERAL", name="General", is_default=True, starts_on=START
        )
        services.create_subscription(
            actor="benchmark", entity_id=customer.pk, plan_id=plan.pk, starts_on=START, as_of=START
        )
        customers.append(customer.pk)
    return seller, customers
