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
