"""Licences, who may see them, and whether one is valid: on a day, for a holder, for a feature."""

from datetime import date, datetime
from zoneinfo import ZoneInfo

from django.db.models import DateField, F, Func, QuerySet, Value
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
NO_SEAT = "no-seat"
FEATURE_NOT_INCLUDED = "feature-not-included"
ENTITY_NOT_ACTIVE = "entity-not-active"
REASONS = (REVOKED, ENTITY_NOT_ACTIVE, NOT_STARTED, EXPIRED, FEATURE_NOT_INCLUDED, NO_SEAT)


class LocalDay(Func):
    """The day an instant falls on in a time zone."""

    template = "(%(expressions)s)::date"
    arg_joiner = " AT TIME ZONE "
    output_field = DateField()


def licenses_for(user: User, verb: str = "subscriptions.view_license") -> QuerySet[License]:
    """The licences of the entities within reach of `user`."""
    return visible(License.objects.select_related("entity", "product"), user=user, verb=verb)


def licenses_over(*, as_of: datetime) -> QuerySet[License]:
    """Active licences whose last day is over at the instant `as_of`, each in its entity's own time zone."""
    day = LocalDay(Value(as_of), F("entity__time_zone"))
    return License.objects.filter(state=LicenseState.ACTIVE, ends_on__lte=day)


def live_seat(assignments: QuerySet[LicenseAssignment], holder: str) -> QuerySet[LicenseAssignment]:
    """The holder's seat among them, if it is not released; compared as the unique index does."""
    named = assignments.alias(name=Lower("holder"))
    return named.filter(name=Lower(Value(holder)), released_at__isnull=True)


def day_at(entity: BillingEntity, instant: datetime) -> date:
    """The day it is for the entity at an instant."""
    return instant.astimezone(ZoneInfo(entity.time_zone)).date()


def why_invalid(license: License, on: date) -> str:
    """Why nobody may use the licence on this day of its entity; "" if they may. Its `entity` should be loaded.

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
    return ""
