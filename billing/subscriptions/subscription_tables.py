"""A subscription as an operator reads it: what happens next, tables, and what an operation would charge."""

from datetime import date, timedelta
from decimal import Decimal

from billing.kernel.money import minor_unit, plain
from billing.subscriptions.models import ChargeKind, Subscription, SubscriptionChange, SubscriptionCharge
from billing.subscriptions.queries import items_of
from billing.subscriptions.services import Preview
from billing.subscriptions.states import ChangeState, SubscriptionState

ROWS_MAX = 100
DECIMALS_SHOWN = 6
KINDS = {
    "recurring": "Period",
    "proration": "Rest of the period",
    "credit": "Credit for days not used",
    "one_off": "Once",
    "true_up": "Seats beyond those included",
}


def money(amount: Decimal, currency: str) -> str:
    """ "1,250.00 EUR", with all decimals of the currency."""
    return f"{amount.quantize(minor_unit(currency)):,f} {currency}"


def days(starts_on: date, ends_on: date | None) -> str:
    """As people say it: with the last day, not the day after."""
    return f"{starts_on} – {'…' if ends_on is None else ends_on - timedelta(days=1)}"


def next_step(subscription: Subscription, *, today: date) -> str:
    """What will happen by itself, and what could be done about it."""
    match subscription.state:
        case SubscriptionState.CANCELED:
            return f"It ended: {subscription.ended_on} was the first day no longer covered. Nothing more is charged."
        case SubscriptionState.PAUSED:
            return "Nothing recurring is charged until somebody presses Resume…; usage still is."
    if subscription.cancels_on:
        return f"It will be canceled on {subscription.cancels_on}. Withdraw… takes that back."
    if change := scheduled_of(subscription):
        return f"It changes on {change.effective_on}: {_target(change)}. Withdraw… takes that back."
    match subscription.state:
        case SubscriptionState.TRIALING:
            return f"The trial is free. Charging begins on {subscription.trial_ends_on}."
        case SubscriptionState.PAST_DUE:
            return "One of its invoices is overdue. It is active again once that is paid."
    if subscription.next_on <= today:
        return f"The period from {subscription.next_on} is charged by the next billing run."
    return f"The next period begins on {subscription.next_on} and is charged by the billing run of that day."


def scheduled_of(subscription: Subscription) -> SubscriptionChange | None:
    scheduled = subscription.changes.filter(state=ChangeState.SCHEDULED)
    return scheduled.select_related("plan").first()


def subscription_tables(subscription: Subscription) -> list[dict]:
    return [_stretches(subscription), _charges(subscription), _periods(subscription), _changes(subscription)]


def preview_tables(preview: Preview, *, subject: str) -> list[dict]:
    """What is charged now and at the beginning of the next period."""
    currency = preview.subscription.currency
    now = [_row(charge) for charge in preview.charges]
    tables = [
        {
            "title": f"{subject}: now",
            "headers": HEADERS,
            "rows": now,
            "note": (
                f"{_together(preview.total, preview.inclusive_total, currency)} It goes on the customer's next invoice."
                if now
                else "Nothing is charged or credited now."
            ),
        }
    ]
    if preview.next_on:
        later = [_row(charge) for charge in preview.next_charges]
        tables.append(
            {
                "title": f"{subject}: then, on {preview.next_on}",
                "headers": HEADERS,
                "rows": later,
                "note": (
                    f"{_together(preview.next_total, preview.next_inclusive_total, currency)}"
                    if later
                    else "Nothing is charged at the beginning of the next period."
                ),
            }
        )
    return tables


def _together(before_tax: Decimal, with_tax: Decimal, currency: str) -> str:
    if not with_tax:
        return f"{money(before_tax, currency)} together, before tax."
    if not before_tax:
        return f"{money(with_tax, currency)} together, tax included."
    return f"{money(before_tax, currency)} before tax, and {money(with_tax, currency)} with tax."


HEADERS = ["What", "For", "Quantity", "Days", "How it comes about", "Amount"]


def _row(charge: SubscriptionCharge) -> list[str]:
    return [
        str(charge.item.product.name),
        KINDS[charge.kind],
        plain(charge.quantity),
        days(charge.service_starts_on, charge.service_ends_on),
        _how(charge),
        f"{money(charge.amount, charge.currency)}{' with tax' if charge.tax_inclusive else ''}",
    ]


def _how(charge: SubscriptionCharge) -> str:
    """ "(10 × 2.5 + 5 × 2) × 15/30 days = 17.5": as it is stored, nothing computed anew."""
    derivation = charge.derivation
    steps = " + ".join(_step(step) for step in derivation["steps"])
    part, whole = derivation["days"].split("/")
    share = "" if part == whole else f" × {derivation['days']} days"
    sum_of_steps = f"({steps})" if share or charge.kind == ChargeKind.CREDIT else steps
    sign = "-" if charge.kind == ChargeKind.CREDIT else ""
    return f"{sign}{sum_of_steps}{share} = {_shortened(derivation['exact'])}"


def _shortened(exact: str) -> str:
    whole, _, decimals = exact.partition(".")
    return f"{whole}.{decimals[:DECIMALS_SHOWN]}…" if len(decimals) > DECIMALS_SHOWN else exact


def _step(step: dict) -> str:
    if step["quantity"] is None or step["unit_price"] is None:
        return f"{step['amount']} {step['label']}"
    return f"{step['quantity']} × {step['unit_price']}"


def _stretches(subscription: Subscription) -> dict:
    return {
        "title": "What it has had",
        "headers": ["Product", "Days", "Quantity", "Billed", "By", "Price version"],
        "rows": [
            [
                str(item.product),
                days(item.starts_on, item.ends_on),
                plain(item.quantity) if item.quantity else "–",
                item.get_timing_display(),
                item.get_basis_display(),
                f"{item.price.get_model_display()}, version {item.price.number}",
            ]
            for item in items_of(subscription).reverse()[:ROWS_MAX]
            if item.ends_on is None or item.ends_on > item.starts_on
        ],
        "note": "A change closes a line and opens the next; each keeps the price version it began with.",
    }


def _charges(subscription: Subscription) -> dict:
    charges = subscription.charges.select_related("item__product", "item__price").order_by("-due_on", "-pk")[
        :ROWS_MAX
    ]
    return {
        "title": "Charges",
        "headers": ["Due", *HEADERS],
        "rows": [[str(charge.due_on), *_row(charge)] for charge in charges],
        "note": "Before tax unless it says so; the newest first. Each goes on the first invoice on or after the day it is due.",
    }


def _periods(subscription: Subscription) -> dict:
    periods = subscription.periods.order_by("-starts_on")[:ROWS_MAX]
    return {
        "title": "Periods",
        "headers": ["Days", "Prorated over", "", "State"],
        "rows": [
            [
                days(period.starts_on, period.ends_on),
                days(period.whole_starts_on, period.whole_ends_on),
                "trial" if period.is_trial else "",
                "closed" if period.is_closed else "open",
            ]
            for period in periods
            if period.ends_on > period.starts_on
        ],
    }


def _changes(subscription: Subscription) -> dict:
    changes = subscription.changes.select_related("plan").order_by("-pk")[:ROWS_MAX]
    return {
        "title": "Changes for the end of a period",
        "headers": ["On", "To", "State"],
        "rows": [
            [str(change.effective_on), _target(change), change.get_state_display()] for change in changes
        ],
    }


def _target(change: SubscriptionChange) -> str:
    prices = ", at the prices then in force" if change.uses_current_prices else ""
    return f"{change.plan}, quantity {plain(change.quantity)}{prices}"
