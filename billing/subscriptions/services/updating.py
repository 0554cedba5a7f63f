from collections.abc import Mapping
from uuid import UUID

from django.db import transaction

from billing.kernel import audit
from billing.kernel.errors import Invalid, NotFound
from billing.kernel.versions import require_version
from billing.subscriptions.models import Subscription

EDITABLE = {"metadata"}


@transaction.atomic
def update_subscription(
    *, actor: str, subscription_id: UUID, changes: Mapping[str, object], version: int | None = None
) -> Subscription:
    """Change the metadata, also of one that has ended; what costs money has operations of its own.

    Raises NotFound, PreconditionFailed, or Invalid for what is not editable.
    """
    if unknown := sorted(changes.keys() - EDITABLE):
        raise Invalid(f"Not editable: {', '.join(unknown)}.", fields=unknown)
    subscription = Subscription.objects.locked().filter(pk=subscription_id).first()
    if subscription is None:
        raise NotFound("There is no such subscription.")
    require_version(subscription, version)
    if changes.get("metadata", subscription.metadata) == subscription.metadata:
        return subscription
    subscription.metadata = changes["metadata"]
    subscription.save(update_fields=["metadata"])
    subscription.refresh_from_db()
    audit.record(
        actor=actor,
        action="subscription.updated",
        subject=subscription,
        detail={"fields": ["metadata"]},
    )
    return subscription
