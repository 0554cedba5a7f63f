from billing.entities.services.departments import create_department, update_department
from billing.entities.services.entities import (
    activate_entity,
    close_entity,
    create_entity,
    create_root_entity,
    resume_entity,
    suspend_entity,
    update_entity,
)
from billing.entities.services.exceptions import approve_exception, revoke_exception
from billing.entities.services.grants import confirm_grant, grant_role, revoke_grant
from billing.entities.services.hierarchy import apply_due_moves, apply_move, cancel_move, move_entity
from billing.entities.services.trees import lock_trees

__all__ = [
    "activate_entity",
    "apply_due_moves",
    "apply_move",
    "approve_exception",
    "cancel_move",
    "close_entity",
    "confirm_grant",
    "create_department",
    "create_entity",
    "create_root_entity",
    "grant_role",
    "lock_trees",
    "move_entity",
    "resume_entity",
    "revoke_exception",
    "revoke_grant",
    "suspend_entity",
    "update_department",
    "update_entity",
]
