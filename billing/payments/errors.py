from billing.kernel.errors import Conflict, DomainError


class PaymentReferenceUsed(Conflict):
    code = "payment-reference-used"
    title = "The seller already has another payment with this method and reference."


class PaymentExhausted(Conflict):
    code = "payment-exhausted"
    title = "The unapplied amount of the payment is smaller."


class ApplicationsExceedPayment(DomainError):
    code = "applications-exceed-payment"
    title = "The applications exceed the amount received."


class DuplicateInvoice(DomainError):
    code = "duplicate-invoice"
    title = "An invoice is listed more than once."


class InvalidPaymentAmount(DomainError):
    code = "invalid-payment-amount"
    title = "The amount is not positive, or has more decimals than its currency."


class PaymentDateInFuture(DomainError):
    code = "payment-date-in-future"
    title = "The payment date is in the future."


class ApplicationBeforeReceipt(DomainError):
    code = "application-before-receipt"
    title = "A payment cannot be applied before it was received and the invoice was issued."


class CurrencyMismatch(DomainError):
    code = "currency-mismatch"
    title = "The invoice has another currency than the payment."


class InvoiceOfAnotherSeller(DomainError):
    code = "invoice-of-another-seller"
    title = "The invoice was issued by another seller than the one who received the payment."


class InvoiceOfAnotherCustomer(DomainError):
    code = "invoice-of-another-customer"
    title = "A customer pays its own invoices and those of the entities below it."


class NotACustomerOfSeller(DomainError):
    code = "not-a-customer-of-seller"
    title = "The payer is not a customer of the seller."
