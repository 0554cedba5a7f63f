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
}
