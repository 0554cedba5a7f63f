"""Rules: proposed by one controller, in force once another confirms. Requests in flight keep the rule they have."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from uuid import UUID

from django.db import IntegrityError, transaction
from django.utils import timezone

from approvals.core.levels import Mode
from approvals.errors import ProposalOpen, RuleNameTaken
from approvals.kinds import EFFECTS
from approvals.models import ApprovalRule, ApprovalRuleVersion
from approvals.models.rules import LEVELS_MAX
from approvals.routing import APPROVER_KINDS, base_currency_of
from approvals.states import VERSION_MOVES, VersionState
from billing.access.models import User, UserKind
from billing.access.permissions import PERMISSIONS
from billing.access.queries import acting_user
from billing.entities.models import BillingEntity, Department
from billing.kernel import audit
from billing.kernel.advisory_locks import APPROVAL_LIMITS
from billing.kernel.errors import FourEyesRequired, Invalid, NotAllowed, NotFound
from billing.kernel.money import Money
from billing.kernel.states import next_state
from billing.kernel.versions import require_version

APPROVERS_MAX = 50


@dataclass(frozen=True, kw_only=True)
class RuleTerms:
    """Everything a version says. Amounts are in the currency of the group's root entity; the band is
    (above_amount, up_to_amount]. Days are counted from the request."""

    levels: Sequence[Mapping]
    reason: str
    is_enabled: bool = True
    priority: int = 0
    above_amount: Decimal | None = None
    up_to_amount: Decimal | None = None
    department_id: UUID | None = None
    gl_codes: Sequence[str] = ()
    requesters: Sequence[UUID] = ()
    fields: Mapping[str, Sequence[str]] = field(default_factory=dict)
    due_days: int = 5
    expires_days: int = 30


@transaction.atomic
def propose_rule(
    *, actor: str, entity_id: UUID, name: str, kind: str, terms: RuleTerms, is_fallback: bool = False
) -> ApprovalRule:
    """A new rule for acts of `kind` at the entity and all below it, in force once somebody else confirms it.

    Raises NotFound, NotAllowed, Invalid, RuleNameTaken.
    """
    entity = BillingEntity.objects.locked().filter(pk=entity_id).first()
    if entity is None:
        raise NotFound("There is no such entity.")
    if kind not in EFFECTS and not (is_fallback and kind == ""):
        raise Invalid(f"There is no kind '{kind}' of approval.", field="kind")
    try:
        with transaction.atomic():
            rule = ApprovalRule.objects.create(entity=entity, name=name, kind=kind, is_fallback=is_fallback)
    except IntegrityError as error:
        raise RuleNameTaken("The name is taken, or the kind has its fallback here.") from error
    _propose(rule, terms, actor=actor, number=1)
    return rule


@transaction.atomic
def propose_rule_version(
    *, actor: str, rule_id: UUID, terms: RuleTerms, version: int | None = None
) -> ApprovalRule:
    """Other terms for a rule, in force instead of the present ones once somebody else confirms them. `version` is
    the rule's as last seen. Raises NotFound, PreconditionFailed, ProposalOpen, NotAllowed, Invalid."""
    rule = _locked_rule(rule_id)
    require_version(rule, version)
    newest = rule.versions.order_by("-number").first()
    if newest.state == VersionState.PROPOSED:
        raise ProposalOpen("Confirm or withdraw the open proposal first.")
    _propose(rule, terms, actor=actor, number=newest.number + 1)
    _touch(rule)
    return rule


@transaction.atomic
def confirm_rule(*, actor: str, rule_id: UUID, version: int | None = None) -> ApprovalRule:
    """Put the proposed version into force, in the place of the present one. `version` is the rule's as last seen.
    Raises NotFound, PreconditionFailed, FourEyesRequired."""
    rule = _locked_rule(rule_id)
    require_version(rule, version)
    proposed = _proposed(rule)
    confirmer = acting_user(actor)
    if confirmer is None or confirmer.person_id == proposed.proposed_by.person_id:
        raise FourEyesRequired("Somebody else must confirm this.")
    APPROVAL_LIMITS.take()
    now = timezone.now()
    for present in rule.versions.filter(state=VersionState.ACTIVE):
        present.state = next_state(VERSION_MOVES, action="end", current=present.state)
        present.ended_at = now
        present.save(update_fields=["state", "ended_at"])
    proposed.state = next_state(VERSION_MOVES, action="confirm", current=proposed.state)
    proposed.confirmed_by, proposed.confirmed_at = confirmer, now
    proposed.save(update_fields=["state", "confirmed_by", "confirmed_at"])
    _touch(rule)
    _record(rule, proposed, actor=actor, action="approval_rule.confirmed")
    return rule


@transaction.atomic
def withdraw_rule(*, actor: str, rule_id: UUID, reason: str) -> ApprovalRule:
    """Drop the proposed version; what is in force stays. Raises NotFound."""
    rule = _locked_rule(rule_id)
    proposed = _proposed(rule)
    proposed.state = next_state(VERSION_MOVES, action="withdraw", current=proposed.state)
    proposed.save(update_fields=["state"])
    _touch(rule)
    _record(rule, proposed, actor=actor, action="approval_rule.withdrawn", reason=reason)
    return rule


def _propose(rule: ApprovalRule, terms: RuleTerms, *, actor: str, number: int) -> None:
    proposer = acting_user(actor)
    if proposer is None or proposer.kind != UserKind.PERSON:
        raise NotAllowed("A rule is proposed by a person.")
    currency = base_currency_of(rule.entity)
    _require_sound(rule, terms, currency)
    version = ApprovalRuleVersion.objects.create(
        rule=rule,
        number=number,
        is_enabled=terms.is_enabled,
        priority=terms.priority,
        currency=currency,
        above_amount=terms.above_amount,
        up_to_amount=terms.up_to_amount,
        department_id=terms.department_id,
        gl_codes=sorted(set(terms.gl_codes)),
        requesters=sorted(set(terms.requesters)),
        fields={name: sorted(set(values)) for name, values in sorted(terms.fields.items())},
        levels=audit.plain(list(terms.levels)),
        due_days=terms.due_days,
        expires_days=terms.expires_days,
        reason=terms.reason,
        proposed_by=proposer,
    )
    _record(rule, version, actor=actor, action="approval_rule.proposed", reason=terms.reason)


def _require_sound(rule: ApprovalRule, terms: RuleTerms, currency: str) -> None:
    low, high = terms.above_amount, terms.up_to_amount
    for bound in (low, high):
        if bound is not None and not Money(bound, currency).is_payable:
            raise Invalid(f"{bound} is not an amount in {currency}.", field="above_amount")
    if low is not None and high is not None and high <= low:
        raise Invalid(
            "The band is empty: it is above one amount and up to a larger one.", field="up_to_amount"
        )
    if not 1 <= terms.due_days <= terms.expires_days <= 366:
        raise Invalid("A request is due before it expires, within a year.", field="due_days")
    if terms.department_id and not Department.objects.filter(
        pk=terms.department_id, entity__path__startswith=rule.entity.path
    ):
        raise Invalid("The department is not of the entity or below it.", field="department")
    conditions = (low, high, terms.department_id, *terms.gl_codes, *terms.requesters, *terms.fields)
    if rule.is_fallback and any(condition is not None for condition in conditions):
        raise Invalid("A fallback has no conditions: it catches what is left.", field="is_fallback")
    if not 1 <= len(terms.levels) <= LEVELS_MAX:
        raise Invalid(f"A rule has 1 to {LEVELS_MAX} levels.", field="levels")
    for position, level in enumerate(terms.levels, start=1):
        _require_level(position, level)


def _require_level(position: int, level: Mapping) -> None:
    where = {"field": "levels", "level": position}
    if level.get("mode") not in list(Mode):
        raise Invalid(f"Level {position}: any, all or quorum.", **where)
    quorum = level.get("quorum")
    if (level["mode"] == Mode.QUORUM) != (quorum is not None) or (quorum is not None and quorum < 1):
        raise Invalid(
            f"Level {position}: a quorum has a number of at least 1, the others have none.", **where
        )
    approvers = level.get("approvers") or []
    if not 1 <= len(approvers) <= APPROVERS_MAX:
        raise Invalid(f"Level {position} names 1 to {APPROVERS_MAX} approvers.", **where)
    for approver in approvers:
        _require_approver(position, approver, where)


def _require_approver(position: int, approver: Mapping, where: Mapping) -> None:
    kind = approver.get("kind")
    if kind not in APPROVER_KINDS:
        raise Invalid(f"Level {position}: an approver is one of {', '.join(APPROVER_KINDS)}.", **where)
    if set(approver) - {"kind"} != {"user": {"user"}, "role": {"role"}}.get(kind, set()):
        raise Invalid(f"Level {position}: a user is named by id, a role by its letters.", **where)
    if kind == "role" and approver["role"] not in PERMISSIONS["approvals.decide_request"].roles:
        raise Invalid(f"Level {position}: {approver['role']} is no role that decides.", **where)
    if kind == "user" and not User.objects.filter(pk=approver["user"], kind=UserKind.PERSON, is_active=True):
        raise Invalid(f"Level {position}: there is no active person {approver['user']}.", **where)


def _locked_rule(rule_id: UUID) -> ApprovalRule:
    rule = ApprovalRule.objects.locked().select_related("entity").filter(pk=rule_id).first()
    if rule is None:
        raise NotFound("There is no such rule.")
    return rule


def _proposed(rule: ApprovalRule) -> ApprovalRuleVersion:
    proposed = rule.versions.select_related("proposed_by").filter(state=VersionState.PROPOSED).first()
    if proposed is None:
        raise NotFound("The rule has no open proposal.")
    return proposed


def _touch(rule: ApprovalRule) -> None:
    """The rule is another one for whoever saw it before, also if only its versions changed."""
    rule.updated_at = timezone.now()
    rule.save(update_fields=["updated_at"])
    rule.refresh_from_db(fields=["version", "updated_at"])


def _record(
    rule: ApprovalRule, version: ApprovalRuleVersion, *, actor: str, action: str, reason: str = ""
) -> None:
    audit.record(
        actor=actor,
        action=action,
        subject=rule,
        reason=reason,
        detail={"version": version.number, "name": rule.name, "kind": rule.kind},
    )
