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
