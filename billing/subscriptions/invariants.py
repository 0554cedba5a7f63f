"""What must hold of products, subscriptions and licences at every moment. Each query returns the violating rows."""

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
    "K5 costs are passed through before tax": """
        SELECT id FROM prices WHERE model = 'pass_through' AND tax_inclusive
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
    "S1 a charge is its exact amount rounded once, and that is the full price by days": """
        SELECT id FROM (
            SELECT id, amount, currency, kind, service_ends_on - service_starts_on AS charged,
                   (derivation->>'exact')::numeric AS exact, (derivation->>'full')::numeric AS in_full,
                   split_part(derivation->>'days', '/', 1)::int AS days,
                   split_part(derivation->>'days', '/', 2)::int AS whole
            FROM subscription_charges
        ) AS derived
        WHERE amount <> round(exact, currency_exponent(currency)) OR charged <> days
           OR abs(exact * CASE kind WHEN 'credit' THEN -whole ELSE whole END - in_full * days) > 1e-30
    """,
    "S2 what is credited was charged: the same item, up to the same day, and no more": """
        SELECT c.id FROM subscription_charges c
        WHERE c.kind = 'credit' AND NOT EXISTS (
            SELECT FROM subscription_charges d
            WHERE d.item_id = c.item_id AND d.kind IN ('recurring', 'proration') AND d.amount >= -c.amount
              AND d.service_starts_on <= c.service_starts_on AND d.service_ends_on = c.service_ends_on
        )
    """,
    "S3 periods follow each other from the first day to the next one due": """
        SELECT s.id FROM subscriptions s
        LEFT JOIN (
            SELECT subscription_id, min(starts_on) AS first, max(ends_on) AS last,
                   bool_or(starts_on <> coalesce(ended, starts_on)) AS has_gap
            FROM (
                SELECT p.*, lag(ends_on) OVER (PARTITION BY subscription_id ORDER BY starts_on, ends_on) AS ended
                FROM subscription_periods p
            ) AS followed GROUP BY 1
        ) p ON p.subscription_id = s.id
        WHERE coalesce(p.has_gap, false)
           OR (p.first IS NOT NULL AND (p.first <> s.starts_on OR p.last <> s.next_on))
           OR (p.first IS NULL AND s.next_on <> s.starts_on)
    """,
    "S4 a live subscription has an open period once it began, a canceled one nothing open": """
        SELECT s.id FROM subscriptions s
        WHERE (s.state = 'canceled' AND (
                   EXISTS (SELECT FROM subscription_periods p WHERE p.subscription_id = s.id AND NOT p.is_closed)
                   OR EXISTS (SELECT FROM subscription_items i WHERE i.subscription_id = s.id AND i.ends_on IS NULL)
                   OR EXISTS (SELECT FROM subscription_changes c
                              WHERE c.subscription_id = s.id AND c.state = 'scheduled')))
           OR (s.state <> 'canceled' AND s.next_on > s.starts_on AND NOT EXISTS (
                   SELECT FROM subscription_periods p WHERE p.subscription_id = s.id AND NOT p.is_closed))
    """,
    "S5 what a charge is for is of its own subscription, in its currency": """
        SELECT c.id FROM subscription_charges c
            JOIN subscriptions s ON s.id = c.subscription_id
            JOIN subscription_items i ON i.id = c.item_id
            JOIN prices p ON p.id = i.price_id
        WHERE i.subscription_id <> s.id OR c.currency <> s.currency OR p.currency <> s.currency
           OR p.product_id <> i.product_id OR c.derivation->>'price' <> p.id::text
    """,
    "S6 no two stretches of one product overlap": """
        SELECT a.id FROM subscription_items a JOIN subscription_items b
          ON a.subscription_id = b.subscription_id AND a.product_id = b.product_id AND a.id < b.id
         AND daterange(a.starts_on, a.ends_on) && daterange(b.starts_on, b.ends_on)
    """,
}
