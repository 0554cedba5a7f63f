"""Making, revising and retiring dunning policies."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from uuid import UUID

from django.db import transaction

from billing.dunning.errors import (
    DefaultPolicyExists,
    InvalidDunningPolicy,
    PolicyCodeTaken,
    PolicyDraftExists,
    SellerRequired,
)
from billing.dunning.models import DunningAmounts, DunningPolicy, DunningStep
from billing.dunning.states import POLICY_MOVES, Effect, FeeBasis, PolicyState, Template
from billing.entities.models import BillingEntity
from billing.kernel import audit
from billing.kernel.errors import Invalid, NotFound
from billing.kernel.money import Money
from billing.kernel.states import next_state
from billing.kernel.versions import require_version

STEPS_MAX = 50
FIRST_DAY, LAST_DAY = -90, 1000
_ORDER = list(Effect.values)

Step = Mapping[str, object]
Amounts = Mapping[str, object]


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What a revision says. Steps are {"days_after_due", "effect", "template", "fee_basis"}; amounts are
    {"currency", "minimum_amount", "fee_amount"}."""

    name: str
    steps: Sequence[Step]
    amounts: Sequence[Amounts] = field(default=())
    entity_class: str = ""
    is_default: bool = False
    interest_percent: Decimal | None = None
    fee_reference: str = ""


@transaction.atomic
def create_policy(*, actor: str, seller_id: UUID, code: str, **terms: object) -> DunningPolicy:
    """Draft a seller's dunning policy under a new code; `terms` are those of `Terms`.

    Raises NotFound, SellerRequired, PolicyCodeTaken, InvalidDunningPolicy, Invalid.
    """
    seller = _locked_seller(seller_id)
    if DunningPolicy.objects.filter(seller=seller, code__iexact=code).exists():
        raise PolicyCodeTaken(f"There is already a dunning policy '{code}'.", policy_code=code)
    policy = _draft(seller, code, 1, Terms(**terms))
    audit.record(actor=actor, action="dunning_policy.created", subject=policy, detail=_said(policy))
    return policy


@transaction.atomic
def revise_policy(
    *, actor: str, policy_id: UUID, version: int | None = None, **terms: object
) -> DunningPolicy:
    """Draft the next revision of a policy: `terms` are all of it. The present one stays until that is activated.

    Raises NotFound, PreconditionFailed, PolicyDraftExists, InvalidDunningPolicy, Invalid.
    """
    policy = _locked(policy_id)
    require_version(policy, version)
    same_code = DunningPolicy.objects.filter(seller_id=policy.seller_id, code__iexact=policy.code)
    if draft := same_code.filter(state=PolicyState.DRAFT).first():
        raise PolicyDraftExists(f"Activate or retire {draft} first.", policy=str(draft.pk))
    last = same_code.order_by("-revision").values_list("revision", flat=True)[0]
    revised = _draft(policy.seller, policy.code, last + 1, Terms(**terms))
    audit.record(actor=actor, action="dunning_policy.revised", subject=revised, detail=_said(revised))
    return revised


@transaction.atomic
def activate_policy(*, actor: str, policy_id: UUID, version: int | None = None) -> DunningPolicy:
    """From now on cases are opened by it; the revision that was active under its code is retired.

    Open cases go on by the revision they were opened with. Raises NotFound, PreconditionFailed, IllegalMove,
    DefaultPolicyExists.
    """
    policy = _locked(policy_id)
    require_version(policy, version)
    active = DunningPolicy.objects.filter(seller_id=policy.seller_id, state=PolicyState.ACTIVE)
    state = next_state(POLICY_MOVES, action="activate", current=policy.state)
    other = active.filter(is_default=True).exclude(code__iexact=policy.code).first()
    if policy.is_default and other:
        raise DefaultPolicyExists(f"{other} is the default. Revise or retire it first.", policy=str(other.pk))
    for before in active.filter(code__iexact=policy.code).locked():
        before.state = next_state(POLICY_MOVES, action="retire", current=before.state)
        before.save(update_fields=["state"])
        audit.record(actor=actor, action="dunning_policy.retired", subject=before, reason="Revised.")
    policy.state = state
    policy.save(update_fields=["state"])
    policy.refresh_from_db()
    audit.record(actor=actor, action="dunning_policy.activated", subject=policy)
    return policy


@transaction.atomic
def retire_policy(*, actor: str, policy_id: UUID, reason: str, version: int | None = None) -> DunningPolicy:
    """No case is opened by it any more, its customers go by the default; or a draft is given up.

    Raises NotFound, PreconditionFailed, IllegalMove.
    """
    policy = _locked(policy_id)
    require_version(policy, version)
    policy.state = next_state(POLICY_MOVES, action="retire", current=policy.state)
    policy.save(update_fields=["state"])
    policy.refresh_from_db()
    audit.record(actor=actor, action="dunning_policy.retired", subject=policy, reason=reason)
    return policy


def _locked_seller(seller_id: UUID) -> BillingEntity:
    """The seller's row is the queue for its policies."""
    seller = BillingEntity.objects.locked().filter(pk=seller_id).first()
    if seller is None:
        raise NotFound("There is no such entity.")
    if not seller.is_seller:
        raise SellerRequired(f"{seller} sells nothing.")
    return seller


def _locked(policy_id: UUID) -> DunningPolicy:
    seller_id = DunningPolicy.objects.filter(pk=policy_id).values_list("seller_id", flat=True).first()
    if seller_id is None:
        raise NotFound("There is no such dunning policy.")
    _locked_seller(seller_id)
    return DunningPolicy.objects.select_related("seller").locked().get(pk=policy_id)


def _draft(seller: BillingEntity, code: str, revision: int, terms: Terms) -> DunningPolicy:
    steps = _in_order(terms.steps)
    amounts = _once_per_currency(terms.amounts)
    _require_fees(steps, amounts, terms.interest_percent)
    policy = DunningPolicy.objects.create(
        seller=seller,
        code=code,
        revision=revision,
        name=terms.name,
        entity_class=terms.entity_class,
        is_default=terms.is_default,
        interest_percent=terms.interest_percent,
        fee_reference=terms.fee_reference,
    )
    for position, step in enumerate(steps, start=1):
        step.policy, step.position = policy, position
    for amount in amounts:
        amount.policy = policy
    DunningStep.objects.bulk_create(steps)
    DunningAmounts.objects.bulk_create(amounts)
    return policy


def _in_order(steps: Sequence[Step]) -> list[DunningStep]:
    """By day, and within a day in the order of effects. Raises InvalidDunningPolicy."""
    if not 1 <= len(steps) <= STEPS_MAX:
        raise InvalidDunningPolicy(f"A dunning policy has 1 to {STEPS_MAX} steps.")
    made = sorted(
        (_step(number, step) for number, step in enumerate(steps, start=1)),
        key=lambda step: (step.days_after_due, _ORDER.index(step.effect), step.fee_basis),
    )
    for one, following in itertools.pairwise(made):
        if (one.days_after_due, one.effect, one.fee_basis) == (
            following.days_after_due, following.effect, following.fee_basis,
        ):  # fmt: skip
            raise InvalidDunningPolicy(f"On day {one.days_after_due} the same is done twice.")
    if any(step.effect == Effect.STOP for step in made[:-1]):
        raise InvalidDunningPolicy("Nothing comes after a stop.")
    return made


def _step(number: int, given: Step) -> DunningStep:
    step = DunningStep(
        days_after_due=given["days_after_due"],
        effect=given["effect"],
        template=given.get("template") or "",
        fee_basis=given.get("fee_basis") or "",
    )
    if step.effect not in Effect.values:
        raise InvalidDunningPolicy(f"Step {number}: '{step.effect}' is no effect.", step=number)
    if not FIRST_DAY <= step.days_after_due <= LAST_DAY:
        raise InvalidDunningPolicy(f"Step {number}: days are from {FIRST_DAY} to {LAST_DAY}.", step=number)
    if step.days_after_due <= 0 and step.effect != Effect.NOTIFY:
        raise InvalidDunningPolicy(f"Step {number}: until the due day there are only reminders.", step=number)
    if (step.effect == Effect.NOTIFY) != (step.template in Template.values):
        raise InvalidDunningPolicy(
            f"Step {number}: a reminder, and nothing else, has a template.", step=number
        )
    if (step.effect == Effect.LATE_FEE) != (step.fee_basis in FeeBasis.values):
        raise InvalidDunningPolicy(f"Step {number}: a late fee, and nothing else, has a basis.", step=number)
    return step


def _once_per_currency(amounts: Sequence[Amounts]) -> list[DunningAmounts]:
    made = [
        DunningAmounts(
            currency=given["currency"],
            minimum_amount=given.get("minimum_amount") or Decimal(0),
            fee_amount=given.get("fee_amount"),
        )
        for given in amounts
    ]
    if len({one.currency for one in made}) != len(made):
        raise InvalidDunningPolicy("A currency is named more than once.")
    for one in made:
        for amount in (one.minimum_amount, one.fee_amount):
            if amount is not None and (amount < 0 or not Money(amount, one.currency).is_payable):
                raise Invalid(f"{amount} {one.currency} is no amount of money.")
        if one.fee_amount == 0:
            raise Invalid("A late fee is more than nothing; leave it out if there is none.")
    return made


def _require_fees(
    steps: Sequence[DunningStep], amounts: Sequence[DunningAmounts], interest_percent: Decimal | None
) -> None:
    charged = {step.fee_basis for step in steps}
    if FeeBasis.INTEREST in charged and interest_percent is None:
        raise InvalidDunningPolicy("Interest is charged, but no percentage is given.")
    if FeeBasis.FLAT in charged and all(amount.fee_amount is None for amount in amounts):
        raise InvalidDunningPolicy("A flat fee is charged, but no amount is given.")


def _said(policy: DunningPolicy) -> dict:
    return {"code": policy.code, "revision": policy.revision}
