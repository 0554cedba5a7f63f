"""What must hold in the catalogue at every moment. Each query returns the rows that violate it."""

from billing.subscriptions.core.rating import NEEDED, OPTIONAL
from billing.subscriptions.models import ALL_FIGURES


def _misfits() -> str:
    """Per model: a figure it needs is missing, or one is there that it does not have."""
    return " OR ".join(
        f"(model = '{model}' AND (num_nulls({', '.join(sorted(needed))}) > 0"
        f" OR num_nonnulls({', '.join(sorted(set(ALL_FIGURES) - needed - OPTIONAL.get(model, set())))}) > 0))"
        for model, needed in NEEDED.items()
    )


_MODELS = ", ".join(f"'{model}'" for model in NEEDED)

CHECKS = {
    "K1 price versions are numbered without a gap, each starting after the one before": """
        SELECT id, product_id, plan_id, currency, number FROM (
            SELECT p.*, row_number() OVER versions AS expected, lag(starts_on) OVER versions AS before
            FROM prices p WINDOW versions AS (PARTITION BY product_id, plan_id, currency ORDER BY number)
        ) AS numbered
        WHERE number <> expected OR starts_on <= before
    """,
    "K2 a price has the figures of its model and no other": f"""
        SELECT id, model FROM prices WHERE model NOT IN ({_MODELS}) OR {_misfits()}
    """,  # noqa: S608  names of our own columns
    "K3 a plan has products of its seller, and prices of its products": """
        SELECT i.id FROM plan_items i JOIN plans l ON l.id = i.plan_id JOIN products p ON p.id = i.product_id
        WHERE p.entity_id <> l.entity_id
        UNION ALL
        SELECT c.id FROM prices c
        WHERE c.plan_id IS NOT NULL AND NOT EXISTS (
            SELECT FROM plan_items i WHERE i.plan_id = c.plan_id AND i.product_id = c.product_id
              AND (c.model <> 'pass_through' OR i.basis = 'usage')
        )
        UNION ALL
        SELECT id FROM plans l WHERE NOT EXISTS (SELECT FROM plan_items i WHERE i.plan_id = l.id)
    """,
    "K4 tiers ascend without a gap and only the last is open": """
        SELECT id, tiers FROM prices WHERE tiers IS NOT NULL AND NOT are_price_tiers(tiers)
    """,
    "LC1 the seats in use of a licence are its live assignments, and never more than it has": """
        SELECT license.id, license.seats, license.used_seats, count(seat.id) AS assigned
        FROM licenses license
        LEFT JOIN license_assignments seat ON seat.license_id = license.id AND seat.released_at IS NULL
        GROUP BY license.id
        HAVING license.used_seats <> count(seat.id) OR license.used_seats > license.seats
    """,
    "LC2 the terms of a licence are numbered without a gap, none starts before those it follows": """
        SELECT id, license_id, number FROM (
            SELECT terms.*, row_number() OVER told AS expected, lag(starts_on) OVER told AS before
            FROM license_terms terms WINDOW told AS (PARTITION BY license_id ORDER BY number)
        ) AS numbered
        WHERE number <> expected OR starts_on < before
    """,
    "LC3 a licence is what its last terms say": """
        SELECT license.id
        FROM licenses license
        LEFT JOIN LATERAL (
            SELECT * FROM license_terms WHERE license_id = license.id ORDER BY number DESC LIMIT 1
        ) AS told ON true
        WHERE (license.tier, license.features, license.seats, license.included_seats, license.ends_on,
               license.subscription_id)
              IS DISTINCT FROM
              (told.tier, told.features, told.seats, told.included_seats, told.ends_on, told.subscription_id)
    """,
    "LC4 a licence belongs to the entity of the subscription that pays for it": """
        SELECT license.id
        FROM licenses license JOIN subscriptions subscription ON subscription.id = license.subscription_id
        WHERE subscription.entity_id <> license.entity_id
    """,
}
