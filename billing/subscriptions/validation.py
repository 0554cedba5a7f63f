"""What the licensed product is told when it asks whether somebody may use it, and for how long that stands."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db.models import Exists, OuterRef, QuerySet

from billing.access.models import User
from billing.subscriptions.licensed import (
    EXPIRED,
    FEATURE_NOT_INCLUDED,
    NO_SEAT,
    NOT_STARTED,
    SUBSCRIPTION_ENDED,
    day_at,
    licenses_for,
    live_seat,
    subscription_end,
    why_invalid,
)
from billing.subscriptions.models import License, LicenseAssignment

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def licenses_to_validate(user: User, *, holder: str | None) -> QuerySet[License]:
    """The licences `user` may ask about, each with `holder_has_seat`: None without a holder. One query."""
    licenses = licenses_for(user, "subscriptions.validate_license")
    if holder is None:
        return licenses
    seats = LicenseAssignment.objects.filter(license=OuterRef("pk"))
    return licenses.annotate(holder_has_seat=Exists(live_seat(seats, holder)))


def answer_about(license: License, *, holder: str | None, feature: str | None, at: datetime) -> dict:
    """What is told at the instant `at`: the question, whether it is valid, why not, and until when that stands.

    `fresh_until` lies between once and twice LICENSE_ANSWER_SECONDS ahead, the same for all who ask in the same
    window, so that an answer asked for again is the answer; never beyond the day that makes it another one.
    """
    has_seat = getattr(license, "holder_has_seat", None)
    reason = _reason(license, feature=feature, has_seat=has_seat, on=day_at(license.entity, at))
    return {
        "license": license.pk,
        "product": license.product.code,
        "holder": holder,
        "feature": feature,
        "valid": not reason,
        "reason": reason or None,
        "tier": license.tier,
        "features": license.features,
        "seats": license.seats,
        "used_seats": license.used_seats,
        "holder_has_seat": has_seat,
        "ends_on": license.ends_on,
        "checked_at": at,
        "fresh_until": _fresh_until(license, reason, at),
    }


def seconds_fresh(answer: dict) -> int:
    """How long a cache may keep it: LICENSE_ANSWER_SECONDS, or less where the answer itself stands for less."""
    left = (answer["fresh_until"] - answer["checked_at"]) // timedelta(seconds=1)
    return min(settings.LICENSE_ANSWER_SECONDS, left)


def _reason(license: License, *, feature: str | None, has_seat: bool | None, on: date) -> str:
    if reason := why_invalid(license, on):
        return reason
    if feature is not None and feature not in license.features:
        return FEATURE_NOT_INCLUDED
    return NO_SEAT if has_seat is False else ""


def _fresh_until(license: License, reason: str, at: datetime) -> datetime:
    window = timedelta(seconds=settings.LICENSE_ANSWER_SECONDS)
    until = EPOCH + ((at - EPOCH) // window + 2) * window
    if reason == NOT_STARTED:
        turns_on = [license.starts_on]
    elif reason in (EXPIRED, SUBSCRIPTION_ENDED):
        turns_on = []
    else:
        turns_on = [day for day in (license.ends_on, subscription_end(license)) if day]
    return min([until, *(_midnight(day, license.entity.time_zone) for day in turns_on)])


def _midnight(day: date, time_zone: str) -> datetime:
    return datetime.combine(day, time.min, ZoneInfo(time_zone)).astimezone(UTC)
