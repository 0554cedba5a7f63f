"""How late an invoice is, in days that count, and how much of it may be asked for. Pure: no clock, no database.

A pause covers an amount, or the whole invoice. It takes its amount out of every reminder, and the days on which
pauses cover all that is open now are not counted: the clock of a wholly paused invoice stands still.
What is open now was open on every day before as well (an open amount only shrinks), so a part that is disputed
since long gathers no days, also if the rest was paid only yesterday.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from billing.kernel.money import total_of


@dataclass(frozen=True, kw_only=True)
class Hold:
    """A pause: from `starts_on` until `ends_on` (exclusive; None: until further notice). `amount` None: the whole."""

    starts_on: date
    ends_on: date | None
    amount: Decimal | None

    def is_on(self, day: date) -> bool:
        return self.starts_on <= day and (self.ends_on is None or day < self.ends_on)


def collectable(open_amount: Decimal, holds: Sequence[Hold], on: date) -> Decimal:
    """What may be asked for on the day: what is open, less what is paused; never less than nothing."""
    held = [hold.amount for hold in holds if hold.is_on(on)]
    if any(amount is None for amount in held):
        return Decimal(0)
    return max(Decimal(0), open_amount - total_of(held))


@dataclass(frozen=True, kw_only=True)
class InterestPeriod:
    """Days, `until` exclusive, on each of which the same amount may be asked for."""

    since: date
    until: date
    amount: Decimal

    @property
    def days(self) -> int:
        return (self.until - self.since).days


def interest_periods(
    since: date, until: date, holds: Sequence[Hold], open_amount: Decimal
) -> list[InterestPeriod]:
    """The days from `since` until `until` (exclusive), cut where a pause begins or ends."""
    edges = {since, until}
    for hold in holds:
        edges |= {day for day in (hold.starts_on, hold.ends_on) if day and since < day < until}
    ordered = sorted(edges)
    return [
        InterestPeriod(since=day, until=following, amount=collectable(open_amount, holds, day))
        for day, following in itertools.pairwise(ordered)
    ]


def days_late(due_on: date, as_of: date, holds: Sequence[Hold], open_amount: Decimal) -> int:
    """The days after the due day up to and with `as_of`, without those on which everything was paused.

    Negative before the due day: then pauses have nothing to stop.
    """
    if as_of <= due_on:
        return (as_of - due_on).days
    late = interest_periods(due_on + timedelta(days=1), as_of + timedelta(days=1), holds, open_amount)
    return sum(interest_period.days for interest_period in late if interest_period.amount > 0)
