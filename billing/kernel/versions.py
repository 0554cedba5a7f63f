"""Optimistic locking: a writer may say which version of the object it has seen."""

from billing.kernel.errors import PreconditionFailed
from billing.kernel.models import BaseModel


def require_version(instance: BaseModel, expected: int | None) -> None:
    """Refuse unless `instance` is still at `expected`. Call it under the lock: before it, it proves nothing.

    None means the caller did not say. Raises PreconditionFailed.
    """
    if expected is not None and instance.version != expected:
        raise PreconditionFailed(
            f"The object is at version {instance.version}, not {expected}.", current_version=instance.version
        )
