"""Whom a request would ask, by the rules in force or as if a proposal were: nothing is kept."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from approvals import routing
from approvals.conflicts_of_interest import persons_behind
from approvals.errors import NoApprover, NoRule
from approvals.models import ApprovalRuleVersion
from approvals.services.requests import draft_request, with_others
from approvals.states import VersionState
from billing.access.models import User
from billing.access.queries import acting_user
from billing.kernel.errors import NotAllowed, NotFound


@dataclass(frozen=True, kw_only=True)
class Outlook:
    """Whom a request would ask, or why it could not be made."""

    route: routing.Route | None = None
    refusal: NoRule | NoApprover | None = None


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """By the rules in force, and with the proposed version in the place of the present one of its rule."""

    now: Outlook
    if_confirmed: Outlook

    @property
    def is_change(self) -> bool:
        """Whether another version covers the request, or it is refused for another reason."""
        return _gist(self.now) != _gist(self.if_confirmed)


def preview_route(
    *,
    actor: str,
    kind: str,
    entity_id: UUID,
    amount: Decimal,
    currency: str,
    at: datetime,
    department_id: UUID | None = None,
    gl_code: str = "",
    fields: Mapping[str, str] | None = None,
    beneficiary_id: UUID | None = None,
    requester_id: UUID | None = None,
    proposed_rule_id: UUID | None = None,
) -> routing.Route:
    """Whom a request of `actor`, or of the person `requester_id`, would ask: by the rules in force, or as if the open
    proposal of a rule were, in the place of what is in force of it. Raises what `request_approval` raises, and NotFound
    without an open proposal."""
    request = draft_request(
        _asker(actor, requester_id),
        kind=kind,
        subject_id=None,
        title="",
        entity_id=entity_id,
        amount=amount,
        currency=currency,
        terms={},
        department_id=department_id,
        gl_code=gl_code,
        fields=fields or {},
        beneficiary_id=beneficiary_id,
        at=at,
        lock=False,
    )
    request.barred = sorted(
        {request.requester_id, *persons_behind([beneficiary_id] if beneficiary_id else [])}
    )
    request.matched_amount = with_others(request, at=at)
    return routing.route(request, proposed=proposed_rule_id and _proposed(proposed_rule_id))


def preview_proposal(*, proposed_rule_id: UUID, **asked) -> Comparison:
    """What the open proposal of a rule would change for a request: `asked` is as of `preview_route`, and so is what is
    raised, but that there is no rule or too few approvers, which is told: it may be so on one side only."""
    return Comparison(
        now=_outlook(**asked), if_confirmed=_outlook(**asked, proposed_rule_id=proposed_rule_id)
    )


def _outlook(**asked) -> Outlook:
    try:
        return Outlook(route=preview_route(**asked))
    except (NoRule, NoApprover) as refusal:
        return Outlook(refusal=refusal)


def _gist(outlook: Outlook) -> tuple[UUID | None, str]:
    if outlook.route is None:
        return None, outlook.refusal.detail
    return outlook.route.version.pk, ""


def _asker(actor: str, requester_id: UUID | None) -> User:
    if requester_id is None:
        asking = acting_user(actor)
        if asking is None:
            raise NotAllowed("A request is made by a person or for one.")
        return asking
    person = User.objects.filter(pk=requester_id).first()
    if person is None:
        raise NotFound(f"There is no user {requester_id}.")
    return person


def _proposed(rule_id: UUID) -> ApprovalRuleVersion:
    versions = ApprovalRuleVersion.objects.select_related("rule__entity", "department")
    version = versions.filter(rule=rule_id, state=VersionState.PROPOSED).first()
    if version is None:
        raise NotFound("The rule has no open proposal.")
    return version
