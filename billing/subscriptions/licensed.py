"""Licences, who may see them, and whether one is valid: on a day, for a holder, for a feature."""

from datetime import date, datetime
from zoneinfo import ZoneInfo

from django.db.models import DateField, F, Func, Q, QuerySet, Value
from django.db.models.functions import Lower

from billing.access.models import User
from billing.entities.models import BillingEntity
from billing.entities.reach import visible
from billing.entities.states import EntityState
from billing.subscriptions.models import License, LicenseAssignment
from billing.subscriptions.states import LicenseState

NOT_STARTED = "not-started"
EXPIRED = "expired"
REVOKED = "revoked"
SUBSCRIPTION_ENDED = "subscription-ended"
NO_SEAT = "no-seat"
FEATURE_NOT_INCLUDED = "feature-not-included"
ENTITY_NOT_ACTIVE = "entity-not-active"
REASONS = (
    REVOKED,
    ENTITY_NOT_ACTIVE,
    NOT_STARTED,
    EXPIRED,
    SUBSCRIPTION_ENDED,
    FEATURE_NOT_INCLUDED,
    NO_SEAT,
)


class LocalDay(Func):
    """The day an instant falls on in a time zone."""

    template = "(%(expressions)s)::date"
    arg_joiner = " AT TIME ZONE "
    output_field = DateField()


def licenses_for(user: User, permission: str = "subscriptions.view_license") -> QuerySet[License]:
    """The licences of the entities within reach of `user`."""
    return visible(
        License.objects.select_related("entity", "product", "subscription"), user=user, permission=permission
    )


def licenses_over(*, as_of: datetime) -> QuerySet[License]:
    """Active licences whose last day, or their subscription's, is over at the instant `as_of`, where they are."""
    day = LocalDay(Value(as_of), F("entity__time_zone"))
    over = Q(ends_on__lte=day) | Q(subscription__ended_on__lte=day)
    return License.objects.filter(over, state=LicenseState.ACTIVE)


def live_seat(assignments: QuerySet[LicenseAssignment], holder: str) -> QuerySet[LicenseAssignment]:
    """The holder's seat among them, if it is not released; compared as the unique index does."""
    named = assignments.alias(name=Lower("holder"))
    return named.filter(name=Lower(Value(holder)), released_at__isnull=True)


def day_at(entity: BillingEntity, instant: datetime) -> date:
    """The day it is for the entity at an instant."""
    return instant.astimezone(ZoneInfo(entity.time_zone)).date()


def why_invalid(license: License, on: date) -> str:
    """Why nobody may use the licence on this day of its entity; "" if they may. Load its entity and subscription.

    The dates decide, not whether the sweep that expires licences has come by.
    """
    if license.state == LicenseState.REVOKED:
        return REVOKED
    if license.entity.state != EntityState.ACTIVE:
        return ENTITY_NOT_ACTIVE
    if on < license.starts_on:
        return NOT_STARTED
    if license.state == LicenseState.EXPIRED or (license.ends_on and license.ends_on <= on):
        return EXPIRED
    if (ends_on := subscription_end(license)) and ends_on <= on:
        return SUBSCRIPTION_ENDED
    return ""


def subscription_end(license: License) -> date | None:
    """The first day the subscription that pays for it no longer covers, also if that is still to come."""
    paying = license.subscription
    return paying and (paying.ended_on or paying.cancels_on)
