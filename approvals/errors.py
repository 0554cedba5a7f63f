from billing.kernel.errors import Conflict, DomainError, NotAllowed


class NoRule(DomainError):
    code = "no-approval-rule"
    title = "No approval rule covers this, not even a fallback."


class NoApprover(DomainError):
    code = "no-approver"
    title = "A level of the rule would ask too few people who may decide."


class NotAskedToDecide(NotAllowed):
    code = "not-asked-to-decide"
    title = "The present level does not ask you."


class InvolvedMayNotDecide(NotAllowed):
    code = "involved-may-not-decide"
    title = "Whoever asked, edited or gains does not decide, through nobody."


class SignInAgain(NotAllowed):
    code = "sign-in-again"
    title = "A decision needs a sign-in of the last minutes."


class BeyondLimit(NotAllowed):
    code = "beyond-limit"
    title = "The amount is above the limit."


class DecidedBefore(Conflict):
    code = "decided-before"
    title = "This was decided before, by the same person or for the same approver."


class ContentChanged(Conflict):
    code = "content-changed"
    title = "What was shown is not what would be approved."


class RequestNotPending(Conflict):
    code = "request-not-pending"
    title = "The request is decided, canceled, expired or superseded."


class ProposalOpen(Conflict):
    code = "rule-proposal-open"
    title = "Another change of the rule waits for its confirmation."


class RuleNameTaken(Conflict):
    code = "rule-name-taken"
    title = "The entity has a rule of this name, or a fallback for this kind."


class DelegationRefused(DomainError):
    code = "delegation-refused"
    title = "This cannot be delegated so."
