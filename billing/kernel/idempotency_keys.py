"""Keys under which a write happens at most once, and how long they are remembered."""

from datetime import datetime, timedelta

from billing.kernel.models import IdempotencyKey

REMEMBERED_FOR = timedelta(days=30)
ROWS_PER_DELETE = 5_000


def claim_once(*, principal: str, key: str, route: str) -> bool:
    """True for the first who asks under this key, False for everyone after."""
    _, is_new = IdempotencyKey.objects.get_or_create(
        principal=principal, key=key, defaults={"route": route, "fingerprint": ""}
    )
    return is_new


def purge_idempotency_keys(*, as_of: datetime) -> int:
    """Forget the keys older than thirty days, a batch at a time; returns how many."""
    old, purged = IdempotencyKey.objects.filter(created_at__lt=as_of - REMEMBERED_FOR), 0
    while ids := list(old.values_list("pk", flat=True)[:ROWS_PER_DELETE]):
        purged += IdempotencyKey.objects.filter(pk__in=ids).delete()[0]
    return purged
