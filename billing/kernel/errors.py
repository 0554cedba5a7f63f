"""Refusals are values with a public code. Anything that is not a DomainError is a bug."""

from typing import ClassVar


class DomainError(Exception):
    """A rule says no. `code` is part of the public contract, `detail` is for the reader.

    Subclasses are named after the condition. The default status, 422, means: well-formed,
    understood, and against a rule.
    """

    code: ClassVar[str] = "rule-violated"
    title: ClassVar[str] = "A rule forbids this."
    status: ClassVar[int] = 422

    def __init__(self, detail: str, **extra: object) -> None:
        super().__init__(detail)
        self.detail = detail
        self.extra = extra


class Conflict(DomainError):
    """The request is fine; the present state of the object forbids it."""

    code = "conflict"
    title = "The object is not in a state that allows this."
    status = 409


class IllegalMove(Conflict):
    code = "illegal-move"
    title = "The object cannot make this move from its present state."


class Invalid(DomainError):
    """Malformed input that only the service could notice."""

    code = "invalid-request"
    title = "The request is not valid."
    status = 400


class NotAllowed(DomainError):
    """The permission is not granted here."""

    code = "not-allowed"
    title = "You may not do this."
    status = 403


class FourEyesRequired(NotAllowed):
    """Whoever took the first step may not take the second (four-eyes principle)."""

    code = "four-eyes-required"
    title = "Another person must do this (four-eyes principle)."


class NotFound(DomainError):
    """Unknown and not-yours are the same answer."""

    code = "not-found"
    title = "Not found."
    status = 404


class PreconditionFailed(DomainError):
    code = "precondition-failed"
    title = "The object has changed since you read it."
    status = 412


class Unavailable(DomainError):
    """Something outside does not answer; trying again later is right."""

    code = "unavailable"
    title = "A service this depends on is not available."
    status = 503

    def __init__(self, detail: str, *, retry_after: int = 5, **extra: object) -> None:
        super().__init__(detail, **extra)
        self.retry_after = retry_after


class TransactionConflict(Unavailable):
    """The database broke the transaction off, again and again, because others were changing the same things."""

    code = "transaction-conflict"
    title = "Two changes got into each other's way. Nothing was changed."
