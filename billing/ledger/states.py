"""The life of an accounting period, as data."""

from django.db import models

from billing.kernel.states import move


class PeriodState(models.TextChoices):
    OPEN = "open"
    CLOSING = "closing"  # one controller asked; a second one closes
    CLOSED = "closed"


PERIOD_MOVES = {
    "begin_closing": move(PeriodState.OPEN, to=PeriodState.CLOSING),
    "close": move(PeriodState.CLOSING, to=PeriodState.CLOSED),
    "keep_open": move(PeriodState.CLOSING, to=PeriodState.OPEN),
    "reopen": move(PeriodState.CLOSED, to=PeriodState.OPEN),
}
