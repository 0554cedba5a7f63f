"""Acts of lower apps that need approval: which of them do, and how it is asked for. One way for every kind."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import cache, partial
from uuid import UUID

from approvals import routing
from approvals.core.rules import in_base
from approvals.kinds import NOT_SUMMED
from approvals.models import ApprovalRequest
from approvals.rates import rate_on
from approvals.services.requests import request_approval, with_others
from approvals.states import RequestState
from billing.access.queries import acting_user
from billing.entities.models import BillingEntity, Department
from billing.kernel.advisory_locks import APPROVAL_LIMITS, APPROVAL_SUM
from billing.kernel.approval import ProposedOperation


def request_operation_approval(act: ProposedOperation, *, at: datetime, comment: str = "") -> ApprovalRequest:
    """Request approval for exactly this act. Another request over the same subject is superseded.

    Raises what `request_approval` raises.
    """
    return request_approval(
        actor=act.actor,
        kind=act.kind,
        subject_id=act.subject_id,
        title=act.title,
        entity_id=act.entity_id,
        amount=act.amount,
        currency=act.currency,
        terms=act.terms,
        department_id=act.department_id,
        gl_code=act.gl_code,
        fields=act.fields,
        beneficiary_id=act.beneficiary_id,
        at=at,
        comment=comment,
    )


def unapproved_operations(acts: Sequence[ProposedOperation], *, at: datetime) -> list[ProposedOperation]:
    """Those that a limit covers (a rule other than a fallback; of a kind that always takes approval, any rule), and that
    are not what was just approved.

    Their amount counts together with what was done and asked for at the entity in 24 hours, unless their kind is
    looked at by itself; without a known rate it is above every bound. Called in the transaction that acts: parts of
    a split wait for each other, so that no two miss one another in the sum, and until it is over no rule comes into
    force and no rate is recorded.
    """
    APPROVAL_LIMITS.take(shared=True)
    versions = routing.limits_of(act.kind for act in acts)
    if not versions:
        return []
    entities = BillingEntity.objects.in_bulk({act.entity_id for act in acts})
    as_request = _requests_at(entities, acts, at=at)
    covered = []
    for act in acts:
        entity = entities[act.entity_id]
        near = [
            version
            for version in versions
            if routing.is_limit(version, act.kind) and entity.path.startswith(version.rule.entity.path)
        ]
        if not near:
            continue
        if act.kind not in NOT_SUMMED:
            APPROVAL_SUM.take_for([f"{act.kind} at {act.entity_id}"])
        if routing.covering(near, as_request(act)):
            covered.append(act)
    return _not_just_approved(covered)


def _requests_at(
    entities: Mapping[UUID, BillingEntity], acts: Sequence[ProposedOperation], *, at: datetime
) -> Callable[[ProposedOperation], ApprovalRequest]:
    """What turns an act into an unsaved request, with all that is read once for many."""
    base_currencies = routing.base_currencies(entities.values())
    departments = Department.objects.in_bulk({act.department_id for act in acts if act.department_id})
    users = {actor: acting_user(actor) for actor in {act.actor for act in acts}}
    rate_to = cache(partial(rate_on, day=at.date()))

    def as_request(act: ProposedOperation) -> ApprovalRequest:
        base_currency = base_currencies[act.entity_id]
        rate = rate_to(act.currency, base_currency)
        user = users[act.actor]
        request = ApprovalRequest(
            kind=act.kind,
            subject_id=act.subject_id,
            entity=entities[act.entity_id],
            department=departments.get(act.department_id),
            gl_code=act.gl_code,
            fields=dict(act.fields),
            amount=act.amount,
            currency=act.currency,
            rate=rate,
            base_amount=None if rate is None else in_base(act.amount, rate, base_currency),
            base_currency=base_currency,
            requester_id=user.person_id if user else None,
        )
        request.matched_amount = with_others(request, at=at)
        return request

    return as_request


def _not_just_approved(acts: Sequence[ProposedOperation]) -> list[ProposedOperation]:
    """Only within the transaction that carries a request out is it approved and not carried out: the database lets
    nothing else commit."""
    if not acts:
        return []
    being_done = ApprovalRequest.objects.filter(
        subject_id__in=[act.subject_id for act in acts], state=RequestState.APPROVED, effect=None
    )
    return [act for act in acts if not any(_is_of(request, act) for request in being_done)]


def _is_of(request: ApprovalRequest, act: ProposedOperation) -> bool:
    """Whether what was asked for is exactly this."""
    asked = (request.kind, request.subject_id, request.entity_id, request.amount, request.currency)
    said = (act.kind, act.subject_id, act.entity_id, act.amount, act.currency)
    return asked == said and request.content["terms"] == act.terms


def approved_outcomes(kind: str, *, key: str, since: datetime) -> list[str]:
    """What the effects of the kind since then name under `key`."""
    done = ApprovalRequest.objects.filter(kind=kind, effect__created_at__gt=since)
    return list(done.values_list(f"effect__outcome__{key}", flat=True))
