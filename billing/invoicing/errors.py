from billing.kernel.errors import Conflict, DomainError, Invalid


class PriceMissing(DomainError):
    code = "price-missing"
    title = "A product has no price for this currency and day."


class TaxRateMissing(DomainError):
    code = "tax-rate-missing"
    title = "No tax rate is known for this country, category and day."


class TaxIdMissing(DomainError):
    code = "tax-id-missing"
    title = "An invoice with this tax names the seller's tax id."


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


class NotCreditable(Conflict):
    code = "not-creditable"
    title = "Only an issued or paid invoice can be credited."


class NothingToCredit(DomainError):
    code = "nothing-to-credit"
    title = "A credit note takes back more than nothing."


class CreditExceedsInvoice(DomainError):
    code = "credit-exceeds-invoice"
    title = "More would be credited than was charged."


class LineOfAnotherInvoice(DomainError):
    code = "line-of-another-invoice"
    title = "The line is not one of the invoice."


class LineCredited(Conflict):
    code = "line-credited"
    title = "A part of the line was credited; its cost can no longer be moved."


class CreditExhausted(Conflict):
    code = "credit-exhausted"
    title = "Not that much of the credit is left."


class CreditToBePaidBack(Conflict):
    code = "credit-to-be-paid-back"
    title = "The credit is to be paid back and settles no invoices."


class RefundRequiresApproval(Conflict):
    code = "refund-requires-approval"
    title = "What is left of the credit is above the limit for paying back."


class CreditOfAnotherAccount(DomainError):
    code = "credit-of-another-account"
    title = "A credit settles its customer's invoices with the same seller, in the same currency."


class RecoveryExceedsWriteOff(DomainError):
    code = "recovery-exceeds-write-off"
    title = "No more comes back than was written off."


class ExchangeRateMissing(DomainError):
    code = "exchange-rate-missing"
    title = "No exchange rate is known for these currencies and day."


class MissingChildren(Conflict):
    code = "missing-children"
    title = "Invoices of the group are still drafts and would be missing."


class NothingToConsolidate(DomainError):
    code = "nothing-to-consolidate"
    title = "The group has no open invoice of that period that is not consolidated yet."


class ConsolidationTooLarge(DomainError):
    code = "consolidation-too-large"
    title = "The sum is more than an amount can be."


class ChildOfConsolidation(Conflict):
    code = "child-of-consolidation"
    title = "The invoice is part of a consolidated invoice, and is settled and voided with it."


class ConsolidationHasSettlements(Conflict):
    code = "consolidation-has-settlements"
    title = "Money has moved on an invoice of the consolidation; it cannot be voided."


class ConsolidationVoid(Conflict):
    code = "consolidation-void"
    title = "The consolidated invoice is void."


class AllocationOver100(DomainError):
    code = "allocation-over-100-percent"
    title = "The percentages of a rule come to more than 100."


class AllocationIncomplete(DomainError):
    code = "allocation-incomplete"
    title = "A rule does not say where all of an amount goes."


class TargetsUnclear(DomainError):
    code = "allocation-targets-unclear"
    title = "The targets of a rule contradict themselves."


class RuleScopeUnknown(DomainError):
    code = "allocation-rule-scope"
    title = "The rule names something that its entity does not have."


class RuleNotInForce(DomainError):
    code = "allocation-rule-not-in-force"
    title = "The rule is not in force on any day of the period."


class MappingOverlaps(Conflict):
    code = "gl-code-mapping-overlaps"
    title = "There is a GL code for the same at that time."


class ValidityEnds(DomainError):
    code = "validity-ends"
    title = "It cannot end on that day."


class AllocationRunExists(Conflict):
    code = "allocation-run-exists"
    title = "There is an allocation run of that for the period, and it was not reversed."


class StepsUnclear(DomainError):
    code = "step-down-unclear"
    title = "The steps of a step-down allocation contradict themselves."


class RuleCodeTaken(Conflict):
    code = "allocation-rule-code-taken"
    title = "The entity has a rule of that code."


class MappingUnclear(DomainError):
    code = "gl-code-mapping-unclear"
    title = "The mapping does not say what it is about."
