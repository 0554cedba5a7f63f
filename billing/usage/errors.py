from billing.kernel.errors import Conflict, DomainError, Invalid


class BatchTooLarge(Invalid):
    code = "batch-too-large"
    title = "A call takes at most 10,000 events."


class MeterCodeTaken(Conflict):
    code = "meter-code-taken"
    title = "The seller already has a meter with this code."


class ProductOfAnotherSeller(DomainError):
    code = "product-of-another-seller"
    title = "A meter is billed as a product of its own seller."


class MeterOfAnotherSeller(DomainError):
    code = "meter-of-another-seller"
    title = "A quota is on a meter of the entity's own seller."


class UnsoundDefinition(Invalid):
    code = "unsound-meter-definition"
    title = "A meter cannot count so."


class MeterInUse(Conflict):
    code = "meter-in-use"
    title = "What has been counted stays counted as it was: make a new meter."


class UsageTooDetailed(Invalid):
    code = "usage-too-detailed"
    title = (
        "The answer would have too many rows: ask for a shorter period, one meter or a coarser granularity."
    )


class EventConflict(Conflict):
    code = "content-conflict"
    title = "The source has reported this transaction with other content."


class EventRejected(DomainError):
    """`code` is that of the row."""

    title = "The event was not recorded."

    def __init__(self, detail: str, *, code: str, **extra: object) -> None:
        super().__init__(detail, **extra)
        self.code = code


class UnusableFile(Invalid):
    """Refused before anything was changed."""

    code = "unusable-file"
    title = "The file cannot be imported."


class MarkUpAlreadySet(Conflict):
    code = "mark-up-already-set"
    title = "A price of this period has another mark-up."


class QuotaOutOfRange(Invalid):
    code = "quota-out-of-range"
    title = "A quota is a finite quantity, not negative, with at most 12 decimals."
