"""The stretches of a subscription over time, as coordinates for an SVG. Nothing is drawn in the browser."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from billing.kernel.money import plain
from billing.subscriptions.models import Subscription, SubscriptionItem, SubscriptionPeriod, Timing

WIDTH, LEFT, RIGHT, TOP, LANE, BAR = 880, 8, 12, 26, 44, 18
DAYS_SHOWN_MAX = 400  # the newest
LABEL_WIDTH = 78  # of a day on the axis; one that would cover another is left out
DIGIT_WIDTH = 7


@dataclass(frozen=True)
class Bar:
    """One stretch: where it is, how tall its quantity makes it, and what a pointer is told."""

    x: str
    width: str
    y: int
    label: str
    told: str
    is_open: bool


@dataclass(frozen=True)
class Lane:
    name: str
    y: int
    bars: list[Bar]


@dataclass(frozen=True)
class Tick:
    x: str
    label: str


@dataclass(frozen=True, kw_only=True)
class Stretches:
    """`trials` are the days that were free; `height` depends on how many products there are."""

    lanes: list[Lane]
    ticks: list[Tick]
    trials: list[Bar]
    today: str
    height: int
    width: int = WIDTH
    top: int = TOP
    bar: int = BAR


def stretches_of(
    subscription: Subscription,
    items: Iterable[SubscriptionItem],
    periods: Iterable[SubscriptionPeriod],
    *,
    today: date,
) -> Stretches | None:
    """None before there is anything to see."""
    last = max(subscription.ended_on or subscription.next_on, subscription.starts_on)
    first = max(subscription.starts_on, date.fromordinal(max(1, last.toordinal() - DAYS_SHOWN_MAX)))
    if last <= first:
        return None
    axis = _Axis(first, last)
    lasting = [item for item in items if item.timing != Timing.ONE_OFF]
    by_product: dict = {}
    for item in lasting:
        by_product.setdefault(item.product_id, []).append(item)
    lanes = [
        Lane(
            str(own[0].product.name),
            TOP + LANE * index,
            [bar for item in own if (bar := axis.bar(item, TOP + LANE * index + 14))],
        )
        for index, own in enumerate(by_product.values())
    ]
    begun = [period for period in periods if period.ends_on > period.starts_on]
    return Stretches(
        lanes=lanes,
        ticks=axis.ticks([period.starts_on for period in begun]),
        trials=[
            Bar(
                axis.x(period.starts_on),
                axis.length(period.starts_on, period.ends_on),
                TOP,
                "",
                "Trial",
                False,
            )
            for period in begun
            if period.is_trial and period.ends_on > first
        ],
        today=axis.x(today) if first <= today < last else "",
        height=TOP + LANE * len(lanes) + 6,
    )


class _Axis:
    def __init__(self, first: date, last: date) -> None:
        self.first, self.last = first, last
        self.days = (last - first).days

    def at(self, day: date) -> int:
        """Tenths of a pixel, so that it stays a whole number."""
        within = min(max(day, self.first), self.last)
        return LEFT * 10 + (within - self.first).days * (WIDTH - LEFT - RIGHT) * 10 // self.days

    def x(self, day: date) -> str:
        return _pixels(self.at(day))

    def length(self, starts_on: date, ends_on: date) -> str:
        return _pixels(max(self.at(ends_on) - self.at(starts_on), 10))

    def bar(self, item: SubscriptionItem, y: int) -> Bar | None:
        ends_on = item.ends_on or self.last
        if ends_on <= max(item.starts_on, self.first) or item.starts_on >= self.last:
            return None
        quantity = plain(item.quantity) if item.quantity else "usage"
        wide = (self.at(ends_on) - self.at(item.starts_on)) // 10
        until = "open" if item.ends_on is None else f"to {item.ends_on}"
        return Bar(
            self.x(item.starts_on),
            self.length(item.starts_on, ends_on),
            y,
            quantity if wide > DIGIT_WIDTH * len(quantity) + 8 else "",
            f"{item.product.name} × {quantity}, {item.starts_on} {until}",
            item.ends_on is None,
        )

    def ticks(self, days: Iterable[date]) -> list[Tick]:
        """The periods' first days, as many as can be read."""
        shown, free = [], 0
        for day in sorted(day for day in days if day >= self.first):
            if self.at(day) >= free:
                shown.append(Tick(self.x(day), str(day)))
                free = self.at(day) + LABEL_WIDTH * 10
        return shown


def _pixels(tenths: int) -> str:
    return f"{tenths // 10}.{tenths % 10}"
