"""Numbers without gaps. The counter's row is locked last, and for as short as can be."""

from datetime import date
from uuid import UUID

from django.db import connection

from billing.invoicing.errors import IssueDayBeforeLast

_TAKE = """
INSERT INTO number_series AS s (seller_id, series, fiscal_year, last, last_issued_on)
VALUES (%(seller)s, %(series)s, %(fiscal_year)s, %(count)s, %(issued_on)s)
ON CONFLICT (seller_id, series, fiscal_year) DO UPDATE
SET last = s.last + excluded.last, last_issued_on = excluded.last_issued_on
WHERE s.last_issued_on IS NULL OR s.last_issued_on <= excluded.last_issued_on
RETURNING last
"""


def fiscal_year_of(day: date, *, starts_in: int) -> int:
    """The fiscal year a day belongs to, named after the calendar year in which it ends.

    With `starts_in` 1 it is the calendar year; with 4, 2026-04-01 belongs to 2027.
    """
    return day.year + 1 if starts_in > 1 and day.month >= starts_in else day.year


def take_numbers(*, seller_id: UUID, series: str, fiscal_year: int, issued_on: date, count: int = 1) -> range:
    """The next `count` numbers of the series, ours as soon as this transaction commits and nobody's if it does not.

    Raises IssueDayBeforeLast if the series has already seen a later day.
    """
    assert connection.in_atomic_block
    with connection.cursor() as cursor:
        cursor.execute(
            _TAKE,
            {
                "seller": seller_id,
                "series": series,
                "fiscal_year": fiscal_year,
                "count": count,
                "issued_on": issued_on,
            },
        )
        row = cursor.fetchone()
    if row is None:
        raise IssueDayBeforeLast(f"The series {series}-{fiscal_year} has invoices issued after {issued_on}.")
    return range(row[0] - count + 1, row[0] + 1)


def number_text(*, series: str, fiscal_year: int, sequence: int) -> str:
    return f"{series}-{fiscal_year}-{sequence:06d}"
