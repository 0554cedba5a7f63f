"""Closing and reopening: two people, in order, with a trail."""

from datetime import date

import pytest

from billing.kernel.errors import FourEyesRequired, IllegalMove, Invalid, NotFound, PreconditionFailed
from billing.kernel.ids import uuid7
from billing.kernel.models import AuditEntry, AuditKind, OutboxEvent
from billing.kernel.tests.invariants import assert_invariants_hold
from billing.ledger import services
from billing.ledger.errors import PeriodsOutOfOrder
from billing.ledger.models import AccountingPeriod
from billing.ledger.states import PERIOD_MOVES, PeriodState
from billing.ledger.tests.makers import closed_month, make_entry, make_seller

pytestmark = pytest.mark.django_db

ANNA, BERT, CLEO = "user:anna", "user:bert", "user:cleo"
PERMISSIONS = {
    "begin_closing": lambda month: services.begin_closing_period(period_id=month.pk, actor=CLEO),
    "close": lambda month: services.close_period(period_id=month.pk, actor=CLEO),
    "keep_open": lambda month: services.keep_period_open(period_id=month.pk, actor=CLEO, reason="late bill"),
    "reopen": lambda month: services.reopen_period(period_id=month.pk, actor=CLEO, reason="late bill"),
}


def month_in(state: str, *, books=None, posted_on=date(2026, 3, 15)) -> AccountingPeriod:
    month = make_entry(books or make_seller(), posted_on=posted_on).period
    if state != PeriodState.OPEN:
        month = services.begin_closing_period(period_id=month.pk, actor=ANNA)
    if state == PeriodState.CLOSED:
        month = services.close_period(period_id=month.pk, actor=BERT)
    return month


def stored() -> list[dict]:
    return list(AccountingPeriod.objects.order_by("pk").values())


def told() -> tuple[list[str], list[str]]:
    acts = AuditEntry.objects.filter(kind=AuditKind.VERB, subject_type="accounting_periods").order_by("pk")
    return list(acts.values_list("action", flat=True)), list(
        OutboxEvent.objects.order_by("pk").values_list("name", flat=True)
    )


def test_two_close_a_month_and_a_third_reopens_it():
    month = month_in(PeriodState.CLOSED)
    assert (month.state, month.closing_requested_by, month.closed_by) == ("closed", ANNA, BERT)

    services.reopen_period(period_id=month.pk, actor=CLEO, reason="an invoice was late")

    month.refresh_from_db()
    assert (month.state, month.closed_by, month.reopened_by) == ("open", BERT, CLEO)
    assert told() == (
        ["period.closing_begun", "period.closed", "period.reopened"],
        ["period.closed", "period.reopened"],
    )
    assert AuditEntry.objects.get(action="period.reopened").reason == "an invoice was late"
    make_entry(month.entity)
    services.begin_closing_period(period_id=month.pk, actor=BERT)
    month = services.close_period(period_id=month.pk, actor=ANNA)
    assert (month.closing_requested_by, month.closed_by, month.reopened_by) == (BERT, ANNA, "")
    assert_invariants_hold()


def test_a_month_asked_to_close_still_takes_entries_and_may_stay_open():
    month = month_in(PeriodState.CLOSING)
    make_entry(month.entity)
    month = services.keep_period_open(period_id=month.pk, actor=ANNA, reason="not yet")
    assert (month.state, month.closing_requested_by) == ("open", "")
    assert told() == (["period.closing_begun", "period.kept_open"], [])


@pytest.mark.parametrize(
    ("action", "state"),
    [(action, state) for action in PERIOD_MOVES for state in PeriodState.values if state not in PERIOD_MOVES[action].sources],
)  # fmt: skip
def test_every_other_move_is_refused_and_changes_nothing(action, state):
    month = month_in(state)
    before, said = stored(), told()
    with pytest.raises(IllegalMove):
        PERMISSIONS[action](month)
    assert (stored(), told()) == (before, said)


def test_who_asked_does_not_close():
    month = month_in(PeriodState.CLOSING)
    before, said = stored(), told()
    with pytest.raises(FourEyesRequired):
        services.close_period(period_id=month.pk, actor=ANNA)
    assert (stored(), told()) == (before, said)


def test_who_closed_does_not_reopen():
    month = month_in(PeriodState.CLOSED)
    before, said = stored(), told()
    with pytest.raises(FourEyesRequired):
        services.reopen_period(period_id=month.pk, actor=BERT, reason="mine")
    assert (stored(), told()) == (before, said)


@pytest.mark.parametrize("verb", [services.reopen_period, services.keep_period_open])
def test_an_exception_needs_a_reason(verb):
    month = month_in(PeriodState.CLOSED if verb is services.reopen_period else PeriodState.CLOSING)
    before, said = stored(), told()
    with pytest.raises(Invalid):
        verb(period_id=month.pk, actor=CLEO, reason=" ")
    assert (stored(), told()) == (before, said)


def test_months_are_asked_for_and_closed_in_order():
    books = make_seller()
    january = month_in(PeriodState.OPEN, books=books, posted_on=date(2026, 1, 5))
    february = make_entry(books, posted_on=date(2026, 2, 5)).period
    with pytest.raises(PeriodsOutOfOrder):
        services.begin_closing_period(period_id=february.pk, actor=ANNA)
    services.begin_closing_period(period_id=january.pk, actor=ANNA)
    services.begin_closing_period(period_id=february.pk, actor=ANNA)
    with pytest.raises(PeriodsOutOfOrder):
        services.close_period(period_id=february.pk, actor=BERT)
    services.close_period(period_id=january.pk, actor=BERT)
    services.close_period(period_id=february.pk, actor=BERT)
    before = stored()
    with pytest.raises(PeriodsOutOfOrder):
        services.reopen_period(period_id=january.pk, actor=CLEO, reason="too early")
    assert stored() == before
    services.reopen_period(period_id=february.pk, actor=CLEO, reason="first the later one")
    services.reopen_period(period_id=january.pk, actor=CLEO, reason="then the earlier one")
    assert_invariants_hold()


def test_other_books_close_on_their_own():
    month_in(PeriodState.OPEN, posted_on=date(2026, 1, 5))
    assert month_in(PeriodState.CLOSED, posted_on=date(2026, 2, 5)).state == "closed"


def test_a_stale_version_is_refused():
    month = month_in(PeriodState.OPEN)
    before = stored()
    with pytest.raises(PreconditionFailed):
        services.begin_closing_period(period_id=month.pk, actor=ANNA, expected_version=month.version + 1)
    assert stored() == before
    services.begin_closing_period(period_id=month.pk, actor=ANNA, expected_version=month.version)


def test_an_unknown_month_is_not_found():
    with pytest.raises(NotFound):
        services.close_period(period_id=uuid7(), actor=ANNA)


def test_every_change_of_a_month_is_in_the_trail():
    month = closed_month(make_entry().entity, date(2026, 3, 1))
    rows = AuditEntry.objects.filter(kind=AuditKind.ROW, subject_id=str(month.pk)).order_by("pk")
    assert [(row.action, row.after.get("state")) for row in rows] == [
        ("insert", "open"), ("update", "closing"), ("update", "closed"),
    ]  # fmt: skip
