"""Reading meters, usage and quotas."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db.models import (
    Case,
    DateField,
    DateTimeField,
    F,
    Func,
    OuterRef,
    QuerySet,
    Subquery,
    Value,
    When,
)
from django.db.models.functions import Cast, Coalesce, Greatest

from billing.access.models import User
from billing.entities.models import BillingEntity
from billing.entities.reach import visible
from billing.usage import calendar
from billing.usage.models import (
    Aggregation,
    Meter,
    Quota,
    QuotaAlert,
    QuotaCounter,
    QuotaMode,
    QuotaWindow,
    UsageEvent,
)


def meters_for(user: User, permission: str = "usage.view_meter") -> QuerySet[Meter]:
    return visible(Meter.objects.select_related("product"), user=user, permission=permission)


def events_for(user: User) -> QuerySet[UsageEvent]:
    return visible(
        UsageEvent.objects.select_related("meter"),
        user=user,
        permission="usage.view_usageevent",
        department="department",
    )


def quotas_for(user: User, permission: str = "usage.view_quota") -> QuerySet[Quota]:
    return visible(Quota.objects.select_related("meter", "entity"), user=user, permission=permission)


def alerts_for(user: User) -> QuerySet[QuotaAlert]:
    return visible(
        QuotaAlert.objects.select_related("quota__entity", "quota__meter"),
        user=user,
        permission="usage.view_quotaalert",
        entity="quota__entity",
    )


def sellers_of(entities: Iterable[BillingEntity]) -> dict[UUID, UUID]:
    """The seller of each entity, the nearest selling one above it, where there is one. One query."""
    above = {entity.pk: _above(entity.path) for entity in entities}
    candidates = {ancestor for ancestors in above.values() for ancestor in ancestors}
    selling = set(
        BillingEntity.objects.filter(pk__in=candidates, is_seller=True).values_list("pk", flat=True)
    )
    nearest = {
        entity: next((ancestor for ancestor in ancestors if ancestor in selling), None)
        for entity, ancestors in above.items()
    }
    return {entity: seller for entity, seller in nearest.items() if seller}


def _above(path: str) -> list[UUID]:
    """The ancestors on a path, nearest first."""
    return [UUID(part) for part in reversed(path.strip("/").split("/")[:-1])]


@dataclass(frozen=True)
class QuotaStatus:
    """Where a quota stands in the window of a day. `resets_at` is None for a window without an end."""

    quota: Quota
    used: Decimal
    remaining: Decimal
    resets_at: datetime | None

    @property
    def is_allowed(self) -> bool:
        return self.allows(None)

    def allows(self, quantity: Decimal | None) -> bool:
        return self.quota.mode == QuotaMode.WARN or self.has_room_for(quantity)

    def has_room_for(self, quantity: Decimal | None) -> bool:
        """Would so much more fit: of a sum as much, of a count so many, of a level the level itself? None: any."""
        if self.quota.meter.aggregation in {Aggregation.MAX, Aggregation.LATEST}:
            return quantity is None or quantity <= self.quota.limit_quantity
        if quantity is None:
            return self.remaining > 0
        return quantity == 0 or quantity <= self.remaining


class MonthStart(Func):
    """The first moment of the month of a local time (Django's own would convert it to a zone once more)."""

    function = "date_trunc"
    template = "%(function)s('month', %(expressions)s)"
    output_field = DateTimeField()


def with_use(quotas: QuerySet[Quota], *, as_of: datetime) -> QuerySet[Quota]:
    """Each with `used_now` and `left_now`: what it counted in the window of the moment, by its own calendar."""
    here = Func(
        F("entity__time_zone"),
        Cast(Value(as_of), DateTimeField()),
        function="timezone",
        output_field=DateTimeField(),
    )
    starts_on = Case(
        When(window=QuotaWindow.DAY, then=Cast(here, DateField())),
        When(window=QuotaWindow.MONTH, then=Cast(MonthStart(here), DateField())),
        default=Value(calendar.FIRST_DAY),
        output_field=DateField(),
    )
    counted = QuotaCounter.objects.filter(quota=OuterRef("pk"), starts_on=OuterRef("window_starts_on"))
    return (
        quotas.annotate(window_starts_on=starts_on)
        .annotate(used_now=Coalesce(Subquery(counted.values("used_quantity")[:1]), Value(Decimal(0))))
        .annotate(left_now=Greatest(F("limit_quantity") - F("used_now"), Value(Decimal(0))))
    )


def nearly_used(quotas: QuerySet[Quota], *, as_of: datetime) -> QuerySet[Quota]:
    """Those with nine tenths of their limit used in the window of the moment."""
    return with_use(quotas, as_of=as_of).filter(
        limit_quantity__gt=0, used_now__gte=F("limit_quantity") * Value(Decimal("0.9"))
    )


def quota_status(quota: Quota, *, as_of: datetime) -> QuotaStatus:
    """One read by unique key, however much was used. Load the quota with its entity."""
    zone = quota.entity.time_zone
    starts_on = calendar.window_start(quota.window, calendar.local_day(as_of, zone))
    used = (
        QuotaCounter.objects.filter(quota=quota, starts_on=starts_on)
        .values_list("used_quantity", flat=True)
        .first()
    ) or Decimal(0)
    return QuotaStatus(
        quota=quota,
        used=used,
        remaining=max(quota.limit_quantity - used, Decimal(0)),
        resets_at=calendar.resets_at(quota.window, starts_on, zone),
    )
