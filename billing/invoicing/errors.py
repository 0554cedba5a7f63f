from billing.kernel.errors import Conflict, DomainError, Invalid


class PriceMissing(DomainError):
    code = "price-missing"
    title = "A product has no price for this currency and day."


class TaxRateMissing(DomainError):
    code = "tax-rate-missing"
    title = "No tax rate is known for this country, category and day."


class ExemptionOverlaps(Conflict):
    code = "tax-exemption-overlaps"
    title = "The customer has a tax exemption for that country and time."


class ExemptionEnds(DomainError):
    code = "tax-exemption-ends"
    title = "A tax exemption does not end on that day."


class DiscountCodeTaken(Conflict):
    code = "discount-code-taken"
    title = "The seller has a discount with that code."


class DiscountNotOffered(Conflict):
    code = "discount-not-offered"
    title = "The discount is not granted any more, or not yet."


class DiscountUsedUp(Conflict):
    code = "discount-used-up"
    title = "The discount was granted as often as it can be."


class DiscountGrantOverlaps(Conflict):
    code = "discount-grant-overlaps"
    title = "It has that discount at that time."


class DiscountGrantEnds(DomainError):
    code = "discount-grant-ends"
    title = "A grant of a discount does not end on that day."


class GlCodeMissing(DomainError):
    code = "gl-code-missing"
    title = "A share of the cost has no GL code."


class NegativeTotal(DomainError):
    code = "negative-total"
    title = "An invoice cannot be negative."


class NothingToInvoice(DomainError):
    code = "nothing-to-invoice"
    title = "The invoice has no lines."


class IssueDayBeforeLast(DomainError):
    code = "issue-day-before-last"
    title = "Invoice numbers follow the days they are issued on."


class CustomerNotActive(Conflict):
    code = "customer-not-active"
    title = "The customer is not active."


class InvoiceOverpaid(Conflict):
    code = "invoice-overpaid"
    title = "More than what is open cannot be paid."


class InvoiceHasSettlements(Conflict):
    code = "invoice-has-settlements"
    title = "Money has moved on this invoice; it cannot be voided."


class NotTheSeller(DomainError):
    code = "not-a-seller"
    title = "This entity does not sell."


class ShareTooLarge(DomainError):
    code = "share-too-large"
    title = "There is not that much cost to move."


class DepartmentOfAnotherEntity(DomainError):
    code = "department-of-another-entity"
    title = "Cost stays within the entity that was invoiced."


class AdjustsDraft(Conflict):
    code = "adjusts-a-draft"
    title = "The invoice adjusts a line that is not issued yet."


class NotOneOff(Conflict):
    code = "not-a-one-off-invoice"
    title = "The invoice was not written by hand."


class InvoiceNotDraft(Conflict):
    code = "invoice-not-draft"
    title = "Only a draft can be changed or deleted."


class OneOffKeyTaken(Conflict):
    code = "one-off-key-taken"
    title = "Another one-off invoice has that key."


class NothingToRerate(DomainError):
    code = "nothing-to-rerate"
    title = "No usage was billed there."


class TooFarAhead(Invalid):
    code = "as-of-too-far-ahead"
    title = "Bills are made ready at most 31 days ahead."


class InvoiceNotIssued(Conflict):
    code = "invoice-not-issued"
    title = "A draft has no document; issue the invoice first."
