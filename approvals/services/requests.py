"""Requesting approval: the rule and the people it asks are settled now, and do not change afterwards."""

import json
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from django.db import transaction
from django.db.models import Sum

from approvals import routing
from approvals.chain import content_digest
from approvals.conflicts_of_interest import persons_behind, persons_with_conflicts
from approvals.core.rules import in_base
from approvals.events import ApprovalRequested
from approvals.kinds import EFFECTS, NOT_SUMMED, UNAPPROVED_AMOUNTS, no_unapproved_amount
from approvals.models import ApprovalLevel, ApprovalRequest
from approvals.rates import rate_on
from approvals.services.actions import record_action
from approvals.services.closing import end_request
from approvals.services.notifications import tell_asked
from approvals.states import ActionKind, LevelState, RequestState
from billing.access.models import User
from billing.access.queries import acting_user
from billing.entities.models import BillingEntity, Department
from billing.kernel.audit import plain
from billing.kernel.errors import Invalid, NotAllowed, NotFound
from billing.kernel.events import publish
from billing.kernel.money import Money, round_half_up

SPLIT_WINDOW = timedelta(hours=24)


@transaction.atomic
def request_approval(
    *,
    actor: str,
    kind: str,
    subject_id: UUID,
    title: str,
    entity_id: UUID,
    amount: Decimal,
    currency: str,
    terms: Mapping[str, object],
    at: datetime,
    department_id: UUID | None = None,
    gl_code: str = "",
    fields: Mapping[str, str] | None = None,
    beneficiary_id: UUID | None = None,
    editors: Iterable[UUID] = (),
    comment: str = "",
) -> ApprovalRequest:
    """Ask the people whom the rule in force names to agree to `terms` of the subject.

    `amount` is in `currency`, not negative; the stored exchange rate in force on the day of `at` (UTC) turns it into
    the currency of the group's root entity, and without one the amount counts as above every bound. What the same
    person asked for of this kind at this entity within 24 hours before `at` is added to it before the rule is
    chosen, and what was done there in that time without asking, so that splitting evades nothing. Who asks, who
    gains, the `editors` and whoever else the kind says is involved never decide. The same content again is the pending request there is; other content
    supersedes it, with all approvals given so far.

    Raises NotFound, Invalid, NotAllowed (commands do not ask), NoRule, NoApprover.
    """
    asking = acting_user(actor)
    if asking is None:
        raise NotAllowed("A request is made by a person or for one.")
    request = draft_request(
        asking,
        kind=kind,
        subject_id=subject_id,
        title=title,
        entity_id=entity_id,
        amount=amount,
        currency=currency,
        terms=terms,
        department_id=department_id,
        gl_code=gl_code,
        fields=fields or {},
        beneficiary_id=beneficiary_id,
        at=at,
        lock=True,
    )
    barred = {request.requester_id, *persons_behind(editors), *persons_with_conflicts(request, at=at)}
    if beneficiary_id:
        barred |= persons_behind([beneficiary_id])
    before = (
        ApprovalRequest.objects.locked()
        .filter(kind=kind, subject_id=subject_id, entity=request.entity, state=RequestState.PENDING)
        .first()
    )
    if before is not None:
        if before.digest == request.digest:
            return before
        barred |= set(before.barred)
        end_request(before, actor=actor, action=ActionKind.SUPERSEDE, at=at, comment="The content changed.")
    request.barred = sorted(barred)
    request.matched_amount = with_others(request, at=at)
    route = routing.route(request)
    levels = _freeze(request, route, at=at)
    record_action(
        request, actor=actor, action=ActionKind.REQUEST, comment=comment, detail=_frozen(request, levels)
    )
    publish(ApprovalRequested(entity_id=request.entity_id, request_id=request.pk))
    tell_asked(request, levels[0], as_of=at.date())
    return request


def draft_request(
    asking: User,
    *,
    kind: str,
    entity_id: UUID,
    amount: Decimal,
    currency: str,
    terms: Mapping[str, object],
    department_id: UUID | None,
    fields: Mapping[str, str],
    at: datetime,
    lock: bool,
    **given,
) -> ApprovalRequest:
    """Unsaved, with its content, digest and base amount. The entity's lock keeps two requests of one subject, and
    two parts of a split, from passing each other."""
    if kind not in EFFECTS:
        raise Invalid(f"There is no kind '{kind}' of approval.", field="kind")
    if amount < 0 or not Money(amount, currency).is_payable:
        raise Invalid(f"{amount} {currency} is not an amount to ask for.", field="amount")
    entities = BillingEntity.objects.locked() if lock else BillingEntity.objects
    entity = entities.filter(pk=entity_id).first()
    if entity is None:
        raise NotFound("There is no such entity.")
    department = Department.objects.filter(pk=department_id, entity=entity).first() if department_id else None
    if department_id and department is None:
        raise NotFound("The entity has no such department.")
    base_currency = routing.base_currency_of(entity)
    rate = rate_on(currency, base_currency, day=at.date())
    request = ApprovalRequest(
        kind=kind,
        entity=entity,
        department=department,
        amount=amount,
        currency=currency,
        rate=rate,
        base_amount=in_base(amount, rate, base_currency) if rate is not None else None,
        base_currency=base_currency,
        fields=dict(fields),
        requested_by=asking,
        requester_id=asking.person_id,
        **given,
    )
    request.content = _content_of(request, terms)
    request.digest = content_digest(request.content)
    return request


def _content_of(request: ApprovalRequest, terms: Mapping[str, object]) -> dict:
    """What is approved: every fact a rule or an approver looks at, and the terms of the act itself."""
    return plain(
        {
            "kind": request.kind,
            "subject": request.subject_id,
            "title": request.title,
            "entity": request.entity_id,
            "department": request.department_id,
            "gl_code": request.gl_code,
            "amount": round_half_up(request.amount, request.currency),
            "currency": request.currency,
            "rate": None if request.rate is None else format(request.rate.normalize(), "f"),
            "base_currency": request.base_currency,
            "fields": request.fields,
            "beneficiary": request.beneficiary_id,
            "requester": request.requester_id,
            "terms": terms,
        }
    )


def with_others(request: ApprovalRequest, *, at: datetime) -> Decimal | None:
    """The amount with those that the same person asked for at this entity, pending or approved, in the window, and
    with what was performed there without a request. Of a kind that is looked at by itself: the amount."""
    if request.base_amount is None or request.kind in NOT_SUMMED:
        return request.base_amount
    since = at - SPLIT_WINDOW
    done = UNAPPROVED_AMOUNTS.get(request.kind, no_unapproved_amount)(
        request.entity.pk, request.currency, since
    )
    own = in_base(request.amount + done, request.rate, request.base_currency)
    others = ApprovalRequest.objects.filter(
        kind=request.kind,
        requester=request.requester_id,
        entity=request.entity,
        base_currency=request.base_currency,
        state__in=[RequestState.PENDING, RequestState.APPROVED],
        created_at__gt=since,
    ).exclude(subject_id=request.subject_id, state=RequestState.PENDING)  # that one is superseded
    return own + (others.aggregate(sum=Sum("base_amount"))["sum"] or 0)


def _freeze(request: ApprovalRequest, route: routing.Route, *, at: datetime) -> list[ApprovalLevel]:
    version = route.version
    request.rule_version = version
    request.snapshot = plain(routing.snapshot_of(version))
    request.due_on = at.date() + timedelta(days=version.due_days)
    request.expires_on = at.date() + timedelta(days=version.expires_days)
    request.save(force_insert=True)
    return ApprovalLevel.objects.bulk_create(
        ApprovalLevel(
            request=request,
            position=position,
            mode=level.mode,
            needed=level.needed,
            approvers=[user.pk for user in level.people],
            state=LevelState.PENDING if position == 1 else LevelState.WAITING,
        )
        for position, level in enumerate(route.levels, start=1)
    )


def _frozen(request: ApprovalRequest, levels: list[ApprovalLevel]) -> str:
    """Who is asked and who is barred, under the first link of the chain: a proof is replayed from it."""
    asked = [{"mode": level.mode, "needed": level.needed, "approvers": level.approvers} for level in levels]
    told = {"rule": request.snapshot, "levels": asked, "barred": request.barred}
    return json.dumps(plain(told), sort_keys=True)
