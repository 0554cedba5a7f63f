"""Bands in another currency: by the stored rate in force on the day of the request, to the cent."""

from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal, localcontext

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from approvals import services
from approvals.services.operations import unapproved_operations
from approvals.tests.makers import asks, make_approval_rule, make_approver, make_request, request_terms
from billing.entities.tests.makers import make_entity, make_grant
from billing.invoicing.tests.consolidation_makers import make_exchange_rate
from billing.kernel.approval import ProposedOperation
from billing.kernel.ids import uuid7

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
TODAY = NOON.date()


@pytest.fixture
def entity():
    entity = make_entity()
    boss = make_approver(entity)
    make_approval_rule(entity, asks(boss), name="small", up_to_amount="10000")
    make_approval_rule(entity, asks(boss), name="large", above_amount="10000")
    return entity


def asked(entity, amount, currency="USD", at=NOON):
    return services.request_approval(**request_terms(entity, amount=amount, currency=currency, at=at))


@pytest.mark.parametrize(
    ("amount", "in_base", "rule"),
    [
        ("10869.56", "9999.9952", "small"),  # rounded half-up to 10,000.00 before it is compared
        ("10869.57", "10000.0044", "small"),
        ("10869.58", "10000.0136", "large"),
    ],
)
def test_over_ten_thousand_begins_at_the_first_cent_above_it_in_the_group_s_currency(
    entity, amount, in_base, rule
):
    make_exchange_rate(rate="0.92", rate_on=TODAY)
    request = asked(entity, amount)
    shown = Decimal(in_base).quantize(Decimal("0.01"), ROUND_HALF_UP)
    assert (request.base_amount, request.rate, request.content["rate"]) == (shown, Decimal("0.92"), "0.92")
    assert request.snapshot["name"] == rule


@pytest.mark.parametrize(("days", "rate"), [(-1, None), (0, "0.5"), (9, "0.5"), (10, "2"), (400, "2")])
def test_the_rate_is_that_in_force_on_the_day_of_the_request(entity, days, rate):
    make_exchange_rate(rate="0.5", rate_on=TODAY)
    make_exchange_rate(rate="2", rate_on=TODAY + timedelta(days=10))
    request = asked(entity, "100.00", at=NOON + timedelta(days=days))
    assert request.rate == (rate and Decimal(rate))
    assert request.snapshot["name"] == ("small" if rate else "large")  # without one, above every bound


def test_a_rate_is_neither_inverted_nor_crossed(entity):
    make_exchange_rate("EUR", "USD", rate="1.1", rate_on=TODAY)
    make_exchange_rate("USD", "GBP", rate="0.8", rate_on=TODAY)
    make_exchange_rate("GBP", "EUR", rate="1.2", rate_on=TODAY)
    assert asked(entity, "1.00").rate is None


def test_a_rate_put_right_later_the_same_day_is_for_later_requests(entity):
    make_exchange_rate(rate="0.5", rate_on=TODAY)
    first = asked(entity, "100.00")
    make_exchange_rate(rate="0.6", rate_on=TODAY)
    assert asked(entity, "100.00").rate == Decimal("0.6")
    first.refresh_from_db()
    assert (first.rate, first.base_amount) == (Decimal("0.5"), Decimal("50.00"))


def test_over_the_api_the_stored_rate_is_shown(api, entity):
    make_exchange_rate(rate="0.92", rate_on=date(2020, 1, 1))
    clerk = make_grant(role="BO", entity=entity).user
    body = {"entity": str(entity.pk), "title": "x", "description": "y", "amount": "100.00", "currency": "USD"}
    answer = api(clerk).post(
        "/api/v1/enterprise-billing/approvals/requests",
        body,
        format="json",
        headers={"Idempotency-Key": "1"},
    )
    assert (answer.status_code, answer.json()["rate"], answer.json()["base_amount"]) == (201, "0.92", "92.00")


rates = st.decimals("0.000001", "99999", places=6)
amounts = st.decimals("0.01", "99999999", places=2)
bounds = st.decimals("0.01", "99999999", places=2)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(rate=rates, amount=amounts, bound=bounds)
def test_an_act_is_covered_just_when_its_amount_at_the_rate_is_above_the_bound(rate, amount, bound):
    """The guard and a request see the same: amount × rate, half-up to the cent, against the bound."""
    with transaction.atomic():
        entity = make_entity()
        boss = make_approver(entity)
        make_approval_rule(entity, asks(boss), name="over", above_amount=str(bound))
        make_approval_rule(entity, asks(boss), name="rest", is_fallback=True)
        make_exchange_rate(rate=str(rate), rate_on=TODAY)
        with localcontext(prec=60):
            exact = (amount * rate).quantize(Decimal("0.01"), ROUND_HALF_UP)

        request = make_request(entity, amount=str(amount), currency="USD", at=NOON)
        act = ProposedOperation(
            kind="general",
            actor="test",
            title="",
            subject_id=uuid7(),
            entity_id=entity.pk,
            amount=amount,
            currency="USD",
        )

        assert request.base_amount == exact
        assert (request.snapshot["name"] == "over") == (exact > bound)
        assert bool(unapproved_operations([act], at=NOON)) == (exact > bound)
        transaction.set_rollback(True)
