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
