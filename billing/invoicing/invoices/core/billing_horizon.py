"""How far ahead may be billed: a slip in the year must not open a century of periods."""

from datetime import date, timedelta

from billing.invoicing.errors import TooFarAhead

AHEAD = timedelta(days=31)


def require_near(as_of: date, *, today: date) -> None:
    """Bills may be made ready up to 31 days ahead of the seller's own day. Raises TooFarAhead."""
    if as_of > today + AHEAD:
        raise TooFarAhead(f"{as_of} is more than {AHEAD.days} days ahead (today is {today}).")
