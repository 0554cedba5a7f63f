"""Policies and late invoices, with only the interesting fields said aloud."""

from datetime import date
from decimal import Decimal
from itertools import count

from billing.dunning import services
from billing.dunning.models import DunningPolicy
from billing.invoicing.models import Invoice
from billing.kernel.tests.commits import as_if_committed
from billing.payments.tests.makers import make_open_invoice, make_seller

ISSUED, DUE = date(2026, 1, 1), date(2026, 1, 31)  # 30 days
NOTE, FIRST, SECOND, FEE, FINAL, SUSPEND, STOP = -3, 7, 21, 25, 35, 45, 60
STEPS = (
    {"days_after_due": NOTE, "effect": "notify", "template": "friendly_note"},
    {"days_after_due": FIRST, "effect": "notify", "template": "reminder"},
    {"days_after_due": SECOND, "effect": "notify", "template": "second_reminder"},
    {"days_after_due": FEE, "effect": "late_fee", "fee_basis": "flat"},
    {"days_after_due": FINAL, "effect": "late_fee", "fee_basis": "interest"},
    {"days_after_due": FINAL, "effect": "notify", "template": "final_notice"},
    {"days_after_due": SUSPEND, "effect": "suspend"},
    {"days_after_due": STOP, "effect": "stop"},
)
AMOUNTS = ({"currency": "EUR", "minimum_amount": Decimal("5.00"), "fee_amount": Decimal("40.00")},)
_serial = count(1)


def policy_terms(**overrides) -> dict:
    return {
        "name": "Standard",
        "entity_class": "enterprise",
        "steps": STEPS,
        "amounts": AMOUNTS,
        "is_default": True,
        "interest_percent": Decimal("9.1200"),
        "fee_reference": "Directive 2011/7/EU, Articles 3 and 6",
    } | overrides


def make_draft_policy(**overrides) -> DunningPolicy:
    seller = overrides.pop("seller", None) or make_seller()
    code = overrides.pop("code", f"policy-{next(_serial)}")
    return services.create_policy(actor="test", seller_id=seller.pk, code=code, **policy_terms(**overrides))


def make_policy(**overrides) -> DunningPolicy:
    """Active, and the seller's default unless it says otherwise."""
    return services.activate_policy(actor="test", policy_id=make_draft_policy(**overrides).pk)


def make_late_invoice(**overrides) -> Invoice:
    """Of 100.00 EUR, due on 31 January 2026."""
    return make_open_invoice(issued_on=ISSUED, **overrides)


def run(seller, as_of: date):
    """A run, with what waits for COMMIT judged by itself."""
    done = services.run_dunning(actor="test", seller_id=seller.pk, as_of=as_of)
    as_if_committed()
    return done
