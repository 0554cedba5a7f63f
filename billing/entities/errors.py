from billing.kernel.errors import Conflict, DomainError, Invalid


class HierarchyLoop(DomainError):
    code = "hierarchy-loop"
    title = "Nothing can be placed below itself."


class HierarchyTooDeep(DomainError):
    code = "hierarchy-too-deep"
    title = "The hierarchy would become too deep."


class HierarchyChanged(Conflict):
    """Somebody moved one of the entities between our reading and our locking. Trying again is right."""

    code = "hierarchy-changed"
    title = "The hierarchy has changed meanwhile."


class ParentNotActive(Conflict):
    code = "parent-not-active"
    title = "The parent is not active."


class OpenChildren(Conflict):
    code = "open-children"
    title = "Entities below are still open."


class MovePlanned(Conflict):
    code = "move-planned"
    title = "A move of this entity is planned already."


class NoMovePlanned(Conflict):
    code = "no-move-planned"
    title = "No move of this entity is planned."


class MoveBeforeLast(DomainError):
    code = "move-before-last"
    title = "An entity cannot move before it came to where it is."


class CodeTaken(Conflict):
    code = "code-taken"
    title = "This code is in use."


class CurrencyFixed(Conflict):
    code = "currency-fixed"
    title = "The currency cannot change after the first document."


class EntityClosed(Conflict):
    code = "entity-closed"
    title = "The entity is closed."


class InvalidTaxId(Invalid):
    code = "invalid-tax-id"
    title = "This is not a tax id of that country."


class DepartmentOfOtherEntity(DomainError):
    code = "department-of-other-entity"
    title = "The departments belong to different entities."


class DefaultDepartmentNeeded(DomainError):
    code = "default-department-needed"
    title = "Every entity has one default department, and it does not end."


class RolesConflict(Conflict):
    code = "roles-conflict"
    title = "One person may not hold these roles together."


class RoleNotForAccount(DomainError):
    code = "role-not-for-account"
    title = "This role is not for this kind of account."


class DepartmentNeeded(DomainError):
    code = "department-needed"
    title = "A budget owner owns a department."


class TakesTwo(DomainError):
    code = "takes-two"
    title = "Whoever grants, confirms and receives are different persons."


class GrantEnded(Conflict):
    code = "grant-ended"
    title = "The grant is revoked or has run out."


class UserInactive(Conflict):
    code = "user-inactive"
    title = "The account is switched off."


class ExceptionRefused(DomainError):
    code = "exception-refused"
    title = "This exception to the table of conflicting roles makes no sense."


class ExceptionInUse(Conflict):
    code = "exception-in-use"
    title = "The person holds roles that only this exception allows: revoke one of them first."
