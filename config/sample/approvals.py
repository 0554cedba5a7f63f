"""Who agrees to what: rules that one controller proposed and another confirmed, and two requests that wait."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

from django.db import transaction

from approvals import services as approvals
from approvals.models import ApprovalRequest, ApprovalRule
from approvals.services.rules import RuleTerms
from billing.access.models import User
from billing.access.roles import AP, FC
from billing.entities.models import BillingEntity, Department
from billing.invoicing.approval import CREDIT_NOTE
from billing.invoicing.models import Invoice
from billing.kernel.context import acting
from billing.kernel.ids import uuid7
from config.sample.credit_notes import CREDITED

LIMIT = Decimal("1000.00")
WAITING = Decimal("1500.00")


def make_rules_and_requests(*, seller: BillingEntity, people: Mapping[str, User], at: datetime) -> None:
    """Loading again does what is left of it."""
    _rule(seller, people, "Everything else", "", [_any(FC)], is_fallback=True)
    _rule(seller, people, "Credits over 1,000", CREDIT_NOTE, [_any(AP)], above_amount=LIMIT)
    if not ApprovalRequest.objects.exists():
        with transaction.atomic(), acting(actor=_actor(people["ben"])):
            _ask(seller, people["ben"], at=at)


def _rule(
    seller: BillingEntity,
    people: Mapping[str, User],
    name: str,
    kind: str,
    levels: list[dict],
    *,
    is_fallback: bool = False,
    **bounds: Decimal,
) -> None:
    if ApprovalRule.objects.filter(entity=seller, name=name).exists():
        return
    with acting(actor=_actor(people["fiona"])):
        rule = approvals.propose_rule(
            actor=_actor(people["fiona"]),
            entity_id=seller.pk,
            name=name,
            kind=kind,
            is_fallback=is_fallback,
            terms=RuleTerms(levels=levels, reason="As the board decided", **bounds),
        )
    with acting(actor=_actor(people["carl"])):
        approvals.confirm_rule(actor=_actor(people["carl"]), rule_id=rule.pk)


def _ask(seller: BillingEntity, operator: User, *, at: datetime) -> None:
    department = Department.objects.get(entity__code=CREDITED, code="ENG")
    approvals.request_approval(
        actor=_actor(operator),
        kind="general",
        subject_id=uuid7(),
        title="Laptops for Engineering",
        entity_id=department.entity_id,
        department_id=department.pk,
        amount=Decimal("21000.00"),
        currency=seller.currency,
        terms={"supplier": "Rechenwerk GmbH", "pieces": 12},
        at=at,
        comment="The old ones are five years old",
    )
    invoice = Invoice.objects.filter(seller=seller, customer__code=CREDITED).latest("issued_on", "pk")
    approvals.request_credit_note(
        actor=_actor(operator),
        invoice_id=invoice.pk,
        net_amount=WAITING,
        reason="The cluster was down for a day",
        at=at,
        comment="Agreed with the customer on the phone",
    )


def _any(role: str) -> dict:
    return {"mode": "any", "approvers": [{"kind": "role", "role": str(role)}]}


def _actor(user: User) -> str:
    return f"user:{user.pk}"
