from billing.kernel.errors import Conflict, DomainError, Invalid


class HierarchyLoop(DomainError):
    code = "hierarchy-loop"
    title = "An entity or department cannot be below itself."


class HierarchyTooDeep(DomainError):
    code = "hierarchy-too-deep"
    title = "The hierarchy would have too many levels."


class HierarchyChanged(Conflict):
    """An entity was moved between the read and the lock; a retry succeeds."""

    code = "hierarchy-changed"
    title = "The hierarchy changed during the request. Try again."


class ParentNotActive(Conflict):
    code = "parent-not-active"
    title = "The parent is not active."


class OpenChildren(Conflict):
    code = "open-children"
    title = "Entities below this one are not closed."


class MovePlanned(Conflict):
    code = "move-planned"
    title = "A move of this entity is already planned."


class NoMovePlanned(Conflict):
    code = "no-move-planned"
    title = "No move of this entity is planned."


class MoveBeforePreviousMove(DomainError):
    code = "move-before-previous-move"
    title = "The move would take effect before the previous one."


class CodeTaken(Conflict):
    code = "code-taken"
    title = "The code is already in use."


class CurrencyLocked(Conflict):
    code = "currency-locked"
    title = "The currency cannot change after the first document."


class EntityClosed(Conflict):
    code = "entity-closed"
    title = "The entity is closed."


class InvalidTaxId(Invalid):
    code = "invalid-tax-id"
    title = "The tax ID is not valid in the country."


class DepartmentOfOtherEntity(DomainError):
    code = "department-of-other-entity"
    title = "The departments belong to different entities."


class DefaultDepartmentRequired(DomainError):
    code = "default-department-required"
    title = "An entity has exactly one default department, without an end date."


class RolesConflict(Conflict):
    code = "roles-conflict"
    title = "One person may not hold these two roles (segregation of duties)."


class RoleNotForAccount(DomainError):
    code = "role-not-for-account"
    title = "The role cannot be granted to this kind of account."


class DepartmentRequired(DomainError):
    code = "department-required"
    title = "The role of budget owner is granted for a department."


class GrantEnded(Conflict):
    code = "grant-ended"
    title = "The grant is revoked or has expired."


class UserInactive(Conflict):
    code = "user-inactive"
    title = "The account is deactivated."


class InvalidRoleException(DomainError):
    code = "invalid-role-exception"
    title = "The exception does not name two conflicting roles, or its dates are not valid."


class RoleExceptionInUse(Conflict):
    code = "role-exception-in-use"
    title = "The person holds both roles under this exception. Revoke one of them first."
