"""Refusals of the wire itself: the request never reached a rule."""

from billing.kernel.errors import Conflict, DomainError, Invalid


class MalformedBody(Invalid):
    code = "malformed-body"
    title = "The body is not acceptable JSON."


class BodyTooLarge(DomainError):
    code = "body-too-large"
    title = "The body is too large."
    status = 413


class UnknownParameter(Invalid):
    code = "unknown-parameter"
    title = "The request has a query parameter that does not exist here."


class InvalidParameter(Invalid):
    code = "invalid-parameter"
    title = "A query parameter is not valid."


class InvalidCursor(Invalid):
    code = "invalid-cursor"
    title = "The cursor does not belong to this list."


class MalformedPrecondition(Invalid):
    code = "malformed-precondition"
    title = "The If-Match header is not an entity tag of this API."


class PreconditionRequired(DomainError):
    code = "precondition-required"
    title = "Say which version of the object you have seen."
    status = 428


class IdempotencyKeyRequired(Invalid):
    code = "idempotency-key-required"
    title = "This request needs an Idempotency-Key header."


class IdempotencyKeyMalformed(Invalid):
    code = "idempotency-key-malformed"
    title = "The Idempotency-Key header is malformed."


class IdempotencyKeyReused(DomainError):
    code = "idempotency-key-reused"
    title = "This Idempotency-Key was used for another request."


class IdempotencyInFlight(Conflict):
    code = "idempotency-in-flight"
    title = "The first request with this Idempotency-Key is still running."
    retry_after = 1
