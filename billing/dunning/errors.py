from billing.kernel.errors import Conflict, DomainError, Invalid


class PolicyOfAnotherSeller(DomainError):
    code = "dunning-policy-of-another-seller"
    title = "The dunning policy belongs to another seller."


class SellerRequired(DomainError):
    code = "dunning-policy-requires-seller"
    title = "Only a seller has dunning policies."


class PolicyCodeTaken(Conflict):
    code = "dunning-policy-code-taken"
    title = "The seller already has a dunning policy with this code."


class PolicyDraftExists(Conflict):
    code = "dunning-policy-draft-exists"
    title = "The dunning policy already has a draft revision."


class DefaultPolicyExists(Conflict):
    code = "dunning-default-policy-exists"
    title = "The seller already has a default dunning policy."


class InvalidDunningPolicy(Invalid):
    code = "invalid-dunning-policy"
    title = "The steps and amounts do not make a valid dunning policy."


class AssignmentOverlaps(Conflict):
    code = "dunning-assignment-overlaps"
    title = "The customer already has a dunning policy in that period."


class InvalidAssignmentEndDate(DomainError):
    code = "invalid-dunning-assignment-end-date"
    title = "The dunning assignment cannot end on that day."


class PolicyNotActive(Conflict):
    code = "dunning-policy-not-active"
    title = "Only an active dunning policy can be assigned."


class InvoiceNotOpen(Conflict):
    code = "invoice-not-open"
    title = "The invoice has no open amount."


class HoldExceedsOpenAmount(DomainError):
    code = "dunning-hold-exceeds-open-amount"
    title = "The hold exceeds the open amount of the invoice."


class InvalidHoldEndDate(DomainError):
    code = "invalid-dunning-hold-end-date"
    title = "The dunning hold cannot end on that day."


class NoAddressForReminders(DomainError):
    code = "no-address-for-reminders"
    title = "The customer has no e-mail address for reminders."


class LateFeeBilled(Conflict):
    code = "late-fee-billed"
    title = "The late fee is already on an issued invoice and cannot be waived."
