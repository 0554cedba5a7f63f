"""What the books refuse."""

from billing.kernel.errors import Conflict, DomainError, Invalid, NotAllowed


class EntryUnbalanced(DomainError):
    code = "entry-unbalanced"
    title = "Debits and credits of an entry differ."


class EntryEmpty(DomainError):
    code = "entry-empty"
    title = "An entry has at least two lines that are not zero."


class AccountUnknown(Invalid):
    code = "account-unknown"
    title = "The chart of accounts has no such account."


class AlreadyPosted(Conflict):
    code = "already-posted"
    title = "This event is in the books already."


class AlreadyReversed(Conflict):
    code = "already-reversed"
    title = "The entry has been reversed already."


class ReversalIsFinal(Conflict):
    code = "reversal-is-final"
    title = "A reversal is not reversed: post the event anew."


class PeriodClosed(Conflict):
    code = "period-closed"
    title = "The accounting period is closed."


class DayOutOfBounds(Invalid):
    code = "day-out-of-bounds"
    title = "The day is too far from the months the books have."


class PeriodsOutOfOrder(Conflict):
    code = "periods-out-of-order"
    title = "Accounting periods close in order and reopen in the opposite one."


class SecondPersonNeeded(NotAllowed):
    code = "second-person-needed"
    title = "This takes a second person."
