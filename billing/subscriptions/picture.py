"""A line of amounts over quantities, as coordinates for an SVG. Nothing is drawn in the browser."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from billing.kernel.money import EXACT, plain

WIDTH, HEIGHT = 400, 280
LEFT, RIGHT, TOP, BOTTOM = 76, 12, 28, 34
LABEL_WIDTH = 50  # of an edge's label; the one that would cover another is left out
HEADROOM = Decimal("1.04")  # the line does not run into the labels above
Point = tuple[Decimal, Decimal]


@dataclass(frozen=True)
class Mark:
    """A place on an axis and what is written there."""

    at: str
    label: str


@dataclass(frozen=True, kw_only=True)
class Picture:
    """`line` and `area` are point lists; `asked` is where the quantity is that was asked for."""

    line: str
    area: str
    x_ticks: list[Mark]
    y_ticks: list[Mark]
    edges: list[Mark]
    asked: tuple[str, str]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    top: int = TOP
    bottom: int = HEIGHT - BOTTOM


def draw(points: Sequence[Point], *, edges: Sequence[Decimal], asked: Point) -> Picture:
    """Quantities ascend and none is below zero. Amounts below zero are drawn as zero."""
    furthest = points[-1][0]
    x_ticks = ticks(furthest)
    highest = max(amount for _, amount in points) or Decimal(1)
    y_ticks = ticks(EXACT.multiply(highest, HEADROOM), beyond=True)

    def x(quantity: Decimal) -> Decimal:
        return LEFT + (WIDTH - LEFT - RIGHT) * quantity / furthest

    def y(amount: Decimal) -> Decimal:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * max(amount, Decimal(0)) / y_ticks[-1]

    line = " ".join(f"{x(quantity):.1f},{y(amount):.1f}" for quantity, amount in points)
    return Picture(
        line=line,
        area=f"{LEFT},{HEIGHT - BOTTOM} {line} {WIDTH - RIGHT},{HEIGHT - BOTTOM}",
        x_ticks=[Mark(f"{x(tick):.1f}", plain(tick)) for tick in x_ticks],
        y_ticks=[Mark(f"{y(tick):.1f}", plain(tick)) for tick in y_ticks],
        edges=_legible([(x(edge), plain(edge)) for edge in edges if edge <= furthest]),
        asked=(f"{x(asked[0]):.1f}", f"{y(asked[1]):.1f}"),
    )


def ticks(top: Decimal, *, about: int = 5, beyond: bool = False) -> list[Decimal]:
    """Round numbers from zero to `top`, in steps of 1, 2 or 5 times a power of ten; with `beyond`, past it."""
    rough = EXACT.divide(top, Decimal(about))
    power = Decimal(1).scaleb(rough.adjusted())
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
    found = [Decimal(0)]
    while found[-1] + step <= top or (beyond and found[-1] < top):
        found.append(found[-1] + step)
    return found


def _legible(edges: list[tuple[Decimal, str]]) -> list[Mark]:
    marks, last = [], Decimal(-WIDTH)
    for at, label in edges:
        covers = at - last < LABEL_WIDTH
        marks.append(Mark(f"{at:.1f}", "" if covers else label))
        last = last if covers else at
    return marks
