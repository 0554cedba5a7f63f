"""Whom the money goes to, and by which tax id: changed by two persons wherever there is a rule to ask by."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from uuid import UUID

from approvals.conflicts_of_interest import users_among
from approvals.kinds import conflict_of_interest, effect
from approvals.models import ApprovalRequest
from approvals.services.operations import request_operation_approval
from billing.entities import services as entities
from billing.entities.approval import PAYEE_DATA
from billing.entities.editing import PAYEE
from billing.entities.models import BillingEntity
from billing.invoicing.approval import CREDIT_NOTE, PAY_BACK
from billing.invoicing.states import CreditRemainder
from billing.kernel.approval import proposals_of
from billing.kernel.errors import Conflict
from billing.kernel.models import AuditEntry, AuditKind

ENTITIES = BillingEntity._meta.db_table
QUARANTINE = timedelta(days=7)


def request_payee_data(
    *,
    actor: str,
    entity_id: UUID,
    changes: Mapping[str, object],
    at: datetime,
    comment: str = "",
    version: int | None = None,
) -> ApprovalRequest:
    """Request approval to changes of an active entity, payee or tax data (`editing.PAYEE`) among them.

    Raises Conflict if nobody need be asked for them, and what `update_entity` and `request_approval` raise.
    """
    acts = proposals_of(
        lambda: entities.update_entity(actor=actor, entity_id=entity_id, changes=changes, version=version)
    )
    if not acts:
        raise Conflict("Neither payee nor tax data would change: this needs no approval.")
    return request_operation_approval(acts[0], at=at, comment=comment)


@effect(PAYEE_DATA, is_summed=False, always=True)
def change_as_approved(request: ApprovalRequest) -> dict:
    """By who asked for it. What was changed otherwise meanwhile is another change, and refused. The outcome names the
    version of the entity that it made, and the line of the audit trail."""
    before = BillingEntity.objects.get(pk=request.subject_id)
    entity = entities.update_entity(
        actor=f"user:{request.requested_by_id}",
        entity_id=request.subject_id,
        changes=request.content["terms"]["after"],
    )
    if entity.version == before.version:
        raise Conflict("It is changed already: reject the request.")
    lines = AuditEntry.objects.filter(
        kind=AuditKind.ROW,
        subject_type=ENTITIES,
        subject_id=str(entity.pk),
        before__has_any_keys=sorted(PAYEE),
    )
    return {"entity": str(entity.pk), "version": str(entity.version), "line": str(lines.latest("pk").pk)}


@conflict_of_interest(PAY_BACK)
def who_changed_where_it_goes(request: ApprovalRequest, at: datetime) -> Iterable[UUID]:
    """Whoever changed the customer's payee or tax data in the last 7 days does not agree to paying it money."""
    lines = AuditEntry.objects.filter(
        kind=AuditKind.VERB,
        action="entity.updated",
        subject_type=ENTITIES,
        subject_id=str(request.entity_id),
        at__gt=at - QUARANTINE,
    )
    return users_among(line.actor for line in lines if PAYEE & set(line.detail["fields"]))


@conflict_of_interest(CREDIT_NOTE)
def who_changed_where_a_credit_goes(request: ApprovalRequest, at: datetime) -> Iterable[UUID]:
    """Of one that pays back what is left."""
    if request.content["terms"]["remainder_to"] != CreditRemainder.REFUND:
        return ()
    return who_changed_where_it_goes(request, at)
