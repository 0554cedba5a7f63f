"""Who has not paid is reminded: a policy, a part in dispute, and the first run."""

from datetime import date
from decimal import Decimal

from billing.access.models import User
from billing.dunning import services as dunning
from billing.dunning.models import DunningPause, DunningPolicy, DunningRun
from billing.dunning.states import PauseKind, PolicyState, RunState
from billing.entities.models import BillingEntity
from billing.invoicing.models import Invoice
from billing.invoicing.states import InvoiceState
from billing.kernel.context import acting

CODE = "STANDARD"
STEPS = (
    {"days_after_due": -3, "effect": "notify", "template": "friendly_note"},
    {"days_after_due": 3, "effect": "notify", "template": "reminder"},
    {"days_after_due": 10, "effect": "notify", "template": "second_reminder"},
    {"days_after_due": 14, "effect": "late_fee", "fee_basis": "flat"},
    {"days_after_due": 14, "effect": "late_fee", "fee_basis": "interest"},
    {"days_after_due": 14, "effect": "notify", "template": "final_notice"},
    {"days_after_due": 45, "effect": "stop"},
)
AMOUNTS = (
    {"currency": "EUR", "minimum_amount": Decimal("5.00"), "fee_amount": Decimal("40.00")},
    {"currency": "USD", "minimum_amount": Decimal("5.00"), "fee_amount": Decimal("45.00")},
)
DISPUTED = Decimal("250.00")


def remind(*, seller: BillingEntity, controller: User, operator: User, today: date) -> None:
    """Loading again does what is left of it."""
    _make_policy(seller, f"user:{controller.pk}")
    _pause_a_part(seller, f"user:{operator.pk}", today)
    if not DunningRun.objects.filter(seller=seller, as_of=today, state=RunState.FINISHED).exists():
        with acting(actor=f"user:{operator.pk}") as here:
            dunning.run_dunning(actor=here.actor, seller_id=seller.pk, as_of=today)


def _make_policy(seller: BillingEntity, actor: str) -> None:
    policy = DunningPolicy.objects.filter(seller=seller, code=CODE).first()
    with acting(actor=actor):
        policy = policy or dunning.create_policy(
            actor=actor,
            seller_id=seller.pk,
            code=CODE,
            name="Standard",
            entity_class="enterprise",
            is_default=True,
            steps=STEPS,
            amounts=AMOUNTS,
            interest_percent=Decimal("10.15"),
            fee_reference="Directive 2011/7/EU, Articles 3 and 6",
        )
        if policy.state == PolicyState.DRAFT:
            dunning.activate_policy(actor=actor, policy_id=policy.pk)


def _pause_a_part(seller: BillingEntity, actor: str, today: date) -> None:
    """Of the oldest invoice that can spare it."""
    if DunningPause.objects.filter(invoice__seller=seller).exists():
        return
    late = Invoice.objects.filter(
        seller=seller, state=InvoiceState.ISSUED, due_on__lt=today, balance_amount__gt=DISPUTED
    )
    with acting(actor=actor):
        dunning.pause_dunning(
            actor=actor,
            invoice_id=late.order_by("due_on", "sequence").first().pk,
            as_of=today,
            amount=DISPUTED,
            kind=PauseKind.DISPUTE,
            reason="They say the test environment was switched off in that month",
        )
