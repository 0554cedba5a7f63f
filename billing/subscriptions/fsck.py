"""What must hold in the catalogue at every moment. Each query returns the rows that violate it."""

CHECKS = {
    "K1 price versions are numbered without a gap, each starting after the one before": """
        SELECT id, product_id, currency, number FROM (
            SELECT p.*, row_number() OVER versions AS expected, lag(starts_on) OVER versions AS before
            FROM prices p WINDOW versions AS (PARTITION BY product_id, plan_id, currency ORDER BY number)
        ) AS numbered
        WHERE number <> expected OR starts_on <= before
    """,
    "K2 a price has the figure of its model and no other": """
        SELECT id, model FROM prices
        WHERE (model = 'per_unit') IS DISTINCT FROM (unit_price IS NOT NULL)
           OR (model = 'pass_through') IS DISTINCT FROM (markup_percent IS NOT NULL)
    """,
}
