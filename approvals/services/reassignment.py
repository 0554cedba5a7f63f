"""Handing over what waits for somebody who leaves: each request by itself, to one who may decide it."""

from dataclasses import dataclass
from uuid import UUID

from django.db import transaction

from approvals.models import ApprovalLevel, ApprovalRequest
from approvals.services.comments import reassign_request
from approvals.states import RequestState
from approvals.stuck_levels import OPEN
from billing.kernel.errors import DomainError


@dataclass(frozen=True, kw_only=True)
class HandedOver:
    """What became of one request: nothing, or why it stays where it is."""

    request: ApprovalRequest
    refusal: DomainError | None = None


def waiting_for(person_id: UUID) -> list[ApprovalRequest]:
    """Pending requests with an open level that asks the person and has no vote of his."""
    levels = ApprovalLevel.objects.filter(approvers__contains=[person_id], state__in=OPEN)
    levels = levels.exclude(votes__approver=person_id)
    return list(
        ApprovalRequest.objects.filter(pk__in=levels.values("request"), state=RequestState.PENDING).order_by(
            "pk"
        )
    )


def reassign_requests_of(*, actor: str, from_id: UUID, to_id: UUID, comment: str) -> list[HandedOver]:
    """Ask `to_id` in the place of `from_id` wherever an open level waits for him, each in a transaction of its own.

    A request of which the other has a part, that he may not decide or is asked about already, stays as it is and
    is named with the refusal. Raises nothing of what `reassign_request` refuses.
    """
    return [
        _hand_over(request, actor=actor, from_id=from_id, to_id=to_id, comment=comment)
        for request in waiting_for(from_id)
    ]


def _hand_over(request: ApprovalRequest, **terms) -> HandedOver:
    try:
        with transaction.atomic():
            return HandedOver(request=reassign_request(request_id=request.pk, **terms))
    except DomainError as refusal:
        return HandedOver(request=request, refusal=refusal)
