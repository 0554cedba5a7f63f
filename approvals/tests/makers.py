"""Rules, requests and people who decide, with only the interesting facts said aloud."""

from datetime import timedelta
from decimal import Decimal
from itertools import count

from django.utils import timezone

from approvals import services
from approvals.kinds import GENERAL
from approvals.models import ApprovalRequest, ApprovalRule, ApprovalRuleVersion
from approvals.states import VersionState
from billing.access.models import User
from billing.entities.models import BillingEntity
from billing.entities.queries import ancestors
from billing.entities.tests.makers import make_entity, make_grant, make_user
from billing.kernel.ids import uuid7
from billing.kernel.tests.commits import as_if_committed

_serial = count(1)


def asks(*people: User, mode: str = "any", quorum: int | None = None) -> dict:
    """A level that asks these people."""
    level = {"mode": mode, "approvers": [{"kind": "user", "user": str(person.pk)} for person in people]}
    return level | ({"quorum": quorum} if quorum else {})


def asks_role(role: str, mode: str = "any") -> dict:
    return {"mode": mode, "approvers": [{"kind": "role", "role": role}]}


def make_approver(entity: BillingEntity, *, role: str = "AP", **overrides) -> User:
    """A person who may decide at the entity and below it, without a limit unless `limits` says one, and who has just
    signed in."""
    return make_grant(role=role, entity=entity, user=make_user(last_login=timezone.now()), **overrides).user


def make_approval_rule(entity: BillingEntity, *levels: dict, **overrides) -> ApprovalRuleVersion:
    """A rule in force, as if one controller had proposed and another had confirmed it."""
    rule = ApprovalRule.objects.create(
        entity=entity,
        name=overrides.pop("name", f"Rule {next(_serial)}"),
        kind=overrides.pop("kind", GENERAL),
        is_fallback=overrides.pop("is_fallback", False),
    )
    for bound in ("above_amount", "up_to_amount"):
        if bound in overrides:
            overrides[bound] = Decimal(overrides[bound])
    values = {
        "number": 1,
        "currency": entity.currency,
        "levels": list(levels),
        "reason": "test",
        "proposed_by": make_user(),
        "confirmed_by": make_user(),
        "confirmed_at": timezone.now(),
        "state": VersionState.ACTIVE,
    } | overrides
    return ApprovalRuleVersion.objects.create(rule=rule, **values)


def request_terms(entity: BillingEntity, **overrides) -> dict:
    """The arguments of request_approval: by a new operator there, unless `by` says who."""
    by = overrides.pop("by", None) or make_grant(role="BO", entity=entity).user
    return {
        "actor": f"user:{by.pk}",
        "kind": GENERAL,
        "subject_id": uuid7(),
        "title": f"Purchase {next(_serial)}",
        "entity_id": entity.pk,
        "amount": Decimal(overrides.pop("amount", "100.00")),
        "currency": entity.currency,
        "terms": {"supplier": "ACME"},
        "at": timezone.now(),
    } | overrides


def make_request(entity: BillingEntity | None = None, *levels: dict, **overrides) -> ApprovalRequest:
    """Asked for by the service. With `levels` a fallback asks them; without, one approver of the entity is enough."""
    entity = entity or make_entity()
    rules = ApprovalRule.objects.filter(entity__in=[entity, *ancestors(entity)])
    if levels or not rules.exists():
        rule = levels or [asks(make_approver(entity))]
        make_approval_rule(entity, *rule, is_fallback=True, kind=overrides.get("kind", GENERAL))
    request = services.request_approval(**request_terms(entity, **overrides))
    as_if_committed()
    request.refresh_from_db()
    return request


def decide(request: ApprovalRequest, by: User, decision: str = "approve", **overrides) -> ApprovalRequest:
    values = {
        "actor": f"user:{by.pk}",
        "request_id": request.pk,
        "decision": decision,
        "digest": request.digest,
        "comment": "" if decision == "approve" else "no budget",
        "at": timezone.now(),
    } | overrides
    decided = services.decide_request(**values)
    as_if_committed()
    return decided


def make_delegation(delegator: User, delegate: User, **overrides):
    today = timezone.now().date()
    values = {
        "actor": f"user:{delegator.pk}",
        "delegate_id": delegate.pk,
        "starts_on": today,
        "ends_on": today + timedelta(days=7),
        "as_of": today,
        "reason": "holidays",
    } | overrides
    return services.delegate_approvals(**values)
