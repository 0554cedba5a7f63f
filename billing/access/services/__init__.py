from billing.access.services.keys import create_key, revoke_key, rotate_key, use_key
from billing.access.services.users import create_service_account, create_user, deactivate_user

__all__ = [
    "create_key",
    "create_service_account",
    "create_user",
    "deactivate_user",
    "revoke_key",
    "rotate_key",
    "use_key",
]
