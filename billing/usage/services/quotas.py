"""Setting quotas. Their counters are rebuilt here, and moved on by `consumption`."""

from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise
from uuid import UUID

from django.db import connection, transaction

from billing.entities.models import BillingEntity
from billing.kernel import audit
from billing.kernel.advisory_locks import USAGE_QUOTAS
from billing.kernel.errors import Invalid, NotFound
from billing.usage import queries, soundness
from billing.usage.counting import COUNTED
from billing.usage.errors import MeterOfAnotherSeller, QuotaOutOfRange
from billing.usage.models import Meter, Quota, QuotaCounter, QuotaMode, QuotaWindow
from billing.usage.services.alerting import Use, raise_alerts, record_alerts

THRESHOLDS_MAX = 10
PERCENTS = set(range(1, 1001))

RECOUNT = f"""
    INSERT INTO quota_counters (quota_id, starts_on, used_quantity, ceiling, latest_at, latest_event_id)
    SELECT counted.quota_id, counted.starts_on, counted.used_quantity,
        CASE q.mode WHEN 'block' THEN greatest(q.limit_quantity, counted.used_quantity) END,
        counted.latest_at, counted.latest_event_id
    FROM ({COUNTED.replace("GROUP BY", "WHERE q.id = %s GROUP BY")}) counted
        JOIN quotas q ON q.id = counted.quota_id
"""  # noqa: S608


@transaction.atomic
def set_quota(
    *,
    actor: str,
    entity_id: UUID,
    meter_id: UUID,
    limit_quantity: Decimal,
    window: str = QuotaWindow.MONTH,
    mode: str = QuotaMode.BLOCK,
    thresholds: Sequence[int] | None = None,
) -> Quota:
    """Say how much of a meter an entity may use per window: there is one quota per entity and meter.

    What was used before counts. Where it is already more than the limit, nothing more fits until the
    window ends. `thresholds` (whole percents, ascending; None: as they are, 80 and 100 at first) raise alerts;
    what has reached them already is on record at once, and of the newest window told too.
    Raises NotFound, MeterOfAnotherSeller, QuotaOutOfRange, or Invalid for an unknown window or mode.
    """
    _require_known(window=window, mode=mode)
    if not limit_quantity.is_finite() or not 0 <= limit_quantity < soundness.BEYOND:
        raise QuotaOutOfRange(f"'{limit_quantity}' is not a quota.")
    if soundness.too_fine(limit_quantity):
        raise QuotaOutOfRange(f"{limit_quantity} has more than {soundness.DECIMALS} decimals.")
    _require_thresholds(thresholds)
    USAGE_QUOTAS.take()
    entity = BillingEntity.objects.locked().filter(pk=entity_id).first()
    meter = Meter.objects.filter(pk=meter_id).first()
    if entity is None or meter is None:
        raise NotFound("There is no such entity or meter.")
    if queries.sellers_of([entity]).get(entity.pk) != meter.entity_id:
        raise MeterOfAnotherSeller(f"'{meter.code}' is not a meter of the seller of {entity.name}.")

    quota, was_new = Quota.objects.update_or_create(
        entity=entity,
        meter=meter,
        defaults={"limit_quantity": limit_quantity, "window": window, "mode": mode}
        | ({} if thresholds is None else {"thresholds": list(thresholds)}),
    )
    _recount(quota)
    quota.refresh_from_db()
    _raise_alerts(quota)
    audit.record(
        actor=actor,
        action="quota.set" if was_new else "quota.changed",
        subject=quota,
        detail={"meter": meter.code, "limit": limit_quantity, "window": window, "mode": mode},
    )
    return quota


def _recount(quota: Quota) -> None:
    QuotaCounter.objects.filter(quota=quota).delete()
    with connection.cursor() as cursor:
        cursor.execute(RECOUNT, [quota.pk])


def _raise_alerts(quota: Quota) -> None:
    """Of windows that are over only the record is kept: nobody wants to hear of last year's."""
    uses = [
        Use(quota, starts_on, used)
        for starts_on, used in quota.counters.order_by("starts_on").values_list("starts_on", "used_quantity")
    ]
    record_alerts(uses[:-1])
    raise_alerts(uses[-1:])


def _require_thresholds(thresholds: Sequence[int] | None) -> None:
    if thresholds is None:
        return
    ascending = all(low < high for low, high in pairwise(thresholds))
    if len(thresholds) > THRESHOLDS_MAX or not ascending or not {*thresholds} <= PERCENTS:
        raise QuotaOutOfRange(
            f"Thresholds are at most {THRESHOLDS_MAX} whole percents from 1 to 1000, ascending."
        )


def _require_known(*, window: str, mode: str) -> None:
    if window not in QuotaWindow.values:
        raise Invalid(f"'{window}' is not a window.", known=QuotaWindow.values)
    if mode not in QuotaMode.values:
        raise Invalid(f"'{mode}' is not a mode.", known=QuotaMode.values)
