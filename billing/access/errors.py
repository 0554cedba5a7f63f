from billing.kernel.errors import Conflict, DomainError, NotAllowed


class KeyRefused(NotAllowed):
    """Unknown, expired, revoked, from the wrong address, or its account is switched off."""

    code = "key-refused"


class UnknownScope(DomainError):
    code = "unknown-scope"
    title = "No such scope."


class NotAServiceAccount(DomainError):
    code = "not-a-service-account"
    title = "Only service accounts have keys."


class EmailTaken(Conflict):
    code = "email-taken"
    title = "There is already a user with this address."


class OwnerNotAPerson(DomainError):
    code = "owner-not-a-person"
    title = "A service account is owned by an active person."


class KeyEnded(Conflict):
    code = "key-ended"
    title = "The key has ended."
