"""What the rows of a batch name, read in a constant number of statements."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db.models import QuerySet
from django.db.models.functions import Lower

from billing.entities.models import BillingEntity, Department
from billing.entities.states import EntityState
from billing.subscriptions.models import Subscription
from billing.usage import calendar, queries
from billing.usage.models import Meter, Quota
from billing.usage.reports import UsageReport


@dataclass(frozen=True)
class Known:
    """Everything within reach that a batch refers to."""

    entities: dict[UUID, BillingEntity]
    sellers: dict[UUID, UUID]
    meters: dict[tuple[UUID, str], Meter]  # by seller and lower-case code
    departments: dict[UUID, UUID]  # its entity
    quotas: dict[tuple[UUID, UUID], Quota]  # by entity and meter
    subscriptions: dict[UUID, Subscription]

    def meter_for(self, report: UsageReport) -> Meter | None:
        seller = self.sellers.get(report.entity_id)
        return self.meters.get((seller, report.meter.lower())) if seller else None

    def missing(self, report: UsageReport) -> tuple[str, str] | None:
        """Unknown and out of reach are the same answer."""
        if report.entity_id not in self.entities:
            return "unknown-entity", "There is no such entity."
        if self.meter_for(report) is None:
            return "unknown-meter", "The entity's seller has no such meter."
        if (
            report.department_id is not None
            and self.departments.get(report.department_id) != report.entity_id
        ):
            return "unknown-department", "The entity has no such department."
        named = report.subscription_id
        if named is not None and (
            named not in self.subscriptions or self.subscriptions[named].entity_id != report.entity_id
        ):
            return "unknown-subscription", "The entity has no such subscription."
        return None

    def not_open(self, report: UsageReport) -> tuple[str, str] | None:
        entity = self.entities[report.entity_id]
        if entity.state != EntityState.ACTIVE:
            return "entity-not-active", f"The entity is {entity.state}."
        if not self.meter_for(report).is_active:
            return "meter-not-active", "The meter takes no more usage."
        return self._not_subscribed(report, entity.time_zone)

    def _not_subscribed(self, report: UsageReport, time_zone: str) -> tuple[str, str] | None:
        if report.subscription_id is None:
            return None
        subscription = self.subscriptions[report.subscription_id]
        day = calendar.local_day(report.occurred_at, time_zone)
        if day < subscription.starts_on:
            return "subscription-not-active", f"The subscription starts on {subscription.starts_on}."
        ended_on = subscription.ended_on or subscription.cancels_on  # the day may have come before the sweep
        if ended_on is not None and day >= ended_on:
            return "subscription-not-active", f"The subscription ended on {ended_on}."
        return None


def look_up(
    reports: Sequence[UsageReport],
    *,
    entities: QuerySet[BillingEntity] | None,
    departments: QuerySet[Department] | None,
) -> Known:
    """`entities` and `departments` are those within the reporter's reach; None: all."""
    reachable = BillingEntity.objects.all() if entities is None else entities
    found = reachable.in_bulk({report.entity_id for report in reports})
    sellers = queries.sellers_of(found.values())
    meters = {
        (meter.entity_id, meter.code.lower()): meter
        for meter in Meter.objects.annotate(code_key=Lower("code")).filter(
            entity_id__in=set(sellers.values()), code_key__in={report.meter.lower() for report in reports}
        )
    }
    named = {report.department_id for report in reports} - {None}
    subscribed = {report.subscription_id for report in reports} - {None}
    reachable = Department.objects.all() if departments is None else departments
    return Known(
        entities=found,
        sellers=sellers,
        meters=meters,
        departments=dict(reachable.filter(pk__in=named).values_list("pk", "entity_id")) if named else {},
        quotas={
            (quota.entity_id, quota.meter_id): quota
            for quota in Quota.objects.select_related("entity", "meter").filter(
                entity__in=found, meter__in=[meter.pk for meter in meters.values()]
            )
        },
        subscriptions=(
            Subscription.objects.filter(entity__in=found).in_bulk(subscribed) if subscribed else {}
        ),
    )
