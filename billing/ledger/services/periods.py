"""Closing the books of a month takes two controllers, and so does opening them again."""

from collections.abc import Callable
from uuid import UUID

from django.db import transaction

from billing.kernel import audit, events
from billing.kernel.approval import require_approval
from billing.kernel.errors import FourEyesRequired, Invalid, NotFound
from billing.kernel.states import next_state
from billing.kernel.versions import require_version
from billing.ledger.approval import proposed_reopening
from billing.ledger.errors import PeriodsOutOfOrder
from billing.ledger.events import BooksClosed, BooksReopened
from billing.ledger.hooks import before_period_close
from billing.ledger.models import AccountingPeriod
from billing.ledger.services.months import lock_books, stop_newcomers
from billing.ledger.states import PERIOD_MOVES, PeriodState


def begin_closing_period(
    *, period_id: UUID, actor: str, expected_version: int | None = None
) -> AccountingPeriod:
    """Ask for a month to be closed. It still takes entries until somebody else closes it.

    Raises IllegalMove unless it is open, PeriodsOutOfOrder while an earlier month is neither closed nor
    closing, PreconditionFailed for another version, NotFound.
    """

    def change(period: AccountingPeriod) -> None:
        if _others(period).filter(starts_on__lt=period.starts_on, state=PeriodState.OPEN).exists():
            raise PeriodsOutOfOrder(f"An earlier month than {period} is open.")
        period.closing_requested_by, period.closed_by, period.reopened_by = actor, "", ""

    return _move(period_id, "begin_closing", "period.closing_begun", change, actor, expected_version)


def close_period(*, period_id: UUID, actor: str, expected_version: int | None = None) -> AccountingPeriod:
    """Close a month that somebody else asked to close. From its commit on nothing is booked into it: entries
    under way are waited for.

    Raises IllegalMove unless it is closing, FourEyesRequired for the person who asked and for whom an app above
    objects to (`hooks.before_period_close`), PeriodsOutOfOrder unless every earlier month is closed, PreconditionFailed, NotFound.
    """

    def change(period: AccountingPeriod) -> None:
        if actor == period.closing_requested_by:
            raise FourEyesRequired("Somebody else closes the month you asked to close.")
        for objection in (answer(period, actor) for answer in before_period_close):
            if objection:
                raise FourEyesRequired(objection)
        earlier = _others(period).filter(starts_on__lt=period.starts_on)
        if earlier.exclude(state=PeriodState.CLOSED).exists():
            raise PeriodsOutOfOrder(f"An earlier month than {period} is not closed.")
        period.closed_by = actor
        events.publish(
            BooksClosed(period_id=period.pk, starts_on=period.starts_on, entity_id=period.entity_id)
        )

    return _move(period_id, "close", "period.closed", change, actor, expected_version)


def keep_period_open(
    *, period_id: UUID, actor: str, reason: str, expected_version: int | None = None
) -> AccountingPeriod:
    """Refuse, or take back, the request to close a month.

    Raises IllegalMove unless it is closing, Invalid without a reason, PreconditionFailed, NotFound.
    """

    def change(period: AccountingPeriod) -> None:
        period.closing_requested_by = ""

    return _move(period_id, "keep_open", "period.kept_open", change, actor, expected_version, reason)


def reopen_period(
    *, period_id: UUID, actor: str, reason: str, expected_version: int | None = None
) -> AccountingPeriod:
    """Open the latest closed month again.

    Raises IllegalMove unless it is closed, FourEyesRequired for the person who closed it, PeriodsOutOfOrder
    while a later month is closed, Invalid without a reason, PreconditionFailed, NotFound, ApprovalRequired.
    """

    def change(period: AccountingPeriod) -> None:
        if actor == period.closed_by:
            raise FourEyesRequired("Somebody else reopens the month you closed.")
        if _others(period).filter(starts_on__gt=period.starts_on, state=PeriodState.CLOSED).exists():
            raise PeriodsOutOfOrder(f"A later month than {period} is closed.")
        require_approval(proposed_reopening(period, actor=actor, reason=reason))
        period.reopened_by = actor
        events.publish(
            BooksReopened(period_id=period.pk, starts_on=period.starts_on, entity_id=period.entity_id)
        )

    return _move(period_id, "reopen", "period.reopened", change, actor, expected_version, reason)


NEEDS_REASON = {"keep_open", "reopen"}


@transaction.atomic
def _move(
    period_id: UUID,
    action: str,
    said: str,
    change: Callable[[AccountingPeriod], None],
    actor: str,
    expected_version: int | None,
    reason: str = "",
) -> AccountingPeriod:
    """Lock the books, then the month; decide; change; record."""
    if action in NEEDS_REASON and not reason.strip():
        raise Invalid("Say why.")
    entity_id = AccountingPeriod.objects.filter(pk=period_id).values_list("entity_id", flat=True).first()
    if entity_id is None:
        raise NotFound("There is no such accounting period.")
    lock_books([entity_id])
    if action == "close":
        stop_newcomers(period_id)
    period = AccountingPeriod.objects.locked().get(pk=period_id)
    require_version(period, expected_version)
    period.state = next_state(PERIOD_MOVES, action=action, current=period.state)
    change(period)
    period.save(update_fields=["state", "closing_requested_by", "closed_by", "reopened_by"])
    audit.record(actor=actor, action=said, subject=period, reason=reason, detail={"month": str(period)})
    return period


def _others(period: AccountingPeriod):
    return AccountingPeriod.objects.filter(entity_id=period.entity_id)
