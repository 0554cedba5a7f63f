from billing.kernel.errors import Conflict, DomainError


class NotASeller(DomainError):
    code = "not-a-seller"
    title = "Only a selling entity has products."


class ProductCodeTaken(Conflict):
    code = "product-code-taken"
    title = "The seller already has a product with this code."


class PriceOutOfOrder(DomainError):
    code = "price-out-of-order"
    title = "A new price version starts after the version before it."


class NotAPriceOfItsModel(DomainError):
    code = "not-a-price-of-its-model"
    title = "The figure does not belong to the price model."


class NotChangeable(Conflict):
    code = "subscription-not-changeable"
    title = "The subscription cannot be changed in its state."


class DayOutsidePeriod(DomainError):
    code = "day-outside-period"
    title = "A subscription changes within its current period."


class PlanNotPriced(DomainError):
    code = "plan-not-priced"
    title = "A product of the plan has no price in this currency on this day."


class PlanOfAnotherSeller(DomainError):
    code = "plan-of-another-seller"
    title = "A customer subscribes to plans of its own seller."


class PlanNotOffered(Conflict):
    code = "plan-not-offered"
    title = "The plan is no longer offered."


class SubscriptionReferenceTaken(Conflict):
    code = "subscription-reference-taken"
    title = "The seller already has a subscription with this reference."


class NothingScheduled(Conflict):
    code = "nothing-scheduled"
    title = "Nothing is scheduled for the end of the period."


class NothingToChange(DomainError):
    code = "nothing-to-change"
    title = "The subscription already is what it is to become."


class DayInFuture(DomainError):
    code = "day-in-future"
    title = "A change acts today, earlier in this period, or at its end."


class CustomerCannotSubscribe(Conflict):
    code = "customer-cannot-subscribe"
    title = "Only active customers subscribe."


class ProductNotOnPlan(DomainError):
    code = "product-not-on-plan"
    title = "A plan has prices only for the products that are on it."


class PassThroughIsBeforeTax(DomainError):
    code = "pass-through-is-before-tax"
    title = "Costs are passed on before tax."


class PassThroughNeedsUsage(DomainError):
    code = "pass-through-needs-usage"
    title = "On a plan, only what is used can be passed on at cost."


class PlanCodeTaken(Conflict):
    code = "plan-code-taken"
    title = "The seller already has a plan with this code."


class PlanItemNotPossible(DomainError):
    code = "plan-item-not-possible"
    title = "A plan cannot have this item."


class NoPriceInForce(DomainError):
    code = "no-price-in-force"
    title = "The product has no price in this currency on this day."


class ProductNotLicensable(DomainError):
    code = "product-not-licensable"
    title = "The entity's seller does not sell this product."


class EntityNotLicensable(Conflict):
    code = "entity-not-licensable"
    title = "Only an active entity is given a licence."


class NotTheLicenseesSubscription(DomainError):
    code = "not-the-licensees-subscription"
    title = "The entity has no such subscription, or it has ended."


class IncludedBeyondSeats(DomainError):
    code = "included-beyond-seats"
    title = "No more seats can be included than the licence has."


class LicenseEndsTooEarly(DomainError):
    code = "license-ends-too-early"
    title = "A licence ends after it starts, and not before the day of the change."


class SeatsInUse(Conflict):
    code = "seats-in-use"
    title = "More seats are in use than would be left."


class LicenseRevoked(Conflict):
    code = "license-revoked"
    title = "The licence is revoked, for good."


class LicenseNotValid(Conflict):
    code = "license-not-valid"
    title = "The licence is not valid on this day."


class NoSeatLeft(Conflict):
    code = "no-seat-left"
    title = "Every seat of the licence is in use."


class SeatNotHeld(Conflict):
    code = "seat-not-held"
    title = "The holder has no seat of this licence."


class AmountTooLarge(DomainError):
    code = "amount-too-large"
    title = "A charge is below 10^15 of its currency."


class StartsTooLongAgo(DomainError):
    code = "starts-too-long-ago"
    title = "A subscription starts within the last three years, or later."
