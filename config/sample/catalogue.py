"""What the sample company sells by subscription, and who subscribed, changed, paused and left on which day."""

from dataclasses import dataclass, field
from datetime import date

from billing.subscriptions.models import Alignment, Basis, Interval, PriceModel, Timing

ADVANCE, ARREARS = Timing.IN_ADVANCE, Timing.IN_ARREARS


@dataclass(frozen=True)
class Offered:
    code: str
    name: str
    unit: str
    gl_code: str = "6460"
    list_prices: dict[str, str] = field(default_factory=dict)  # what it costs without a subscription
    is_metered: bool = False


@dataclass(frozen=True)
class Item:
    product: str
    timing: str
    basis: str
    model: str
    prices: dict[str, dict]  # by currency, the figures of the model


@dataclass(frozen=True)
class Offer:
    code: str
    name: str
    items: list[Item]
    interval_count: int = 1
    trial_days: int = 0


def tiers(*steps: tuple[str | None, str]) -> dict:
    """(up to, price of each unit), the last without an end."""
    return {"tiers": [{"up_to": up_to, "unit_price": each, "flat_amount": "0"} for up_to, each in steps]}


PRODUCTS = [
    Offered("PLATFORM", "Platform", "month"),
    Offered("SEAT", "Team seat", "seat"),
    Offered("BUILD", "Build minutes", "minute", list_prices={"EUR": "0.03", "USD": "0.033"}, is_metered=True),
    Offered("SETUP", "Onboarding", "project"),
    Offered("DESIGNER", "Designer", "seat"),
]

PLANS = [
    Offer(
        "STARTER",
        "Starter",
        [
            Item(
                *("PLATFORM", ADVANCE, Basis.FIXED, PriceModel.FLAT),
                {"EUR": {"flat_amount": "49"}, "USD": {"flat_amount": "54"}},
            )
        ],
    ),
    Offer(
        "TEAM",
        "Team",
        [
            Item(
                *("SEAT", ADVANCE, Basis.QUANTITY, PriceModel.GRADUATED),
                {
                    "EUR": tiers(("10", "12"), ("50", "10"), (None, "8")),
                    "USD": tiers(("10", "13"), ("50", "11"), (None, "9")),
                },
            ),
            Item(
                *("BUILD", ARREARS, Basis.USAGE, PriceModel.GRADUATED),
                {
                    "EUR": tiers(("1000", "0"), (None, "0.02")),
                    "USD": tiers(("1000", "0"), (None, "0.022")),
                },
            ),
        ],
        trial_days=14,
    ),
    Offer(
        "ENTERPRISE",
        "Enterprise",
        [
            Item(
                *("PLATFORM", ADVANCE, Basis.FIXED, PriceModel.FLAT),
                {"EUR": {"flat_amount": "8400"}, "USD": {"flat_amount": "9000"}},
            ),
            Item(
                *("SETUP", Timing.ONE_OFF, Basis.FIXED, PriceModel.FLAT),
                {"EUR": {"flat_amount": "1500"}, "USD": {"flat_amount": "1600"}},
            ),
            Item(
                *("DESIGNER", ARREARS, Basis.SEATS, PriceModel.PER_UNIT),
                {"EUR": {"unit_price": "60"}, "USD": {"unit_price": "66"}},
            ),
        ],
        interval_count=3,
    ),
]
INTERVAL = Interval.MONTH

# The Enterprise customer's licence: three more people than are included, trued up after three months.
LICENSED = ("PRAIRIE-OMAHA", "DESIGNER")
SEATS, SEATS_INCLUDED, HOLDERS = 20, 12, 15
TIER, FEATURES = "enterprise", ("export", "single-sign-on", "white-label")


@dataclass(frozen=True)
class Act:
    """What somebody asked for on a day. `terms` are those of the service."""

    on: date
    customer: str
    permission: str  # create, change, pause, cancel
    terms: dict


ACTS = [
    Act(
        date(2026, 8, 1),
        "BOREAL-FR",
        "create",
        {"plan": "TEAM", "quantity": 12, "alignment": Alignment.CALENDAR, "trial_days": 0},
    ),
    Act(date(2026, 8, 1), "PRAIRIE-OMAHA", "create", {"plan": "ENTERPRISE"}),
    Act(date(2026, 8, 1), "FALKEN-BERLIN", "create", {"plan": "STARTER"}),
    Act(date(2026, 8, 15), "FALKEN-WIEN", "create", {"plan": "STARTER"}),
    Act(date(2026, 8, 20), "PRAIRIE-LABS", "create", {"plan": "STARTER"}),
    Act(date(2026, 9, 16), "BOREAL-FR", "change", {"quantity": 20}),
    Act(date(2026, 10, 5), "FALKEN-BERLIN", "pause", {}),
    Act(date(2026, 10, 10), "FALKEN-WIEN", "cancel", {"reason": "Moves to the group's contract"}),
    Act(date(2026, 10, 22), "ALPINUM", "create", {"plan": "TEAM", "quantity": 5}),
    Act(
        date(2026, 11, 1),
        "PRAIRIE-LABS",
        "change",
        {"plan": "TEAM", "quantity": 8, "at_period_end": True},
    ),
]

BUILDERS = {"BOREAL-FR": 55}  # about so many build minutes a day
