"""What an act is held against does not change under it: rates and rules wait for it, and it for them."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection, transaction
from django.utils import timezone

from approvals import services
from approvals.models import ApprovalRuleVersion
from approvals.states import VersionState
from approvals.tests.makers import asks, make_approval_rule, make_approver
from billing.access.models import User
from billing.entities.tests.makers import make_user
from billing.invoicing import services as invoicing
from billing.invoicing.models import ExchangeRate, Invoice
from billing.kernel.advisory_locks import APPROVAL_LIMITS
from billing.kernel.approval import ApprovalRequired
from billing.kernel.tests.invariants import assert_invariants_hold
from billing.kernel.tests.races import start_rival
from billing.payments.tests.makers import make_open_invoice

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def invoice() -> Invoice:
    return make_open_invoice(currency="USD", total="10000.00")


@pytest.fixture
def controller(invoice) -> User:
    return make_approver(invoice.seller, role="FC")


def limit(invoice: Invoice, **terms) -> ApprovalRuleVersion:
    return make_approval_rule(
        invoice.seller, asks(make_approver(invoice.seller)), kind="write_off", above_amount="9500", **terms
    )


def rate_is(rate: str) -> ExchangeRate:
    return invoicing.add_exchange_rate(
        actor="test",
        from_currency="USD",
        to_currency="EUR",
        rate=Decimal(rate),
        rate_on=timezone.now().date() - timedelta(days=1),
        source=f"Bank at {rate}",
    )


def write_off(invoice: Invoice, by: User) -> Invoice:
    return invoicing.write_off_invoice(
        actor=f"user:{by.pk}",
        invoice_id=invoice.pk,
        written_off_on=timezone.now().date(),
        reason="bankrupt",
    )


def written_off(invoice: Invoice) -> Decimal:
    return Invoice.objects.get(pk=invoice.pk).written_off_amount


def test_a_rate_is_recorded_once_the_act_that_was_held_against_the_last_is_over(invoice, controller):
    limit(invoice)
    rate_is("0.9")

    with transaction.atomic():
        write_off(invoice, controller)
        rival = start_rival(lambda: rate_is("1.1"))

    assert rival.result(timeout=5).rate == Decimal("1.1")
    assert written_off(invoice) == 10000
    assert_invariants_hold()


def test_an_act_is_held_against_the_rate_that_is_being_recorded(invoice, controller):
    limit(invoice)
    rate_is("0.9")

    with transaction.atomic():
        rate_is("1.1")
        rival = start_rival(lambda: write_off(invoice, controller))

    with pytest.raises(ApprovalRequired):
        rival.result(timeout=5)
    assert written_off(invoice) == 0


def test_also_one_that_is_recorded_by_sql_waits(invoice, controller):
    limit(invoice)
    before = rate_is("0.9")

    def by_sql():
        with connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO exchange_rates (id, from_currency, to_currency, rate, rate_on, source)"
                " SELECT gen_random_uuid(), from_currency, to_currency, 2, rate_on, 'by hand' FROM exchange_rates"
                " WHERE id = %s",
                [before.pk],
            )

    with transaction.atomic():
        write_off(invoice, controller)
        rival = start_rival(by_sql)

    rival.result(timeout=5)
    assert (written_off(invoice), ExchangeRate.objects.count()) == (10000, 2)


def confirm(version: ApprovalRuleVersion, by: User) -> None:
    services.confirm_rule(actor=f"user:{by.pk}", rule_id=version.rule_id)


@pytest.fixture
def proposed(invoice) -> ApprovalRuleVersion:
    rate_is("1")
    return limit(invoice, state=VersionState.PROPOSED, confirmed_by=None, confirmed_at=None)


def test_a_rule_comes_into_force_once_the_acts_under_way_are_over(invoice, controller, proposed):
    with transaction.atomic():
        write_off(invoice, controller)
        rival = start_rival(lambda: confirm(proposed, make_user()))
        done_at = timezone.now()

    rival.result(timeout=5)
    proposed.refresh_from_db()
    assert (proposed.state, written_off(invoice)) == (VersionState.ACTIVE, 10000)
    assert proposed.confirmed_at > done_at  # or checker would hold the act against the rule
    assert_invariants_hold()


def test_also_one_that_comes_into_force_by_sql_waits(invoice, controller, proposed):
    confirmer = make_user()

    def by_sql():
        return ApprovalRuleVersion.objects.filter(pk=proposed.pk).update(
            state=VersionState.ACTIVE, confirmed_by=confirmer, confirmed_at=timezone.now()
        )

    with transaction.atomic():
        write_off(invoice, controller)
        rival = start_rival(by_sql)

    assert (rival.result(timeout=5), written_off(invoice)) == (1, 10000)


def test_an_act_is_held_against_the_rule_that_comes_into_force(invoice, controller, proposed):
    with transaction.atomic():
        confirm(proposed, make_user())
        rival = start_rival(lambda: write_off(invoice, controller))

    with pytest.raises(ApprovalRequired):
        rival.result(timeout=5)
    assert written_off(invoice) == 0


def test_acts_do_not_wait_for_each_other_because_of_limits():
    def beside():
        try:
            with transaction.atomic():
                APPROVAL_LIMITS.take(shared=True)
        finally:
            connection.close()

    with transaction.atomic(), ThreadPoolExecutor(1) as pool:
        APPROVAL_LIMITS.take(shared=True)
        pool.submit(beside).result(timeout=5)
