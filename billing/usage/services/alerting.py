"""Telling that a quota's use has reached a threshold: once per window, with the usage that reached it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from django.db.models.functions import Now

from billing.kernel import events
from billing.kernel.money import EXACT
from billing.usage.events import QuotaThresholdReached
from billing.usage.models import Quota, QuotaAlert


@dataclass(frozen=True, slots=True)
class Use:
    """What a quota has counted in the window that begins on a day, and what it had before."""

    quota: Quota
    starts_on: date
    used: Decimal
    before: Decimal = Decimal(0)

    def reached(self) -> list[int]:
        return [
            threshold
            for threshold in self.quota.thresholds
            if self._has_reached(threshold, self.used) and not self._has_reached(threshold, self.before)
        ]

    def _has_reached(self, threshold: int, used: Decimal) -> bool:
        """Exactly the threshold is reached. Of a limit of nothing every use is all."""
        hundredfold = EXACT.multiply(used, Decimal(100))
        return used > 0 and hundredfold >= EXACT.multiply(self.quota.limit_quantity, Decimal(threshold))


def raise_alerts(uses: Sequence[Use], *, as_of: datetime | None = None) -> None:
    """Record what these uses have reached and was not reached in their window before, and tell it."""
    events.publish_all(
        [
            QuotaThresholdReached(
                entity_id=alert.quota.entity_id,
                alert_id=alert.pk,
                quota_id=alert.quota_id,
                meter_id=alert.quota.meter_id,
                starts_on=alert.starts_on,
                threshold=alert.threshold,
            )
            for alert in record_alerts(uses, as_of=as_of)
        ]
    )


def record_alerts(uses: Sequence[Use], *, as_of: datetime | None = None) -> list[QuotaAlert]:
    """The alerts that are new. Their counters are locked; `as_of` None is the moment of the transaction."""
    due = [
        QuotaAlert(
            quota=use.quota,
            window=use.quota.window,
            starts_on=use.starts_on,
            threshold=threshold,
            limit_quantity=use.quota.limit_quantity,
            used_quantity=use.used,
            raised_at=as_of or Now(),
        )
        for use in uses
        for threshold in use.reached()
    ]
    if not due:
        return []
    QuotaAlert.objects.bulk_create(due, ignore_conflicts=True)
    # A level may have reached the threshold before, and fallen below it again.
    recorded = QuotaAlert.objects.in_bulk([alert.pk for alert in due])
    return [alert for alert in due if alert.pk in recorded]
