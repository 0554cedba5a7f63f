from billing.kernel.errors import Conflict, DomainError, Invalid


class NotTheSellersPolicy(DomainError):
    code = "policy-of-another-seller"
    title = "A customer is reminded by a policy of its own seller."


class SellerNeeded(DomainError):
    code = "dunning-needs-a-seller"
    title = "Only who sells has dunning policies."


class PolicyCodeTaken(Conflict):
    code = "dunning-policy-code-taken"
    title = "The seller has a dunning policy with this code."


class PolicyDraftExists(Conflict):
    code = "dunning-policy-draft-exists"
    title = "The next revision of this dunning policy is a draft already."


class DefaultPolicyExists(Conflict):
    code = "dunning-default-policy-exists"
    title = "The seller has another default dunning policy."


class StepsNotPossible(Invalid):
    code = "dunning-steps-not-possible"
    title = "These steps do not make a dunning policy."


class AssignmentOverlaps(Conflict):
    code = "dunning-assignment-overlaps"
    title = "The customer has a dunning policy for that time."


class AssignmentEnds(DomainError):
    code = "dunning-assignment-ends"
    title = "A dunning assignment does not end on that day."


class PolicyNotActive(Conflict):
    code = "dunning-policy-not-active"
    title = "Customers are assigned to active dunning policies only."


class InvoiceNotOpen(Conflict):
    code = "invoice-not-open"
    title = "Nothing is open on the invoice."


class PauseExceedsOpen(DomainError):
    code = "dunning-pause-exceeds-open"
    title = "More than what is open cannot be paused."


class PauseEnds(DomainError):
    code = "dunning-pause-ends"
    title = "A dunning pause does not end on that day."


class NoAddressForReminders(DomainError):
    code = "no-address-for-reminders"
    title = "The customer has no e-mail address to send reminders to."


class LateFeeBilled(Conflict):
    code = "late-fee-billed"
    title = "A late fee that is billed cannot be waived."
