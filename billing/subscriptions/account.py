"""A subscription with everything that decides what it owes, and its operations in memory.

Rows in, unsaved rows out: the services store what comes out, a preview only shows it. So a preview is the
result. Every method names the day it acts on; nothing here reads a clock or the database.

Days are prorated over the whole period of the cycle, both ways: what is credited for the days left of an
item is price × days left ÷ days of the whole, and what is charged for the item that follows likewise.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from uuid import UUID

from billing.kernel.money import EXACT, round_half_up
from billing.kernel.states import next_state
from billing.subscriptions.core.periods import Cycle, Period
from billing.subscriptions.core.proration import fraction_text, prorated
from billing.subscriptions.core.rating import Step
from billing.subscriptions.errors import AmountTooLarge, DayOutsidePeriod, NotChangeable
from billing.subscriptions.models import (
    Alignment,
    Basis,
    ChargeKind,
    Plan,
    PlanItem,
    Price,
    Subscription,
    SubscriptionChange,
    SubscriptionCharge,
    SubscriptionItem,
    SubscriptionPeriod,
    Timing,
)
from billing.subscriptions.states import (
    CHANGE_MOVES,
    CHANGEABLE,
    SUBSCRIPTION_MOVES,
    ChangeState,
    SubscriptionState,
)

ONE = Decimal(1)
NOTHING = Decimal(0)
DAY = timedelta(days=1)
BEYOND_MONEY = Decimal(10) ** 15

Prices = Mapping[UUID, Price]  # by product
SeatsToTrueUp = Callable[[UUID, date, date], Decimal]  # subscription, first day, last day (exclusive)


def cycle_of(plan: Plan, *, alignment: str, starts_on: date) -> Cycle:
    """The plan's cycle, counted from the day itself or from the calendar's edge before it."""
    laid = Cycle.calendar if alignment == Alignment.CALENDAR else Cycle.anniversary
    return laid(plan.interval, plan.interval_count, starts_on)


@dataclass(frozen=True)
class Target:
    """A plan and quantity to change to, with the prices in force for the plan's products."""

    plan: Plan
    plan_items: Sequence[PlanItem]
    quantity: Decimal
    prices: Prices
    uses_current_prices: bool = False

    @property
    def lasting(self) -> list[PlanItem]:
        return [item for item in self.plan_items if item.timing != Timing.ONE_OFF]


@dataclass
class Account:
    """`items` are all stretches of the subscription, `period` is the open one (none before it starts)."""

    subscription: Subscription
    items: list[SubscriptionItem]
    period: SubscriptionPeriod | None
    scheduled: SubscriptionChange | None = None
    scheduled_target: Target | None = None
    seats_to_true_up: SeatsToTrueUp = lambda subscription_id, starts_on, ends_on: NOTHING
    charges: list[SubscriptionCharge] = field(default_factory=list)
    items_opened: list[SubscriptionItem] = field(default_factory=list)
    items_closed: list[SubscriptionItem] = field(default_factory=list)
    periods_opened: list[SubscriptionPeriod] = field(default_factory=list)
    period_closed: SubscriptionPeriod | None = None  # the one that was open when loaded

    # --- operations ---------------------------------------------------------------------------------

    def start(self, target: Target) -> None:
        """Open the items of a new subscription; what is due on its first day is charged by `roll_forward`."""
        first = self.subscription.starts_on
        for plan_item in target.plan_items:
            item = self._open(plan_item, target.prices[plan_item.product_id], first)
            if plan_item.timing == Timing.ONE_OFF:
                item.ends_on = first + DAY

    def roll_forward(self, as_of: date) -> None:
        """Close every period that is over by `as_of`, and open and charge those that have begun."""
        while self._is_live and self.subscription.next_on <= as_of:
            self._turn(self.subscription.next_on)

    def change(self, on: date, target: Target) -> None:
        """Another plan or quantity from `on`: what is left of the old is credited, of the new charged.

        A plan with another interval begins a new cycle on the day. One-off products of the new plan are
        not charged. Raises NotChangeable, DayOutsidePeriod.
        """
        self._require_changeable()
        self._require_day(on)
        if self._keeps_cycle(target.plan):
            self._swap(on, target)
        elif self._in_trial:  # its cycle has not begun yet
            self._swap(on, target)
            self._recycle(self.subscription.trial_ends_on, target.plan)
        else:
            self._cut(on)
            self._swap(on, target)
            self._recycle(on, target.plan)
            self._open_period(on)
        self.subscription.plan, self.subscription.quantity = target.plan, target.quantity

    def change_at_period_end(self, target: Target, *, requested_by: str) -> None:
        """The same, from the first day of the next period. Raises NotChangeable."""
        self._require_changeable()
        self.scheduled_target = target
        self.scheduled = SubscriptionChange(
            subscription=self.subscription,
            effective_on=self.subscription.next_on,
            plan=target.plan,
            quantity=target.quantity,
            uses_current_prices=target.uses_current_prices,
            requested_by=requested_by,
        )

    def pause(self, on: date) -> None:
        """No recurring charges from `on`; days charged in advance are credited. Usage goes on being counted."""
        self._move("pause")
        self._require_day(on)
        for item in self._open_items():
            if item.basis != Basis.USAGE:
                self._close(item, on)

    def resume(self, on: date, plan_items: Iterable[PlanItem]) -> None:
        """Recurring charges again from `on`, at the prices and quantities from before the pause."""
        self._move("resume")
        self._require_day(on)
        running = {item.product_id for item in self._open_items()}
        last = self._last_of_each_product()
        for plan_item in plan_items:
            if plan_item.timing != Timing.ONE_OFF and plan_item.product_id not in running:
                self._open_again(last[plan_item.product_id], on)

    def cancel(self, on: date, *, credit_unused: bool = True) -> None:
        """End on `on`, the first day no longer covered: arrears are charged, unused days credited."""
        if self.period is None:
            on = self.subscription.starts_on  # it never began
        else:
            self._require_day(on)
            self._cut(on, credit_unused=credit_unused)
        self._end(on)

    def cancel_at_period_end(self) -> None:
        """On the first day of the next period. Raises IllegalMove."""
        next_state(SUBSCRIPTION_MOVES, action="cancel", current=self.subscription.state)
        self.subscription.cancels_on = self.subscription.next_on

    def withdraw_scheduled(self) -> None:
        self.scheduled.state = next_state(CHANGE_MOVES, action="withdraw", current=self.scheduled.state)

    # --- periods -------------------------------------------------------------------------------

    def _turn(self, day: date) -> None:
        """The day on which one period ends and the next begins."""
        if self.period:
            self._close_period()
        if self.subscription.cancels_on and self.subscription.cancels_on <= day:
            self._end(day)
            return
        if self._in_trial and self.subscription.trial_ends_on <= day:
            self._move("end_trial")
        if self._has_scheduled and self.subscription.state in CHANGEABLE:  # while paused it waits
            self._apply_scheduled(day)
        self._open_period(day)

    def _apply_scheduled(self, day: date) -> None:
        target = self.scheduled_target
        self._swap(day, target)
        if not self._keeps_cycle(target.plan):
            self._recycle(day, target.plan)
        self.subscription.plan, self.subscription.quantity = target.plan, target.quantity
        self.scheduled.state = next_state(CHANGE_MOVES, action="apply", current=self.scheduled.state)

    def _open_period(self, day: date) -> None:
        is_first = self.subscription.next_on == self.subscription.starts_on
        whole = Period(day, self.subscription.trial_ends_on) if self._in_trial else self._cycle.period_of(day)
        self.period = SubscriptionPeriod(
            subscription=self.subscription,
            starts_on=day,
            ends_on=whole.ends_on,
            whole_starts_on=whole.starts_on,
            whole_ends_on=whole.ends_on,
            is_trial=self._in_trial,
        )
        self.periods_opened.append(self.period)
        self.subscription.next_on = whole.ends_on
        for item in self._open_items(also_ending_after=day):
            if item.timing == Timing.ONE_OFF and is_first:
                self._charge(item, ChargeKind.ONE_OFF, Period(day, day + DAY), due_on=day)
            elif item.timing == Timing.IN_ADVANCE:
                self._charge_in_advance(item, ChargeKind.RECURRING, day)

    def _close_period(self) -> None:
        """Charge what is billed in arrears for the days each item had in the period."""
        period, due_on = self.period, self.period.ends_on
        if not period.is_trial:
            for item in self.items:
                days = self._days_in_period(item)
                if item.timing == Timing.IN_ARREARS and days:
                    self._charge_in_arrears(item, days, due_on)
        period.is_closed = True
        if period not in self.periods_opened:
            self.period_closed = period
        self.period = None

    def _cut(self, on: date, *, credit_unused: bool = True) -> None:
        """End the open period early: every open item stops on the day."""
        for item in self._open_items():
            self._close(item, on, credit_unused=credit_unused)
        self.period.ends_on = on
        self._close_period()

    def _end(self, on: date) -> None:
        self._move("cancel")
        for item in self._open_items():
            self._close(item, on)
        if self._has_scheduled:
            self.withdraw_scheduled()
        self.subscription.ended_on = self.subscription.next_on = on
        self.subscription.cancels_on = None

    # --- items ---------------------------------------------------------------------------------

    def _swap(self, on: date, target: Target) -> None:
        """Close what the target has not, and open what it has and we have not."""
        running = {item.product_id: item for item in self._open_items()}
        last = self._last_of_each_product()
        for plan_item in target.lasting:
            price = self._price_for(plan_item, target, last)
            item = running.pop(plan_item.product_id, None)
            if item and self._is_same(item, plan_item, price, target.quantity):
                continue
            if item:
                self._close(item, on)
            opened = self._open(plan_item, price, on, quantity=target.quantity)
            if opened.timing == Timing.IN_ADVANCE:
                self._charge_in_advance(opened, ChargeKind.PRORATION, on)
        for item in running.values():
            self._close(item, on)

    def _price_for(self, plan_item: PlanItem, target: Target, last: Mapping[UUID, SubscriptionItem]) -> Price:
        """A product that stays on the same plan keeps the version it has, unless asked otherwise."""
        pinned = last.get(plan_item.product_id)
        stays = pinned and target.plan.pk == self.subscription.plan_id and not target.uses_current_prices
        return pinned.price if stays else target.prices[plan_item.product_id]

    @staticmethod
    def _is_same(item: SubscriptionItem, plan_item: PlanItem, price: Price, quantity: Decimal) -> bool:
        return (
            item.price_id == price.pk
            and (item.timing, item.basis) == (plan_item.timing, plan_item.basis)
            and item.quantity == _quantity_for(plan_item.basis, quantity)
        )

    def _open(
        self, plan_item: PlanItem, price: Price, on: date, *, quantity: Decimal | None = None
    ) -> SubscriptionItem:
        subscribed = self.subscription.quantity if quantity is None else quantity
        _require_payable(price, _quantity_for(plan_item.basis, subscribed), plan_item)
        return self._add(
            SubscriptionItem(
                subscription=self.subscription,
                product=plan_item.product,
                price=price,
                timing=plan_item.timing,
                basis=plan_item.basis,
                quantity=_quantity_for(plan_item.basis, subscribed),
                starts_on=on,
            )
        )

    def _open_again(self, last: SubscriptionItem, on: date) -> None:
        item = self._add(
            SubscriptionItem(
                subscription=self.subscription,
                product=last.product,
                price=last.price,
                timing=last.timing,
                basis=last.basis,
                quantity=last.quantity,
                starts_on=on,
            )
        )
        if item.timing == Timing.IN_ADVANCE:
            self._charge_in_advance(item, ChargeKind.PRORATION, on)

    def _add(self, item: SubscriptionItem) -> SubscriptionItem:
        self.items.append(item)
        self.items_opened.append(item)
        return item

    def _close(self, item: SubscriptionItem, on: date, *, credit_unused: bool = True) -> None:
        if credit_unused and item.timing == Timing.IN_ADVANCE:
            self._charge_in_advance(item, ChargeKind.CREDIT, on)
        item.ends_on = max(on, item.starts_on)
        if item not in self.items_opened:
            self.items_closed.append(item)

    def _open_items(self, *, also_ending_after: date | None = None) -> list[SubscriptionItem]:
        return [
            item
            for item in self.items
            if item.ends_on is None or (also_ending_after and item.ends_on > also_ending_after)
        ]

    def _last_of_each_product(self) -> dict[UUID, SubscriptionItem]:
        return {item.product_id: item for item in self.items}  # they are in the order in which they began

    # --- charges -------------------------------------------------------------------------------

    def _charge_in_advance(self, item: SubscriptionItem, kind: str, on: date) -> None:
        """For the days from `on` to the end of the open period; in a trial, or between periods, for none."""
        if self.period is None or self.period.is_trial:
            return
        first = max(on, item.starts_on)
        if first < self.period.ends_on:
            self._charge(item, kind, Period(first, self.period.ends_on), due_on=on)

    def _charge_in_arrears(self, item: SubscriptionItem, days: Period, due_on: date) -> None:
        if item.basis in (Basis.FIXED, Basis.QUANTITY):
            self._charge(item, ChargeKind.RECURRING, days, due_on=due_on)
        elif item.basis == Basis.SEATS:
            seats = self.seats_to_true_up(self.subscription.pk, days.starts_on, days.ends_on)
            if seats:
                self._charge(item, ChargeKind.TRUE_UP, days, due_on=due_on, quantity=seats)

    def _charge(
        self,
        item: SubscriptionItem,
        kind: str,
        days: Period,
        *,
        due_on: date,
        quantity: Decimal | None = None,
    ) -> None:
        """One amount, rounded once. What is free is not charged."""
        quantity = item.quantity if quantity is None else quantity
        whole = days if kind == ChargeKind.ONE_OFF else self._whole
        full = item.price.terms.exact_amount(quantity)
        exact = prorated(full, days, whole)
        if kind == ChargeKind.CREDIT:
            exact = EXACT.minus(exact)
        if not exact:
            return
        self.charges.append(
            SubscriptionCharge(
                subscription=self.subscription,
                item=item,
                kind=kind,
                quantity=quantity,
                amount=round_half_up(exact, self.subscription.currency),
                currency=self.subscription.currency,
                service_starts_on=days.starts_on,
                service_ends_on=days.ends_on,
                due_on=due_on,
                derivation={
                    "price": str(item.price.pk),
                    "model": item.price.model,
                    "quantity": text(quantity),
                    "full": text(full),
                    "days": fraction_text(days, whole),
                    "exact": text(exact),
                    "steps": [_step(step) for step in item.price.terms.steps(quantity)],
                },
            )
        )

    # --- what is so ----------------------------------------------------------------------------

    @property
    def seat_days(self) -> Period | None:
        """The days of the open period whose seats will be trued up."""
        trued_up = [item for item in self.items if item.basis == Basis.SEATS] if self.period else []
        return next((days for item in trued_up if (days := self._days_in_period(item))), None)

    @property
    def _is_live(self) -> bool:
        return self.subscription.state != SubscriptionState.CANCELED

    @property
    def _in_trial(self) -> bool:
        return self.subscription.state == SubscriptionState.TRIALING

    @property
    def _has_scheduled(self) -> bool:
        return self.scheduled is not None and self.scheduled.state == ChangeState.SCHEDULED

    @property
    def _cycle(self) -> Cycle:
        plan = self.subscription.plan
        return Cycle(plan.interval, plan.interval_count, self.subscription.anchor_on)

    @property
    def _whole(self) -> Period:
        return Period(self.period.whole_starts_on, self.period.whole_ends_on)

    def _days_in_period(self, item: SubscriptionItem) -> Period | None:
        starts_on = max(item.starts_on, self.period.starts_on)
        ends_on = min(item.ends_on or self.period.ends_on, self.period.ends_on)
        return Period(starts_on, ends_on) if starts_on < ends_on else None

    def _keeps_cycle(self, plan: Plan) -> bool:
        own = self.subscription.plan
        return (plan.interval, plan.interval_count) == (own.interval, own.interval_count)

    def _recycle(self, on: date, plan: Plan) -> None:
        self.subscription.plan = plan
        self.subscription.anchor_on = cycle_of(
            plan, alignment=self.subscription.alignment, starts_on=on
        ).anchor_on

    def _move(self, action: str) -> None:
        self.subscription.state = next_state(
            SUBSCRIPTION_MOVES, action=action, current=self.subscription.state
        )

    def _require_changeable(self) -> None:
        state = self.subscription.state
        if state not in CHANGEABLE:
            raise NotChangeable(f"A subscription that is {state} is not changed.", current=state)
        if self.subscription.cancels_on or self._has_scheduled:
            raise NotChangeable("Something is scheduled for the end of its period. Withdraw that first.")

    def _require_day(self, on: date) -> None:
        """A change acts within the open period, and not before the last one."""
        if self.period is None:
            raise DayOutsidePeriod(
                f"It begins on {self.subscription.starts_on}; until then it can be canceled."
            )
        lasting = [item for item in self.items if item.timing != Timing.ONE_OFF]
        first = max([self.period.starts_on, *(item.ends_on or item.starts_on for item in lasting)])
        if not first <= on < self.period.ends_on:
            raise DayOutsidePeriod(
                f"Choose a day from {first} to before {self.period.ends_on}, not {on}.",
                first=str(first),
                before=str(self.period.ends_on),
            )


def _quantity_for(basis: str, subscribed: Decimal) -> Decimal:
    if basis == Basis.FIXED:
        return ONE
    return subscribed if basis == Basis.QUANTITY else NOTHING


def _require_payable(price: Price, quantity: Decimal, plan_item: PlanItem) -> None:
    """Asked when an item begins: a period that could not be charged at its end would hold up everything."""
    if plan_item.basis in (Basis.FIXED, Basis.QUANTITY):
        full = price.terms.exact_amount(quantity)
        if abs(full) >= BEYOND_MONEY:
            raise AmountTooLarge(f"'{plan_item.product.code}' would cost {text(full)} {price.currency}.")


def text(value: Decimal) -> str:
    """Every digit that counts, and no exponent."""
    return f"{value.normalize(EXACT):f}"


def _step(step: Step) -> dict:
    return {
        "label": step.label,
        "quantity": step.quantity if step.quantity is None else text(step.quantity),
        "unit_price": step.unit_price if step.unit_price is None else text(step.unit_price),
        "amount": text(step.amount),
    }
