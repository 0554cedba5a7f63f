from billing.kernel.errors import Conflict, DomainError


class PaymentReferenceUsed(Conflict):
    code = "payment-reference-used"
    title = "The seller already has another payment with this method and reference."


class PaymentExhausted(Conflict):
    code = "payment-exhausted"
    title = "Not that much of the payment is left to apply."


class ApplicationsExceedPayment(DomainError):
    code = "applications-exceed-payment"
    title = "More is to be applied than was received."


class InvoiceTwice(DomainError):
    code = "invoice-twice"
    title = "An invoice is named more than once."


class PaymentNotPayable(DomainError):
    code = "payment-not-payable"
    title = "The amount is not positive, or has more decimals than its currency."


class ReceivedInFuture(DomainError):
    code = "received-in-future"
    title = "Money that has not arrived yet cannot be recorded."


class AppliedBeforeItsTime(DomainError):
    code = "applied-before-its-time"
    title = "A payment settles an invoice once both exist."


class CurrencyMismatch(DomainError):
    code = "currency-mismatch"
    title = "A payment settles invoices in its own currency only."


class InvoiceOfAnotherSeller(DomainError):
    code = "invoice-of-another-seller"
    title = "The invoice was not sent by the seller who received the payment."


class InvoiceOfAnotherCustomer(DomainError):
    code = "invoice-of-another-customer"
    title = "A customer pays its own invoices and those of the entities below it."


class NotACustomerOfSeller(DomainError):
    code = "not-a-customer-of-seller"
    title = "The payer has no business with this seller."
