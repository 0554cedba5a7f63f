"""Licences with their terms and seats, as rows: any history can be told, also one no service would write."""

from datetime import UTC, date, datetime
from itertools import count

from billing.entities.tests.makers import make_entity
from billing.subscriptions.models import (
    License,
    LicenseAssignment,
    LicenseTerms,
    Subscription,
)
from billing.subscriptions.tests.makers import make_plan, make_product

STARTS_ON = date(2026, 1, 1)
TERMS = ("tier", "features", "seats", "included_seats")
_serial = count(1)


def make_licensed(**overrides):
    """A customer of a seller, and a product the seller sells."""
    seller = make_entity(is_seller=True)
    return make_entity(parent=seller, **overrides), make_product(entity=seller)


def make_subscriber(entity, seller, **overrides) -> Subscription:
    """An active subscription of the entity to a plan of the seller, with nothing charged."""
    if "plan" not in overrides:
        overrides["plan"] = make_plan(entity=seller)
    values = {
        "currency": "EUR",
        "state": "active",
        "anchor_on": STARTS_ON,
        "starts_on": STARTS_ON,
        "next_on": STARTS_ON,
    }
    return Subscription.objects.create(entity=entity, seller=seller, **values | overrides)


def make_license(**overrides) -> License:
    """An active licence of ten seats from STARTS_ON without end, with its first terms."""
    if "entity" not in overrides:
        overrides["entity"], overrides["product"] = make_licensed()
    values = {"tier": "team", "features": ["reports"], "seats": 10, "starts_on": STARTS_ON} | overrides
    values.setdefault("included_seats", values["seats"])
    made = License.objects.create(**values)
    make_terms(made, starts_on=made.starts_on)
    return made


def make_terms(license, **overrides) -> LicenseTerms:
    """The next terms of a licence; what is not said is as the licence has it."""
    values = {name: getattr(license, name) for name in (*TERMS, "subscription", "ends_on")}
    return LicenseTerms.objects.create(
        license=license, number=license.terms.count() + 1, **values | overrides
    )


def make_seat(license, assigned_at: datetime | None = None, **overrides) -> LicenseAssignment:
    """A seat for a new holder, by default taken when the licence starts."""
    values = {
        "holder": f"user-{next(_serial)}@example.com",
        "assigned_at": assigned_at or datetime(2026, 1, 1, tzinfo=UTC),
        "assigned_by": "test",
    }
    return LicenseAssignment.objects.create(license=license, **values | overrides)
