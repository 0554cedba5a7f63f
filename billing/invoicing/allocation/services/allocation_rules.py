from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from uuid import UUID

from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Lower

from billing.entities.editing import require_code
from billing.entities.models import BillingEntity, Department
from billing.invoicing.allocation.core.rules import Driver, Target, TargetKind, require_sound
from billing.invoicing.allocation.services.gl_codes import line_of_descent
from billing.invoicing.allocation.services.rule_matching import targets_of
from billing.invoicing.errors import RuleCodeTaken, RuleScopeUnknown, TargetsUnclear, ValidityEnds
from billing.invoicing.models import AllocationRule, AllocationRuleVersion, AllocationTarget, RuleKind
from billing.invoicing.states import RULE_MOVES, RuleState
from billing.kernel import audit
from billing.kernel.errors import Conflict
from billing.kernel.money import Money
from billing.kernel.states import next_state
from billing.kernel.versions import require_version
from billing.subscriptions.models import Product
from billing.usage.models import Meter


@dataclass(frozen=True, kw_only=True)
class TargetTerms:
    """Where a part goes; which figures belong to which kind is told by `rules.require_sound`."""

    kind: str
    department_code: str = ""
    percent: Decimal | None = None
    amount: Decimal | None = None
    currency: str = ""
    driver: str = ""
    driver_meter_id: UUID | None = None


@dataclass(frozen=True, kw_only=True)
class RuleTerms:
    """Which lines a version divides, from `starts_on` until `ends_on` (exclusive), and how."""

    targets: Sequence[TargetTerms]
    starts_on: date
    ends_on: date | None = None
    kind: str = RuleKind.STANDARD
    priority: int = 0
    product_id: UUID | None = None
    meter_id: UUID | None = None
    gl_code: str = ""
    line_kind: str = ""


@transaction.atomic
def create_allocation_rule(
    *, actor: str, entity_id: UUID, code: str, name: str, terms: RuleTerms
) -> AllocationRule:
    """Draft a rule for the lines billed to an entity and those below it. It divides nothing until it is activated.

    Raises RuleCodeTaken, and what `revise_allocation_rule` raises.
    """
    require_code(code)
    entity = BillingEntity.objects.get(pk=entity_id)
    if AllocationRule.objects.filter(entity=entity, code__iexact=code).exists():
        raise RuleCodeTaken(f"'{code}' is in use in {entity.code}.", field="code")
    rule = AllocationRule.objects.create(entity=entity, code=code, name=name)
    draft = _write_draft(rule, terms)
    audit.record(actor=actor, action="allocation_rule.created", subject=rule, detail={"number": draft.number})
    return rule


@transaction.atomic
def revise_allocation_rule(
    *, actor: str, rule_id: UUID, terms: RuleTerms, version: int | None = None
) -> AllocationRuleVersion:
    """Write the rule's draft anew, or begin the next version as a draft. What is in force stays.

    Raises AllocationOver100, AllocationIncomplete, TargetsUnclear, RuleScopeUnknown for what the entity does not
    have, ValidityEnds if it would end before it starts, PreconditionFailed.
    """
    rule = AllocationRule.objects.locked().get(pk=rule_id)
    require_version(rule, version)
    draft = _write_draft(rule, terms)
    rule.save(update_fields=["name"])  # its version tells that there is another wording
    audit.record(actor=actor, action="allocation_rule.revised", subject=rule, detail={"number": draft.number})
    return draft


@transaction.atomic
def activate_allocation_rule(
    *, actor: str, rule_id: UUID, version: int | None = None
) -> AllocationRuleVersion:
    """The draft divides all lines whose service starts on one of its days and that are issued from now on.

    The version before it ends where this one starts, and still divides what comes late of the days before.
    Raises Conflict without a draft, RuleScopeUnknown for a department that is no more, PreconditionFailed.
    """
    rule = AllocationRule.objects.locked().get(pk=rule_id)
    require_version(rule, version)
    versions = list(AllocationRuleVersion.objects.locked().filter(rule=rule).prefetch_related("targets"))
    draft = next((each for each in versions if each.state == RuleState.DRAFT), None)
    if draft is None:
        raise Conflict(f"{rule.code} has no draft to activate.")
    require_sound(targets_of(draft))
    _require_departments(rule.entity, {target.department_code for target in draft.targets.all()})
    _end(versions, ends_on=draft.starts_on)
    draft.state = next_state(RULE_MOVES, action="activate", current=draft.state)
    draft.save(update_fields=["state"])
    rule.save(update_fields=["name"])
    audit.record(
        actor=actor,
        action="allocation_rule.activated",
        subject=rule,
        detail={"number": draft.number, "starts_on": draft.starts_on},
    )
    return draft


@transaction.atomic
def retire_allocation_rule(
    *, actor: str, rule_id: UUID, ends_on: date, reason: str, version: int | None = None
) -> AllocationRule:
    """Lines whose service starts on or after `ends_on` are no longer divided by it. What is posted stays.

    Raises Conflict if it is not active, ValidityEnds if it ends before that day anyway, PreconditionFailed.
    """
    rule = AllocationRule.objects.locked().get(pk=rule_id)
    require_version(rule, version)
    versions = list(AllocationRuleVersion.objects.locked().filter(rule=rule))
    active = next((each for each in versions if each.state == RuleState.ACTIVE), None)
    if active is None:
        raise Conflict(f"{rule.code} is not active.")
    if active.ends_on is not None and active.ends_on < ends_on:
        raise ValidityEnds(f"{active} ends on {active.ends_on} already.")
    _end(versions, ends_on=ends_on)
    rule.save(update_fields=["name"])
    audit.record(
        actor=actor,
        action="allocation_rule.retired",
        subject=rule,
        reason=reason,
        detail={"number": active.number, "ends_on": ends_on},
    )
    return rule


def _end(versions: Sequence[AllocationRuleVersion], *, ends_on: date) -> None:
    """All that is activated ends on that day at the latest; what would start later never is in force."""
    for version in versions:
        if version.state == RuleState.DRAFT:
            continue
        if version.ends_on is None or version.ends_on > ends_on:
            version.ends_on = max(version.starts_on, ends_on)
        if version.state == RuleState.ACTIVE:
            version.state = next_state(RULE_MOVES, action="retire", current=version.state)
        version.save(update_fields=["ends_on", "state"])


def _write_draft(rule: AllocationRule, terms: RuleTerms) -> AllocationRuleVersion:
    _require_terms(rule.entity, terms)
    versions = AllocationRuleVersion.objects.locked().filter(rule=rule)
    draft = next((each for each in versions if each.state == RuleState.DRAFT), None)
    draft = draft or AllocationRuleVersion(rule=rule, number=len(versions) + 1)
    draft.kind, draft.priority = terms.kind, terms.priority
    draft.product_id, draft.meter_id = terms.product_id, terms.meter_id
    draft.gl_code, draft.line_kind = terms.gl_code, terms.line_kind
    draft.starts_on, draft.ends_on = terms.starts_on, terms.ends_on
    draft.currency = next((target.currency for target in terms.targets if target.currency), "")
    draft.save()
    draft.targets.all().delete()
    AllocationTarget.objects.bulk_create(
        AllocationTarget(
            rule_version=draft,
            position=position,
            kind=target.kind,
            department_code=target.department_code,
            percent=target.percent,
            amount=target.amount,
            currency=target.currency,
            driver=target.driver,
            driver_meter_id=target.driver_meter_id,
        )
        for position, target in enumerate(terms.targets, start=1)
    )
    return draft


def _require_terms(entity: BillingEntity, terms: RuleTerms) -> None:
    if terms.ends_on is not None and terms.ends_on <= terms.starts_on:
        raise ValidityEnds("It ends after the day on which it starts.")
    require_sound(
        [
            Target(
                kind=TargetKind(target.kind),
                position=position,
                key=target.department_code or None,
                percent=target.percent,
                amount=target.amount,
                driver=Driver(target.driver) if target.driver else None,
            )
            for position, target in enumerate(terms.targets, start=1)
        ]
    )
    for position, target in enumerate(terms.targets, start=1):
        _require_own_figures(position, target)
    if len({target.currency for target in terms.targets if target.amount is not None}) > 1:
        raise TargetsUnclear("The fixed amounts of a rule are in one currency.")
    _require_departments(entity, {target.department_code for target in terms.targets})
    meters = {terms.meter_id, *(target.driver_meter_id for target in terms.targets)}
    for model, wanted in ((Product, {terms.product_id}), (Meter, meters)):
        if missing := (wanted - {None}) - _known_to(entity, model, wanted - {None}):
            raise RuleScopeUnknown(
                f"{entity.code} is not billed by these.", unknown=sorted(str(pk) for pk in missing)
            )


def _require_own_figures(position: int, target: TargetTerms) -> None:
    if (target.amount is not None) != bool(target.currency):
        raise TargetsUnclear(f"Target {position}: an amount has a currency, and nothing else has.")
    if target.amount is not None and not Money(target.amount, target.currency).is_payable:
        raise TargetsUnclear(f"Target {position}: {target.amount} is not payable in {target.currency}.")
    if (target.driver == Driver.USAGE) != (target.driver_meter_id is not None):
        raise TargetsUnclear(f"Target {position}: usage, and nothing else, is that of a meter.")


def _require_departments(entity: BillingEntity, codes: set[str]) -> None:
    """Somebody at or below the entity has a department of that code."""
    wanted = {code.lower() for code in codes if code}
    known = (
        Department.objects.filter(entity__path__startswith=entity.path)
        .annotate(lower=Lower("code"))
        .filter(lower__in=wanted)
    )
    if missing := wanted - set(known.values_list("lower", flat=True)):
        raise RuleScopeUnknown(
            f"Neither {entity.code} nor an entity below it has these departments: {', '.join(sorted(missing))}.",
            unknown=sorted(missing),
        )


def _known_to(entity: BillingEntity, model: type[Product | Meter], wanted: set[UUID]) -> set[UUID]:
    """Of products or meters, those of the entity, of those above it (who sell to it) and below it."""
    near = Q(entity__in=line_of_descent(entity)) | Q(entity__path__startswith=entity.path)
    return set(model.objects.filter(near, pk__in=wanted).values_list("pk", flat=True))
