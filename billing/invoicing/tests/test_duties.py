"""Who says under which GL codes a month is posted does not close it."""

from datetime import date, timedelta

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from billing.entities.tests.makers import make_entity
from billing.invoicing import services as invoicing
from billing.kernel.errors import FourEyesRequired
from billing.kernel.invariant_checks import find_violations
from billing.ledger import services as ledger
from billing.ledger.hooks import before_period_close
from billing.ledger.models import AccountingPeriod
from billing.ledger.states import PeriodState
from billing.ledger.tests.makers import make_entry, make_seller

pytestmark = pytest.mark.django_db
ANNA, BERT, CLEO = "user:anna", "user:bert", "user:cleo"
FOREVER = date(2020, 1, 1)


@pytest.fixture
def month():
    """The present one, asked to be closed by Cleo."""
    entry = make_entry(make_seller(), posted_on=timezone.now().date().replace(day=1))
    return ledger.begin_closing_period(period_id=entry.period_id, actor=CLEO)


def maps(entity, *, actor=ANNA, starts_on=FOREVER):
    return invoicing.add_gl_code_mapping(
        actor=actor, entity_id=entity.pk, gl_code="4711", starts_on=starts_on, tax_category="S"
    )


def close(month, actor=ANNA):
    return ledger.close_period(period_id=month.pk, actor=actor)


def refused(month, actor=ANNA):
    with pytest.raises(FourEyesRequired):
        close(month, actor)
    assert AccountingPeriod.objects.get(pk=month.pk).state == PeriodState.CLOSING


def below(month):
    return make_entity(parent=month.entity)


def test_who_mapped_for_a_customer_of_the_books_does_not_close_and_another_does(month):
    maps(below(month))
    refused(month)
    assert close(month, BERT).closed_by == BERT


def test_who_ended_a_mapping_does_not_close(month):
    mapping = maps(below(month), actor=BERT)
    invoicing.end_gl_code_mapping(
        actor=ANNA, mapping_id=mapping.pk, ends_on=date(2020, 2, 1), reason="a better one"
    )
    refused(month, ANNA)
    refused(month, BERT)


@pytest.mark.parametrize("whose", ["of other books", "of a month to come", "before the month"])
def test_other_mappings_keep_nobody_from_it(month, whose):
    if whose == "of other books":
        maps(make_entity())
    elif whose == "of a month to come":
        maps(below(month), starts_on=month.ends_on)
    else:
        maps(below(month))
        at_an_earlier_time(month.starts_on - timedelta(days=1))
    assert close(month).closed_by == ANNA


def at_an_earlier_time(day):
    """What the audit trail says was said then: it is not rewritten otherwise."""
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        cursor.execute("UPDATE audit_entries SET at = %s WHERE subject_type = 'gl_code_mappings'", [day])
        cursor.execute("SET session_replication_role = origin")


def test_past_the_service_the_database_refuses(month):
    maps(below(month))
    with (
        before_period_close.only(),
        pytest.raises(IntegrityError) as refusal,
        transaction.atomic(),
    ):
        close(month)
    assert refusal.value.__cause__.diag.constraint_name == "closed_by_no_mapper"
    assert AccountingPeriod.objects.get(pk=month.pk).state == PeriodState.CLOSING


def test_checker_finds_who_came_past_both_and_not_who_mapped_after_it(month, monkeypatch):
    def found():
        [check] = [one for one in find_violations("invoicing") if one.invariant.startswith("R5")]
        return check.violations

    close(month)
    assert found() == 0
    maps(below(month))
    assert found() == 0
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        cursor.execute("UPDATE audit_entries SET id = -id WHERE subject_type = 'gl_code_mappings'")
        cursor.execute("SET session_replication_role = origin")
    assert found() == 1
