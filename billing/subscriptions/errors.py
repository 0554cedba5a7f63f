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
