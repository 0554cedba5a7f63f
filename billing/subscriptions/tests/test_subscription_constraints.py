"""What the database refuses of a subscription, whoever asks; and what the invariants say if it happened anyway."""

import pytest
from django.db import IntegrityError, connection, transaction

from billing.kernel.tests.invariants import assert_invariants_hold
from billing.subscriptions import services
from billing.subscriptions.invariants import CHECKS
from billing.subscriptions.models import Subscription
from billing.subscriptions.tests.makers import make_subscription
from billing.subscriptions.tests.test_subscribing import SEP, everything_of

pytestmark = pytest.mark.django_db

COPY_ITEM = """
    INSERT INTO subscription_items (id, subscription_id, product_id, price_id, timing, basis, quantity,
        starts_on, ends_on, version)
    SELECT gen_random_uuid(), subscription_id, product_id, price_id, timing, basis, quantity,
        starts_on + 10, NULL, 1 FROM subscription_items WHERE subscription_id = %(id)s
"""
COPY_PERIOD = """
    INSERT INTO subscription_periods (id, subscription_id, starts_on, ends_on, whole_starts_on, whole_ends_on,
        is_trial, is_closed, version)
    SELECT gen_random_uuid(), subscription_id, starts_on + {later}, ends_on + {later}, whole_starts_on + {later},
        whole_ends_on + {later}, false, {closed}, 1 FROM subscription_periods WHERE subscription_id = %(id)s
"""
COPY_CHARGE = """
    INSERT INTO subscription_charges (id, subscription_id, item_id, kind, quantity, amount, currency,
        service_starts_on, service_ends_on, due_on, derivation)
    SELECT gen_random_uuid(), subscription_id, item_id, '{kind}', quantity, {net}, currency,
        service_starts_on, service_ends_on, due_on, derivation
    FROM subscription_charges WHERE subscription_id = %(id)s
"""


def run(sql: str, subscription: Subscription) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql, {"id": subscription.pk})


@pytest.mark.parametrize(
    ("_case", "refusal", "sql"),
    [
        ("two stretches of a product overlap", "subscription_item_no_overlap", COPY_ITEM),
        (
            "a stretch ends before it starts",
            "subscription_item_ends_after_start",
            "UPDATE subscription_items SET ends_on = starts_on - 1 WHERE subscription_id = %(id)s",
        ),
        (
            "a stretch gets another quantity",
            "is final",
            "UPDATE subscription_items SET quantity = 2 WHERE subscription_id = %(id)s",
        ),
        (
            "two periods overlap",
            "subscription_period_no_overlap",
            COPY_PERIOD.format(later=10, closed="true"),
        ),
        ("two periods are open", "one_open_period", COPY_PERIOD.format(later=60, closed="false")),
        (
            "a period is longer than the whole",
            "subscription_period_within_whole",
            "UPDATE subscription_periods SET ends_on = ends_on + 1 WHERE subscription_id = %(id)s",
        ),
        ("a period is charged twice", "charged_once_per_period", COPY_CHARGE.format(kind="recurring", net=1)),
        ("a credit is positive", "subscription_charge_sign", COPY_CHARGE.format(kind="credit", net=1)),
        ("a charge is negative", "subscription_charge_sign", COPY_CHARGE.format(kind="one_off", net=-1)),
        (
            "a charge has parts of a cent",
            "subscription_charge_payable",
            COPY_CHARGE.format(kind="one_off", net="0.001"),
        ),
        (
            "a charge is changed",
            "append-only",
            "UPDATE subscription_charges SET amount = 1 WHERE subscription_id = %(id)s",
        ),
        (
            "a charge is deleted",
            "append-only",
            "DELETE FROM subscription_charges WHERE subscription_id = %(id)s",
        ),
        (
            "it ends and goes on",
            "subscription_ended_iff_canceled",
            "UPDATE subscriptions SET ended_on = starts_on WHERE id = %(id)s",
        ),
        ("it moves on a whim", "no move", "UPDATE subscriptions SET state = 'trialing' WHERE id = %(id)s"),
        (
            "it changes its currency",
            "is final",
            "UPDATE subscriptions SET currency = 'EUR' WHERE id = %(id)s",
        ),
        ("it is deleted", "is final", "DELETE FROM subscriptions WHERE id = %(id)s"),
    ],
)
def test_the_database_refuses(_case, refusal, sql):
    subscription = make_subscription()
    before = everything_of(subscription)

    with pytest.raises(IntegrityError, match=refusal):
        run(sql, subscription)

    assert everything_of(subscription) == before


def test_what_is_canceled_is_final():
    subscription = make_subscription()
    services.cancel_subscription(actor="test", subscription_id=subscription.pk, as_of=SEP)

    for sql in (
        "UPDATE subscriptions SET quantity = 2 WHERE id = %(id)s",
        "UPDATE subscription_items SET ends_on = NULL WHERE subscription_id = %(id)s",
        "UPDATE subscription_periods SET is_closed = false WHERE subscription_id = %(id)s",
    ):
        with pytest.raises(IntegrityError, match="is final"):
            run(sql, subscription)


@pytest.mark.parametrize(
    ("invariant", "sql"),
    [
        ("S1", "UPDATE subscription_charges SET amount = 29.99 WHERE subscription_id = %(id)s"),
        (
            "S1",
            """UPDATE subscription_charges SET derivation = derivation || '{"days": "29/30"}'
               WHERE subscription_id = %(id)s""",
        ),
        (
            "S2",
            """UPDATE subscription_charges SET kind = 'credit', amount = -amount,
               derivation = derivation || '{"exact": "-30"}' WHERE subscription_id = %(id)s""",
        ),
        ("S3", "UPDATE subscriptions SET next_on = next_on + 1 WHERE id = %(id)s"),
        ("S3", "UPDATE subscription_periods SET starts_on = starts_on + 1 WHERE subscription_id = %(id)s"),
        ("S4", "UPDATE subscriptions SET state = 'canceled', ended_on = next_on WHERE id = %(id)s"),
        ("S4", "UPDATE subscription_periods SET is_closed = true WHERE subscription_id = %(id)s"),
        ("S5", "UPDATE subscription_charges SET currency = 'EUR' WHERE subscription_id = %(id)s"),
        (
            "S6",
            f"""SET CONSTRAINTS ALL IMMEDIATE; ALTER TABLE subscription_items DROP CONSTRAINT subscription_item_no_overlap; {COPY_ITEM}""",
        ),
    ],
)
def test_an_invariant_tells_when_it_is_broken(invariant, sql):
    subscription = make_subscription()
    assert_invariants_hold()

    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        for statement in sql.split(";"):
            cursor.execute(statement, {"id": subscription.pk})
        cursor.execute("SET LOCAL session_replication_role = origin")
        broken = []
        for name, check in CHECKS.items():
            cursor.execute(check)
            if cursor.fetchall():
                broken.append(name[:2])

    assert invariant in broken
