"""Seats of a licence, taken and given back, one holder each."""

from datetime import datetime
from uuid import UUID

from django.db import transaction

from billing.kernel import audit
from billing.kernel.errors import Invalid, NotFound
from billing.subscriptions.errors import LicenseNotValid, NoSeatLeft, SeatNotHeld
from billing.subscriptions.licensed import day_at, live_seat, why_invalid
from billing.subscriptions.models import License, LicenseAssignment

HOLDER_MAX = 200


@transaction.atomic
def assign_seat(*, actor: str, license_id: UUID, holder: str, as_of: datetime) -> LicenseAssignment:
    """Give `holder` a seat from the instant `as_of` on, or the one they have; whatever the case of the name.

    A seat that is new has `assigned_at` = `as_of`. Raises NotFound, LicenseNotValid on the entity's own day,
    NoSeatLeft (with `seats` and `used`) when every seat is in use, Invalid for an empty or overlong holder.
    """
    license = _locked_for(license_id, holder)
    if reason := why_invalid(license, day_at(license.entity, as_of)):
        raise LicenseNotValid(f"No seats are assigned: {reason.replace('-', ' ')}.", reason=reason)
    held = _held(license, holder)
    if held is not None:
        return held
    if license.used_seats >= license.seats:
        raise NoSeatLeft(
            f"{license.used_seats} of {license.seats} seats are in use.",
            seats=license.seats,
            used=license.used_seats,
        )

    seat = LicenseAssignment.objects.create(
        license=license, holder=holder, assigned_at=as_of, assigned_by=actor
    )
    audit.record(actor=actor, action="license.seat_assigned", subject=license, detail={"holder": holder})
    return seat


@transaction.atomic
def release_seat(*, actor: str, license_id: UUID, holder: str, as_of: datetime) -> LicenseAssignment:
    """Take the holder's seat back at the instant `as_of`, so that another may have it.

    Also of a licence that is no longer valid. Raises NotFound, SeatNotHeld, Invalid.
    """
    license = _locked_for(license_id, holder)
    seat = _held(license, holder)
    if seat is None:
        raise SeatNotHeld("This holder has no seat.")
    # The clocks of two servers differ; a seat is not given back before it was taken.
    seat.released_at, seat.released_by = max(as_of, seat.assigned_at), actor
    seat.save(update_fields=["released_at", "released_by"])
    audit.record(actor=actor, action="license.seat_released", subject=license, detail={"holder": seat.holder})
    return seat


def _locked_for(license_id: UUID, holder: str) -> License:
    if not holder.strip() or len(holder) > HOLDER_MAX:
        raise Invalid(f"A holder has a name of at most {HOLDER_MAX} characters.")
    license = License.objects.select_related("entity", "subscription").locked().filter(pk=license_id).first()
    if license is None:
        raise NotFound("There is no such licence.")
    return license


def _held(license: License, holder: str) -> LicenseAssignment | None:
    return live_seat(license.assignments, holder).first()
