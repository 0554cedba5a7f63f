"""Rating quantities over four graduated tiers, in Python and by one SQL statement over the same tiers."""

import random
import time
from decimal import Decimal

from django.db import connection

from billing.subscriptions.core.rating import PriceTerms

TIERS = [
    {"up_to": "100", "unit_price": "0.50", "flat_amount": "5"},
    {"up_to": "1000", "unit_price": "0.40", "flat_amount": "0"},
    {"up_to": "10000", "unit_price": "0.25", "flat_amount": "0"},
    {"up_to": None, "unit_price": "0.125", "flat_amount": "0"},
]
PLAIN = """
    WITH tier (lower, upper, unit_price, flat_amount) AS (
        VALUES (0, 100, 0.50, 5), (100, 1000, 0.40, 0), (1000, 10000, 0.25, 0), (10000, NULL::numeric, 0.125, 0)
    )
    SELECT q.n, sum((least(q.quantity, coalesce(upper, q.quantity)) - lower) * unit_price + flat_amount)
    FROM unnest(%s::numeric[]) WITH ORDINALITY AS q (quantity, n) JOIN tier ON q.quantity > lower OR lower = 0
    GROUP BY q.n ORDER BY q.n
"""


def run(size: int = 100) -> list[dict]:
    """50 × `size` quantities; both sides end with the same amounts in Python."""
    count = size * 50
    source = random.Random(size)  # noqa: S311  the same quantities every time
    quantities = [Decimal(source.randrange(1, 2_000_000)).scaleb(-2) for _ in range(count)]

    started = time.perf_counter()
    with connection.cursor() as cursor:
        cursor.execute(PLAIN, [quantities])
        plain = [amount for _, amount in cursor.fetchall()]
    limit = count / (time.perf_counter() - started)

    terms = PriceTerms.from_stored("graduated", TIERS)
    started = time.perf_counter()
    ours = [terms.exact_amount(quantity) for quantity in quantities]
    reached = count / (time.perf_counter() - started)

    assert ours == plain
    return [
        {
            "work": "rate quantities over 4 graduated tiers",
            "n": count,
            "plain_sql_per_second": round(limit),
            "ours_per_second": round(reached),
            "ratio": round(reached / limit, 2),
        }
    ]
