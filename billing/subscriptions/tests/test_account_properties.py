"""Whatever is done to a subscription, in whatever order: what it charges is what its days cost.

The reference walks day by day: a day costs, for everything subscribed on it, the full price of the period
divided by the days of the period it lies in. It knows nothing of credits, stretches or charges. Months are
counted by another library (dateutil), whose sums clamp to the last day of a month as the field does.
"""

from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction

from dateutil.relativedelta import relativedelta
from hypothesis import given, settings
from hypothesis import strategies as st

from billing.kernel.errors import DomainError
from billing.kernel.money import round_half_up
from billing.subscriptions.account import Account, Target, cycle_of
from billing.subscriptions.models import (
    Alignment,
    Basis,
    Plan,
    PlanItem,
    Price,
    PriceModel,
    Product,
    Subscription,
    Timing,
)
from billing.subscriptions.states import SubscriptionState

FIRST = date(2024, 1, 31)
TIERS = [
    {"up_to": "5", "unit_price": "9.99", "flat_amount": "1"},
    {"up_to": None, "unit_price": "7.3333", "flat_amount": "0"},
]


def make_offer(currency: str, interval: str, timing: str, price: Decimal, model: str) -> Target:
    """A plan of one product, not stored; its target at a quantity of one."""
    plan, product = Plan(interval=interval, interval_count=1), Product(code="p")
    figures = {"unit_price": price} if model == PriceModel.PER_UNIT else {"tiers": TIERS}
    item = PlanItem(plan=plan, position=1, product=product, timing=timing, basis=Basis.QUANTITY)
    rated = Price(product=product, number=1, currency=currency, model=model, starts_on=FIRST, **figures)
    return Target(plan=plan, plan_items=[item], quantity=Decimal(1), prices={product.pk: rated})


def make_account(target: Target, currency: str, starts_on: date, trial_days: int, alignment: str) -> Account:
    trial_ends_on = starts_on + timedelta(days=trial_days) if trial_days else None
    cycle = cycle_of(target.plan, alignment=alignment, starts_on=trial_ends_on or starts_on)
    account = Account(
        subscription=Subscription(
            plan=target.plan,
            currency=currency,
            quantity=target.quantity,
            state=SubscriptionState.TRIALING if trial_ends_on else SubscriptionState.ACTIVE,
            alignment=alignment,
            anchor_on=cycle.anchor_on,
            starts_on=starts_on,
            trial_ends_on=trial_ends_on,
            next_on=starts_on,
        ),
        items=[],
        period=None,
    )
    account.start(target)
    account.roll_forward(starts_on)
    return account


class Reference:
    """What every day costs. `since` says from which day on what is subscribed to."""

    def __init__(self, target: Target, starts_on: date, trial_days: int, alignment: str):
        self.paid_from = starts_on + timedelta(days=trial_days)
        self.alignment = alignment
        self.since = [(starts_on, target, target.quantity, self.paid_from)]
        self.pauses: list[list[date | None]] = []

    def change(self, on: date, target: Target, quantity: Decimal) -> None:
        *_, (_, old, _, anchor) = self.since
        if old.plan.interval != target.plan.interval:
            anchor = max(on, self.paid_from)
        self.since.append((on, target, quantity, anchor))

    def cost_until(self, end: date) -> Fraction:
        day, total = self.paid_from, Fraction(0)
        while day < end:
            if not any(first <= day and (last is None or day < last) for first, last in self.pauses):
                total += self._cost_of(day)
            day += timedelta(days=1)
        return total

    def _cost_of(self, day: date) -> Fraction:
        _, target, quantity, anchor = [entry for entry in self.since if entry[0] <= day][-1]
        [price] = target.prices.values()
        step = {"month": relativedelta(months=1), "year": relativedelta(years=1), "week": timedelta(days=7)}
        if self.alignment == Alignment.CALENDAR:
            anchor = {
                "month": anchor.replace(day=1),
                "year": anchor.replace(month=1, day=1),
                "week": anchor - timedelta(days=anchor.weekday()),
            }[target.plan.interval]
        n = 0
        while anchor + step[target.plan.interval] * (n + 1) <= day:
            n += 1
        first, after = anchor + step[target.plan.interval] * n, anchor + step[target.plan.interval] * (n + 1)
        return Fraction(full_price(price, quantity)) / (after - first).days


def full_price(price: Price, quantity: Decimal) -> Decimal:
    if price.model == PriceModel.PER_UNIT:
        return price.unit_price * quantity
    within, beyond = min(quantity, Decimal(5)), max(quantity - 5, Decimal(0))
    return within * Decimal("9.99") + 1 + beyond * Decimal("7.3333")


offers = st.tuples(
    st.sampled_from(["month", "month", "year", "week"]),
    st.sampled_from([Timing.IN_ADVANCE, Timing.IN_ARREARS]),
    st.decimals(min_value=0, max_value=1000, places=3),
    st.sampled_from([PriceModel.PER_UNIT, PriceModel.GRADUATED]),
)
acts = st.tuples(
    st.sampled_from(["change", "change", "pause", "resume", "wait", "schedule"]),
    st.integers(min_value=0, max_value=45),  # days later
    st.integers(min_value=0, max_value=2),  # which offer
    st.decimals(min_value=0, max_value=20, places=2),  # quantity
)


@settings(max_examples=150, deadline=None)
@given(
    currency=st.sampled_from(["JPY", "USD", "KWD"]),
    drawn=st.lists(offers, min_size=3, max_size=3),
    offset=st.integers(min_value=0, max_value=400),
    trial_days=st.sampled_from([0, 0, 14]),
    alignment=st.sampled_from(list(Alignment.values)),
    doings=st.lists(acts, max_size=8),
    ending=st.sampled_from(["now", "period end"]),
)
def test_what_is_charged_is_what_the_days_cost(
    currency, drawn, offset, trial_days, alignment, doings, ending
):
    targets = [make_offer(currency, *offer) for offer in drawn]
    today = FIRST + timedelta(days=offset)
    account = make_account(targets[0], currency, today, trial_days, alignment)
    reference = Reference(targets[0], today, trial_days, alignment)

    for doing, later, which, quantity in doings:
        today += timedelta(days=later)
        account.roll_forward(today)
        wanted = Target(
            plan=targets[which].plan,
            plan_items=targets[which].plan_items,
            quantity=quantity,
            prices=targets[which].prices,
        )
        before = account.subscription.next_on
        try:
            match doing:
                case "change":
                    account.change(today, wanted)
                    reference.change(today, wanted, quantity)
                case "pause":
                    account.pause(today)
                    reference.pauses.append([today, None])
                case "resume":
                    account.resume(today, _plan_items_of(account, targets))
                    reference.pauses[-1][1] = today
                case "schedule":
                    account.change_at_period_end(wanted, requested_by="test")
                    account.roll_forward(before)
                    today = before
                    reference.change(today, wanted, quantity)
        except DomainError:
            _require_unmoved(account, before)

    end = _end(account, today, ending)
    exact = sum((Fraction(charge.derivation["exact"]) for charge in account.charges), Fraction(0))
    assert abs(exact - reference.cost_until(end)) < Fraction(1, 10**30)
    for charge in account.charges:
        assert charge.amount == round_half_up(Decimal(charge.derivation["exact"]), currency)


def _plan_items_of(account: Account, targets: list[Target]) -> list[PlanItem]:
    return next(t.plan_items for t in targets if t.plan.pk == account.subscription.plan.pk)


def _require_unmoved(account: Account, next_on: date) -> None:
    assert account.subscription.next_on == next_on


def _end(account: Account, today: date, ending: str) -> date:
    if ending == "now":
        account.cancel(today)
        return today
    account.cancel_at_period_end()
    end = account.subscription.cancels_on
    account.roll_forward(end)
    assert account.subscription.state == SubscriptionState.CANCELED
    return end
