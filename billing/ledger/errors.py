from billing.kernel.errors import Conflict, DomainError, Invalid


class EntryUnbalanced(DomainError):
    code = "entry-unbalanced"
    title = "Debits and credits of the entry are not equal."


class EntryEmpty(DomainError):
    code = "entry-empty"
    title = "An entry has at least two lines that are not zero."


class AccountUnknown(Invalid):
    code = "account-unknown"
    title = "The chart of accounts has no such account."


class AlreadyPosted(Conflict):
    code = "already-posted"
    title = "The event is already posted."


class AlreadyReversed(Conflict):
    code = "already-reversed"
    title = "The entry is already reversed."


class ReversalIsFinal(Conflict):
    code = "reversal-is-final"
    title = "A reversal cannot be reversed. Post the event again."


class PeriodClosed(Conflict):
    code = "period-closed"
    title = "The accounting period is closed."


class PostingDateOutOfRange(Invalid):
    code = "posting-date-out-of-range"
    title = "The posting date is too far from the existing accounting periods."


class PeriodsOutOfOrder(Conflict):
    code = "periods-out-of-order"
    title = "Accounting periods close from the earliest and reopen from the latest."
