"""Each invariant over what is billed is seen when it is broken behind the triggers' back."""

from datetime import date

import pytest
from django.db import connection

from billing.invoicing.tests.makers import make_subscriber, meter_of, report_usage
from billing.invoicing.tests.test_usage_rating import bill
from billing.kernel.invariant_checks import find_violations

pytestmark = pytest.mark.django_db

OCT, NOV = date(2024, 10, 1), date(2024, 11, 1)


@pytest.mark.parametrize(
    ("invariant", "statement"),
    [
        ("U4 a claim is live exactly while its invoice is", "UPDATE usage_claims SET released_at = now()"),
        ("U4 a claim is live exactly while its invoice is", "UPDATE charge_claims SET released_at = now()"),
        ("U5 a line bills counting events", "UPDATE usage_events SET counts = false"),
        (
            "U5 a line bills counting events",
            "UPDATE invoice_lines SET service_ends_on = service_starts_on + 1",
        ),
        ("U6 usage billed under a subscription", "UPDATE subscription_items SET ends_on = '2024-09-02'"),
        (
            "U7 an adjustment's exact amount",
            'UPDATE invoice_lines SET derivation = derivation || \'{"exact": "7"}\'',
        ),
        (
            "U7 an issued adjustment adjusts issued lines",
            "UPDATE invoice_lines SET derivation = derivation ||"
            " '{\"adjusts\": [\"00000000-0000-0000-0000-000000000000\"]}' WHERE derivation ? 'adjusts'",
        ),
        ("U8 the shares of a line", 'UPDATE invoice_lines SET derivation = derivation || \'{"exact": "7"}\''),
        ("S2 a line bills its charge in full", "UPDATE subscription_charges SET amount = 1"),
        ("S2 every line from a charge has claimed it", "DELETE FROM charge_claims"),
    ],
)
def test_what_is_broken_is_named(invariant, statement):
    subscription = make_subscriber()
    seller, customer, meter = subscription.seller, subscription.entity, meter_of(subscription)
    report_usage(customer, meter, "8")
    bill(seller, customer, as_of=OCT)
    report_usage(customer, meter, "4")
    bill(seller, customer, as_of=NOV)
    assert broken() == []

    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SET session_replication_role = replica")
        cursor.execute(statement)
        assert cursor.rowcount > 0
        cursor.execute("SET session_replication_role = origin")

    assert [name for name in broken() if name.startswith(invariant)] != []


def broken() -> list[str]:
    return [found.invariant for found in find_violations() if found.app == "invoicing" and found.violations]
